import { describe, expect, it } from "vitest";
import { model } from "../test/fake-answers.ts";
import { knownModels } from "./known-models.ts";

const MODELS = [
  model("a-unpriced", { is_priced: false, price: null }),
  model("b-elsewhere", { groups: ["svip"] }),
  model("c-usable"),
];

describe("models", () => {
  it("that work come first, and are what snippets name", () => {
    const known = knownModels(MODELS, "default", true);
    expect(known.usable).toEqual(["c-usable"]);
    expect(known.all.map(({ model }) => model)).toEqual(["c-usable", "a-unpriced", "b-elsewhere"]);
  });

  it("without a price are told to who can set one", () => {
    expect(knownModels(MODELS, "default", true).unpriced).toEqual(["a-unpriced"]);
    expect(knownModels(MODELS, "default", false).unpriced).toEqual([]);
    expect(knownModels(undefined, "default", true).unpriced).toBeUndefined();
  });
});
