import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import type { components } from "../api/schema.d.ts";
import { channel } from "../test/fake-answers.ts";
import { type FakeApi, refusal } from "../test/fake-api.ts";
import { show } from "../test/show.tsx";

type Schemas = components["schemas"];

const NOON = "2026-11-21T12:00:00Z";

const found = (result: Partial<Schemas["ErrandResult"]>): Schemas["ErrandResult"] => ({
  ok: true,
  status: 200,
  error: null,
  error_type: null,
  error_code: null,
  message: null,
  latency_ms: 1_234,
  first_byte_ms: null,
  input_tokens: 8,
  output_tokens: 2,
  quota: 7,
  models: null,
  amount: null,
  currency: null,
  ...result,
});

const errand = (id: number, key: number, result: Schemas["ErrandResult"] | null): Schemas["Errand"] => ({
  id,
  kind: "test",
  state: result ? "done" : "running",
  channel_id: 1,
  key_id: key,
  model: "gpt-5",
  relay: "relay-1",
  asked_at: NOON,
  done_at: result ? NOON : null,
  result,
});

const TWO_KEYS = {
  ...channel(1, "A", ["gpt-5"]),
  keys: [11, 12].map(id => ({ id, key_hint: `sk-${id}…9x`, status: "enabled" as const, status_reason: null })),
};

async function open(channels: Schemas["Channel"][]): Promise<FakeApi> {
  const api = await show("/channels", { channels, pricedModels: ["gpt-5"] });
  fireEvent.click(await screen.findByRole("button", { name: "Try A" }));
  return api;
}

const choose = async (name: string) => fireEvent.click(await screen.findByRole("menuitem", { name }));

describe("what relays try with a channel", () => {
  it("is told with how long a model took to answer", async () => {
    const api = await open([channel(1, "A", ["gpt-5"])]);
    api.overrides.set("POST /api/channels/1/test", () => Response.json(errand(5, 1, found({}))));
    await choose("Test");
    await screen.findByText(/^A answered in 1\.2/);
    expect(api.calls("POST", "/api/channels/1/test")[0]?.body).toEqual({ key_id: null, all_keys: false });
    await waitFor(() => expect(api.calls("GET", "/api/channels").length).toBeGreaterThan(1));
  });

  it("is told with the upstream's reason, and never as if it had passed", async () => {
    const api = await open([channel(1, "A", ["gpt-5"])]);
    const refused = found({
      ok: false,
      status: 401,
      message: "no such key",
      error_code: "invalid_api_key",
      quota: null,
    });
    api.overrides.set("POST /api/channels/1/test", () => Response.json(errand(5, 1, refused)));
    await choose("Test");
    await screen.findByText("A failed · no such key · HTTP 401 · invalid_api_key");
    expect(screen.queryByText(/answered in/)).toBeNull();
  });

  it("is waited for when it takes longer than its request", async () => {
    const api = await open([channel(1, "A", ["gpt-5"])]);
    api.overrides.set("POST /api/channels/1/test", () => Response.json({ ids: [5], left_out: 0 }, { status: 202 }));
    api.overrides.set("GET /api/errands/5", () => Response.json(errand(5, 1, found({ latency_ms: 20_000 }))));
    await choose("Test");
    await screen.findByText(/^A answered in 20/);
  });

  it("goes with one key, or with each of them", async () => {
    const api = await open([TWO_KEYS]);
    api.overrides.set("POST /api/channels/1/test", ({ body }) =>
      body.all_keys
        ? Response.json({ ids: [5, 6], left_out: 0 }, { status: 202 })
        : Response.json(errand(7, Number(body.key_id), found({}))),
    );
    const failed = found({ ok: false, status: 401, message: "no such key" });
    api.overrides.set("GET /api/errands/5", () => Response.json(errand(5, 11, found({}))));
    api.overrides.set("GET /api/errands/6", () => Response.json(errand(6, 12, failed)));
    fireEvent.mouseEnter(await screen.findByRole("menuitem", { name: /Test with a key/ }));
    await choose("sk-12…9x");
    await screen.findByText(/^A answered in/);
    expect(api.calls("POST", "/api/channels/1/test")[0]?.body).toEqual({ key_id: 12, all_keys: false });

    fireEvent.click(screen.getByRole("button", { name: "Try A" }));
    fireEvent.mouseEnter(await screen.findByRole("menuitem", { name: /Test with a key/ }));
    await choose("All keys");
    await screen.findByText("A: 1 of 2 keys work. · sk-12…9x · no such key");
  });

  it("offers models that the channel does not serve yet, and adds them", async () => {
    const api = await open([channel(1, "A", ["gpt-5"])]);
    const list = { ...errand(5, 1, found({ models: ["gpt-5", "gpt-6"], quota: null })), kind: "models" as const };
    api.overrides.set("POST /api/channels/1/models", () => Response.json(list));
    await choose("Fetch models");
    const dialog = await screen.findByRole("dialog");
    await within(dialog).findByText("gpt-6");
    fireEvent.click(within(dialog).getByRole("button", { name: "Add them" }));
    await waitFor(() => expect(api.calls("PATCH", "/api/channels/1")).toHaveLength(1));
    expect(api.calls("PATCH", "/api/channels/1")[0]?.body).toEqual({ models: ["gpt-5", "gpt-6"] });
  });

  it("tells what is left of the money, and what cannot be asked", async () => {
    const api = await open([channel(1, "A", ["gpt-5"])]);
    const left = { ...errand(5, 1, found({ amount: "10.5", currency: "USD" })), kind: "balance" as const };
    api.overrides.set("POST /api/channels/1/balance", () => Response.json(left));
    await choose("Balance");
    await screen.findByText("A has 10.5 USD left.");
    const rule = { field: "provider", code: "not_offered", detail: "the provider does not say" };
    api.overrides.set("POST /api/channels/1/balance", () => refusal(422, "invalid", [rule]));
    fireEvent.click(screen.getByRole("button", { name: "Try A" }));
    await choose("Balance");
    await screen.findByText(/Detail of invalid|does not say/);
  });
});

describe("a channel in the list", () => {
  it("shows how its last test went and what was left of its money", async () => {
    const test = { at: NOON, ok: false, latency_ms: 30, model: "gpt-5", message: "no such key" };
    const balance = { at: NOON, amount: "3.2", currency: "CNY" };
    await show("/channels", { channels: [{ ...channel(1, "A", ["gpt-5"]), last_test: test, balance }] });
    expect((await screen.findByText("The test failed")).title).toContain("no such key");
    await screen.findByText("Left: 3.2 CNY");
  });
});
