import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { fieldOf } from "../parts/form-problem.ts";
import { LOSS_WORDS } from "./loss-words.ts";
import {
  EMPTY_SETTINGS,
  isJsonObject,
  newSettings,
  type Settings,
  type SettingsValues,
  settingsPatch,
  valuesOf,
} from "./settings-values.ts";

const all: Settings = {
  fields: { region: "us-central1" },
  param_override: { stop: null, operations: [{ mode: "delete", path: "user" }] },
  header_override: { authorization: "***", "re:^x-": "" },
  system_prompt: { text: "Be brief.", mode: "prepend" },
  force_format: true,
  thinking_to_content: true,
  media_to_markdown: true,
  pass_through_body: true,
  proxy: "http://u:***@h:1/",
  media_by_url: "inline",
  media_proxy: "socks5://h",
  status_mapping: { "404": 400 },
  allow_service_tier: true,
  allow_safety_identifier: true,
  disable_store: true,
  key_mode: "polling",
  losses: { seed: "reject" },
  test_model: "gpt-5",
};

describe("the settings of a channel", () => {
  it("come back from a form as they went in", () => {
    expect(settingsPatch(valuesOf(all))).toEqual(all);
    expect(newSettings(valuesOf(all))).toEqual(all);
  });

  it("are nothing where nothing is set, and unset what is emptied", () => {
    expect(newSettings(EMPTY_SETTINGS)).toBeUndefined();
    const patch = settingsPatch(valuesOf({}));
    expect(Object.keys(patch).sort()).toEqual(Object.keys(all).sort());
    expect(Object.values(patch).every(value => value === null)).toBe(true);
  });

  it("leave out rows and fields that hold nothing yet", () => {
    const values: SettingsValues = {
      ...EMPTY_SETTINGS,
      fields: { region: " ", account_id: " 023e " },
      losses: [{ on: "drop" }, { word: "seed", on: "drop" }],
      status_mapping: [{ from: 404 }, { from: 429, to: 503 }],
    };
    expect(newSettings(values)).toEqual({
      fields: { account_id: "023e" },
      losses: { seed: "drop" },
      status_mapping: { "429": 503 },
    });
  });
});

describe("JSON in a form", () => {
  it("is an object, or nothing", () => {
    expect(["", " ", "{}", '{"a":[1]}'].every(text => isJsonObject(text))).toBe(true);
    expect(["[]", "null", "1", "{", '"a"'].some(text => isJsonObject(text))).toBe(false);
    expect(isJsonObject('{"a":"b"}', true)).toBe(true);
    expect(isJsonObject('{"a":1}', true)).toBe(false);
  });
});

describe("the words of what may be lost", () => {
  it("are the server's", () => {
    const table = readFileSync("../../shared/dialect/src/loss/words.rs", "utf8");
    expect([...table.matchAll(/=> "([a-z_]+)"/g)].map(match => match[1])).toEqual([...LOSS_WORDS]);
  });
});

describe("a path of the API", () => {
  const values = { models: ["a"], settings: { ...EMPTY_SETTINGS, fields: { region: "" } } };

  it("leads as far as the form has fields", () => {
    expect(fieldOf(values, "models[2]")).toEqual(["models"]);
    expect(fieldOf(values, "settings.proxy")).toEqual(["settings", "proxy"]);
    expect(fieldOf(values, "settings.header_override.x-a.b")).toEqual(["settings", "header_override"]);
    expect(fieldOf(values, "settings.status_mapping.404")).toEqual(["settings", "status_mapping"]);
    expect(fieldOf(values, "settings.system_prompt.text")).toEqual(["settings", "system_prompt", "text"]);
    expect(fieldOf(values, "settings.fields.region")).toEqual(["settings", "fields", "region"]);
  });

  it("leads nowhere when the form has no such field", () => {
    expect(fieldOf(values, "settings")).toBeNull();
    expect(fieldOf(values, "settings.fields.title")).toBeNull();
    expect(fieldOf(values, "limits")).toBeNull();
  });
});
