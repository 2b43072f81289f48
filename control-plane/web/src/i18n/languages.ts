/** The languages of the console, and which one a visitor gets. */

/** A language by its tag, as `Intl` and the `lang` attribute take it. */
export type Language = "en" | "zh-CN" | "zh-TW" | "ja" | "fr";

/** Each language under its own name. */
export const languages: readonly { tag: Language; name: string }[] = [
  { tag: "en", name: "English" },
  { tag: "zh-CN", name: "简体中文" },
  { tag: "zh-TW", name: "繁體中文" },
  { tag: "ja", name: "日本語" },
  { tag: "fr", name: "Français" },
];

/** The first language of a list of wishes that the console has; English when it has none of them. */
export function bestLanguage(wishes: readonly string[]): Language {
  for (const wish of wishes) {
    const match = ourLanguage(wish);
    if (match) return match;
  }
  return "en";
}

function ourLanguage(wish: string): Language | undefined {
  const tag = wish.toLowerCase();
  if (tag === "zh" || tag.startsWith("zh-")) return /hant|-tw|-hk|-mo/.test(tag) ? "zh-TW" : "zh-CN";
  const primary = tag.split("-")[0];
  return languages.find(language => language.tag === primary)?.tag;
}
