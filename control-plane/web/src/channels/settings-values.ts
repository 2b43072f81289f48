/** What a channel does beyond sending requests on: as the form holds it, and as the API has it. */

import type { components } from "../api/schema.d.ts";

export type Settings = components["schemas"]["ChannelSettings"];
type OnLoss = components["schemas"]["OnLoss"];

/** Names are those of the API, so that its word about a field finds it. */
export interface SettingsValues {
  /** The provider's own, by name. */
  fields: Record<string, string>;
  system_prompt: { text: string; mode: components["schemas"]["SystemPromptMode"] };
  /** A JSON object. */
  param_override: string;
  /** A JSON object of texts. */
  header_override: string;
  pass_through_body: boolean;
  allow_service_tier: boolean;
  allow_safety_identifier: boolean;
  disable_store: boolean;
  losses: { word?: string; on?: OnLoss }[];
  force_format: boolean;
  thinking_to_content: boolean;
  media_to_markdown: boolean;
  status_mapping: { from?: number | null; to?: number | null }[];
  proxy: string;
  media_by_url: components["schemas"]["MediaByUrl"] | "";
  media_proxy: string;
  key_mode: components["schemas"]["KeyMode"];
  test_model: string;
}

export const EMPTY_SETTINGS: SettingsValues = {
  fields: {},
  system_prompt: { text: "", mode: "fill" },
  param_override: "",
  header_override: "",
  pass_through_body: false,
  allow_service_tier: false,
  allow_safety_identifier: false,
  disable_store: false,
  losses: [],
  force_format: false,
  thinking_to_content: false,
  media_to_markdown: false,
  status_mapping: [],
  proxy: "",
  media_by_url: "",
  media_proxy: "",
  key_mode: "random",
  test_model: "",
};

/** What a form shows of a channel. */
export function valuesOf(settings: Settings): SettingsValues {
  const json = (object: object | null | undefined) => (object ? JSON.stringify(object, null, 2) : "");
  return {
    fields: settings.fields ?? {},
    system_prompt: { text: settings.system_prompt?.text ?? "", mode: settings.system_prompt?.mode ?? "fill" },
    param_override: json(settings.param_override),
    header_override: json(settings.header_override),
    pass_through_body: settings.pass_through_body ?? false,
    allow_service_tier: settings.allow_service_tier ?? false,
    allow_safety_identifier: settings.allow_safety_identifier ?? false,
    disable_store: settings.disable_store ?? false,
    losses: Object.entries(settings.losses ?? {}).map(([word, on]) => ({ word, on })),
    force_format: settings.force_format ?? false,
    thinking_to_content: settings.thinking_to_content ?? false,
    media_to_markdown: settings.media_to_markdown ?? false,
    status_mapping: Object.entries(settings.status_mapping ?? {}).map(([from, to]) => ({ from: Number(from), to })),
    proxy: settings.proxy ?? "",
    media_by_url: settings.media_by_url ?? "",
    media_proxy: settings.media_proxy ?? "",
    key_mode: settings.key_mode ?? "random",
    test_model: settings.test_model ?? "",
  };
}

/** What the API is asked for, every field of it: `null` unsets one. The form has checked the values. */
export function settingsPatch(values: SettingsValues): { [Name in keyof Settings]-?: Settings[Name] | null } {
  const text = (typed: string) => typed.trim() || null;
  const filled = <Entry>(entries: [string, Entry][]) => (entries.length > 0 ? Object.fromEntries(entries) : null);
  const own = Object.entries(values.fields).map(([name, typed]): [string, string] => [name, typed?.trim() ?? ""]);
  const losses = values.losses.flatMap(({ word, on }): [string, OnLoss][] => (word && on ? [[word, on]] : []));
  const statuses = values.status_mapping.flatMap(({ from, to }): [string, number][] =>
    from && to ? [[String(from), to]] : [],
  );
  return {
    fields: filled(own.filter(([, typed]) => typed !== "")),
    system_prompt: text(values.system_prompt.text) === null ? null : values.system_prompt,
    param_override: jsonObject(values.param_override),
    header_override: jsonObject(values.header_override) as Record<string, string> | null,
    pass_through_body: values.pass_through_body || null,
    allow_service_tier: values.allow_service_tier || null,
    allow_safety_identifier: values.allow_safety_identifier || null,
    disable_store: values.disable_store || null,
    losses: filled(losses),
    force_format: values.force_format || null,
    thinking_to_content: values.thinking_to_content || null,
    media_to_markdown: values.media_to_markdown || null,
    status_mapping: filled(statuses),
    proxy: text(values.proxy),
    media_by_url: values.media_by_url || null,
    media_proxy: text(values.media_proxy),
    key_mode: values.key_mode === "random" ? null : values.key_mode,
    test_model: values.test_model || null,
  };
}

/** The settings of a new channel: those that are set. Nothing where none is. */
export function newSettings(values: SettingsValues): Settings | undefined {
  const set = Object.entries(settingsPatch(values)).filter(([, value]) => value !== null);
  return set.length > 0 ? Object.fromEntries(set) : undefined;
}

/** Whether a text is a JSON object; of texts alone, where it must be. An empty one is none, and fine. */
export function isJsonObject(typed: string, ofTexts = false): boolean {
  if (typed.trim() === "") return true;
  const object = jsonObject(typed);
  return object !== null && (!ofTexts || Object.values(object).every(value => typeof value === "string"));
}

function jsonObject(typed: string): Record<string, unknown> | null {
  try {
    const read: unknown = JSON.parse(typed);
    return typeof read === "object" && read !== null && !Array.isArray(read) ? (read as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
