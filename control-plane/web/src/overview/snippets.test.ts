import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { curl, node, python } from "./snippets.ts";

const filling = { baseUrl: "http://localhost:3000/v1", key: "sk-abc", model: "demo" };

describe("snippets", () => {
  it("hold address, key and model", () => {
    for (const snippet of [curl(filling), python(filling), node(filling)]) {
      expect(snippet).toContain("http://localhost:3000/v1");
      expect(snippet).toContain("sk-abc");
      expect(snippet).toContain('"demo"');
    }
  });

  it("survive a shell whatever the model is called", () => {
    const command = curl({ ...filling, model: "it's $HOME `id`" });
    const shown = execFileSync("sh", ["-c", command.replace(/^curl/, "printf '%s\\n'")], { encoding: "utf8" });
    const body = JSON.parse(shown.slice(shown.indexOf("{")));
    expect(body.model).toBe("it's $HOME `id`");
    expect(shown).toContain("Authorization: Bearer sk-abc");
  });
});
