import { describe, expect, it } from "vitest";
import type { Provider } from "../api/channels.ts";
import { EMPTY, linesOf, newChannel, onProviderChosen } from "./new-channel.ts";

const provider = (name: string, models: string[]): Provider => ({
  slug: name.toLowerCase(),
  name,
  new_api_id: null,
  docs: null,
  keys_page: null,
  capabilities: [],
  models,
  base_url: { is_full_url: false, default: null, help: "" },
  key: { example: "", is_optional: false },
  fields: [],
  definition: null,
});

describe("a new channel", () => {
  it("leaves out what is empty", () => {
    const asked = newChannel({ ...EMPTY, provider: "openai", name: " OpenAI ", models: ["gpt-5"], keys: " sk-1 \n" });
    expect(asked).toEqual({
      name: "OpenAI",
      provider: "openai",
      models: ["gpt-5"],
      groups: ["default"],
      priority: 0,
      weight: 1,
      key: "sk-1",
    });
  });

  it("has several keys when several lines hold one", () => {
    const asked = newChannel({ ...EMPTY, provider: "openai", name: "a", keys: "sk-1\n\nsk-2\r\nsk-1" });
    expect(asked.keys).toEqual(["sk-1", "sk-2"]);
    expect(asked.key).toBeUndefined();
  });

  it("has no key where none is written", () => {
    const asked = newChannel({ ...EMPTY, provider: "custom", name: "a", base_url: " http://localhost:1/v1 " });
    expect(asked).not.toHaveProperty("key");
    expect(asked).not.toHaveProperty("keys");
    expect(asked.base_url).toBe("http://localhost:1/v1");
  });

  it("reads lines of any system", () => {
    expect(linesOf("a\r\nb\n\n a ")).toEqual(["a", "b"]);
  });
});

describe("another provider", () => {
  const openai = provider("OpenAI", ["gpt-5"]);
  const azure = provider("Azure", ["gpt-4o"]);

  it("brings its name and models", () => {
    expect(onProviderChosen(openai, undefined, { name: "", models: [] })).toEqual({
      name: "OpenAI",
      models: ["gpt-5"],
    });
    expect(onProviderChosen(azure, openai, { name: "OpenAI", models: ["gpt-5"] })).toEqual({
      name: "Azure",
      models: ["gpt-4o"],
    });
  });

  it("leaves what somebody wrote", () => {
    expect(onProviderChosen(azure, openai, { name: "Mine", models: ["o3"] })).toEqual({ name: "Mine", models: ["o3"] });
  });
});
