import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { bestLanguage, languages } from "./languages.ts";

type Tree = { [key: string]: string | Tree };

function load(tag: string): Map<string, string> {
  const texts = new Map<string, string>();
  const walk = (tree: Tree, path: string) => {
    for (const [key, value] of Object.entries(tree)) {
      const full = path === "" ? key : `${path}.${key}`;
      if (typeof value === "string") texts.set(full, value);
      else walk(value, full);
    }
  };
  walk(JSON.parse(readFileSync(`src/i18n/locales/${tag}.json`, "utf8")), "");
  return texts;
}

/** The keys of a language without the endings of its plural forms. */
const PLURAL = /_(zero|one|two|few|many|other)$/;
const base = (key: string, plurals: ReadonlySet<string>) => {
  const bare = key.replace(PLURAL, "");
  return plurals.has(bare) ? bare : key;
};
const placeholders = (text: string) => [...text.matchAll(/{{\s*(\w+)\s*}}/g)].map(match => match[1]).sort();

const english = load("en");
const plurals = new Set([...english.keys()].filter(key => key.endsWith("_other")).map(key => key.replace(PLURAL, "")));
const keysOf = (texts: ReadonlyMap<string, string>) =>
  [...new Set([...texts.keys()].map(key => base(key, plurals)))].sort();

describe.each(languages.map(language => language.tag))("the texts in %s", tag => {
  const texts = load(tag);

  it("are those that English has", () => {
    expect(keysOf(texts)).toEqual(keysOf(english));
  });

  it("take the same values", () => {
    for (const [key, text] of texts) {
      const model = english.get(key) ?? english.get(`${base(key, plurals)}_other`) ?? "";
      expect(placeholders(text), key).toEqual(placeholders(model));
    }
  });

  it("have every plural form of the language", () => {
    const forms = new Intl.PluralRules(tag).resolvedOptions().pluralCategories;
    for (const key of plurals) {
      for (const form of forms) expect(texts.has(`${key}_${form}`), `${key}_${form}`).toBe(true);
    }
  });

  it("are not empty", () => {
    for (const [key, text] of texts) expect(text.trim(), key).not.toBe("");
  });

  it("are translated", () => {
    if (tag === "en") return;
    const same = [...texts].filter(([key, text]) => english.get(key) === text && /[a-z]{4,}/i.test(text));
    // names, words that are the same in French, and examples
    expect(same.length, same.map(([key]) => key).join(", ")).toBeLessThan(25);
  });
});

describe("every problem of the API", () => {
  it("has a text", () => {
    const table = readFileSync("../src/http/codes.rs", "utf8");
    const codes = [...table.matchAll(/\(S::\w+,\s*"([a-z_]+)"/g)].map(match => match[1]);
    expect(codes.length).toBeGreaterThan(20);
    for (const code of codes) expect(english.has(`problems.${code}`), code).toBe(true);
  });
});

describe("a visitor", () => {
  it("gets the first language they wish for that there is", () => {
    expect(bestLanguage(["de", "fr-CA", "en"])).toBe("fr");
    expect(bestLanguage(["ja-JP"])).toBe("ja");
    expect(bestLanguage(["zh-Hant-HK"])).toBe("zh-TW");
    expect(bestLanguage(["zh-HK"])).toBe("zh-TW");
    expect(bestLanguage(["zh-SG"])).toBe("zh-CN");
    expect(bestLanguage(["zh"])).toBe("zh-CN");
  });

  it("gets English when there is none of them", () => {
    expect(bestLanguage(["de", "pt-BR"])).toBe("en");
    expect(bestLanguage([])).toBe("en");
  });
});
