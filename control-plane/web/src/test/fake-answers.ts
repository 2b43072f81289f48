/** Objects as the API answers them, for tests of pages. Typed by the API's description: a change there breaks them. */

import type { components } from "../api/schema.d.ts";

type Schemas = components["schemas"];

const NOON = "2026-11-21T12:00:00Z";

export const person = (role: Schemas["RoleName"]): Schemas["User"] => ({
  id: 1,
  username: "ana",
  display_name: "Ana",
  email: null,
  role,
  status: "enabled",
  group: "default",
  quota_available: 4_996_250,
  quota_held: 500_000,
  quota_in_doubt: 0,
  quota_used: 3_750,
  created_at: NOON,
  updated_at: NOON,
});

export const session = (role: Schemas["RoleName"]): Schemas["Session"] => ({
  user: person(role),
  abilities: ["use_models"],
  scopes: null,
  signed_in_at: NOON,
  fresh_until: NOON,
  expires_at: NOON,
});

export const status = (isSetUp: boolean): Schemas["Status"] => ({
  success: true,
  message: "",
  data: {
    version: "1.2.3",
    start_time: 0,
    setup: isSetUp,
    system_name: "Sluice",
    logo: "",
    footer_html: "",
    server_address: "",
    quota_per_unit: 500_000,
    quota_display_type: "USD",
    display_in_currency: true,
    top_up_link: "",
    docs_link: "",
    chats: [],
    github_oauth: false,
    github_client_id: "",
    discord_oauth: false,
    discord_client_id: "",
    oidc_enabled: false,
    oidc_client_id: "",
    linuxdo_oauth: false,
    linuxdo_client_id: "",
    telegram_oauth: false,
    telegram_bot_name: "",
    wechat_login: false,
    turnstile_check: false,
    turnstile_site_key: "",
    email_verification: false,
    passkey_login: false,
  },
});

export const balance = (available: number): Schemas["Balance"] => ({
  quota_available: available,
  quota_held: 500_000,
  quota_in_doubt: 0,
  quota_used: 3_750,
  credit_limit: 0,
  is_frozen: false,
});

export const token = (id: number, name: string): Schemas["Token"] => ({
  id,
  public_id: `tok_${id}`,
  user_id: 1,
  name,
  key_hint: "sk-ab…yz",
  status: "enabled",
  state: "enabled",
  group: null,
  quota: id % 2 === 0 ? 5_000_000 : null,
  quota_remaining: id % 2 === 0 ? 3_100_000 : null,
  quota_held: 0,
  quota_used: 1_900_000,
  request_limit: null,
  requests_remaining: null,
  requests_used: 0,
  expires_at: id % 2 === 0 ? "2027-01-31T12:00:00Z" : null,
  models: id % 2 === 0 ? ["demo"] : null,
  ip_allow: [],
  created_at: NOON,
  updated_at: NOON,
  last_used_at: null,
});

export const channel = (id: number, name: string, models: string[]): Schemas["Channel"] => ({
  id,
  name,
  provider: "openai",
  base_url: null,
  api_version: null,
  models,
  groups: ["default"],
  priority: 0,
  weight: 1,
  status: "enabled",
  status_reason: null,
  health: "ok",
  auto_ban: true,
  empty_reply_retry: true,
  client_abort: "cancel",
  first_output_secs: null,
  model_mapping: {},
  cache_read_ratio: null,
  key_hint: "sk-pr…9x",
  keys: [{ id, key_hint: "sk-pr…9x", status: "enabled", status_reason: null }],
  created_at: NOON,
  updated_at: NOON,
});

export const providers: Schemas["Provider"][] = [
  {
    slug: "openai",
    name: "OpenAI",
    new_api_id: 1,
    docs: null,
    keys_page: "https://platform.openai.com/api-keys",
    capabilities: ["chat"],
    models: ["gpt-5", "gpt-5-mini"],
    base_url: { is_full_url: false, default: "https://api.openai.com", help: "Leave empty for OpenAI itself." },
    key: { example: "sk-...", is_optional: false },
    fields: [],
  },
  {
    slug: "azure-openai",
    name: "Azure OpenAI",
    new_api_id: 3,
    docs: null,
    keys_page: null,
    capabilities: ["chat"],
    models: ["gpt-4o"],
    base_url: { is_full_url: false, default: null, help: "The resource's endpoint." },
    key: { example: "32 letters and digits", is_optional: false },
    fields: [
      {
        name: "api_version",
        label: "API version",
        help: "A date, or v1.",
        example: "2025-04-01-preview",
        is_required: false,
      },
    ],
  },
];

export const price = (model: string): Schemas["Price"] => ({
  model,
  model_ratio: "1.25",
  completion_ratio: "4",
  completion_ratio_is_default: false,
  cache_read_ratio: null,
  cache_write_ratio: null,
  image_ratio: null,
  audio_ratio: null,
  audio_completion_ratio: null,
  per_call_usd: null,
  usd_per_1m_input: "2.5",
  usd_per_1m_output: "10",
  usd_per_1m_cache_read: null,
  usd_per_1m_cache_write: null,
  is_priced: true,
  source: "admin",
  created_at: NOON,
  updated_at: NOON,
});

export const model = (name: string, change: Partial<Schemas["Model"]> = {}): Schemas["Model"] => ({
  model: name,
  groups: ["default"],
  is_priced: true,
  price: { per_call_usd: null, usd_per_1m_input: "2.5", usd_per_1m_output: "10", usd_per_1m_cache_read: "1.25" },
  channels: 1,
  ...change,
});

export const group: Schemas["Group"] = {
  name: "default",
  ratio: "1",
  usable: [],
  description: "",
  created_at: NOON,
  updated_at: NOON,
};

export const request = (requestId: string, change: Partial<Schemas["Request"]> = {}): Schemas["Request"] => ({
  request_id: requestId,
  user_id: 1,
  username: "ana",
  token_id: 1,
  token_name: "laptop",
  model: "demo",
  group: "default",
  outcome: "completed",
  error_code: "",
  status: 200,
  dialect: "openai",
  path: "/v1/chat/completions",
  stream: true,
  usage: {
    input: 1_000,
    output: 500,
    reasoning: 0,
    cache_read: 0,
    cache_write_5m: 0,
    cache_write_1h: 0,
    image_input: 0,
    audio_input: 0,
    audio_output: 0,
    total_input: 1_000,
    total_output: 500,
  },
  usage_estimated: false,
  quota: 3_750,
  quota_held: 9_000,
  started_at: NOON,
  finished_at: NOON,
  total_ms: 2_410,
  first_byte_ms: 312,
  attempts: 2,
  client_ip: null,
  operator: {
    node_id: "relay-1",
    channel_id: 1,
    channel_name: "Demo",
    upstream_model: "demo",
    upstream_request_id: "req_up_1",
    config_seq: 7,
    repriced: false,
  },
  ...change,
});

export const explained = (row: Schemas["Request"]): Schemas["ExplainedRequest"] => ({
  ...row,
  formula: {
    text: "1.25 × 1 × (1000 + 500×4) = 3750",
    model_ratio: "1.25",
    per_call_usd: null,
    group_ratio: "1",
    quota_per_usd: 500_000,
    classes: [
      { class: "input", tokens: 1_000, ratio: "1", subtotal: "1000" },
      { class: "output", tokens: 500, ratio: "4", subtotal: "2000" },
    ],
    exact: "3750",
    total: 3_750,
  },
  attempt_log: [
    { channel_id: 1, channel_key_id: 1, status: 429, error: "rate_limited", duration_ms: 80 },
    { channel_id: 1, channel_key_id: 2, status: 200, error: "", duration_ms: 2_300 },
  ],
});
