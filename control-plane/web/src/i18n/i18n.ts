/** Loads one language at a time: its texts and what the component library says itself. */

import type { Locale } from "antd/es/locale";
import i18next from "i18next";
import { useSyncExternalStore } from "react";
import { initReactI18next } from "react-i18next";
import { recall, remember } from "../parts/memory.ts";
import { bestLanguage, type Language } from "./languages.ts";
import type en from "./locales/en.json";

/** Every text, by its key, as English has it. */
export type Messages = typeof en;

interface Pack {
  messages: { default: object };
  components: { default: Locale };
}

const packs: Record<Language, () => Promise<[Pack["messages"], Pack["components"]]>> = {
  en: () => Promise.all([import("./locales/en.json"), import("antd/es/locale/en_US")]),
  "zh-CN": () => Promise.all([import("./locales/zh-CN.json"), import("antd/es/locale/zh_CN")]),
  "zh-TW": () => Promise.all([import("./locales/zh-TW.json"), import("antd/es/locale/zh_TW")]),
  ja: () => Promise.all([import("./locales/ja.json"), import("antd/es/locale/ja_JP")]),
  fr: () => Promise.all([import("./locales/fr.json"), import("antd/es/locale/fr_FR")]),
};

const KEY = "sluice.language";
const listeners = new Set<() => void>();
let current: { language: Language; components: Locale | undefined } = { language: "en", components: undefined };

/** The language this visitor gets: the one they chose here, else the first their browser wishes that we have. */
export function wishedLanguage(): Language {
  const saved = recall(KEY);
  return bestLanguage(saved ? [saved, ...navigator.languages] : navigator.languages);
}

/** Loads a language and shows everything in it. */
export async function showLanguage(language: Language): Promise<void> {
  const [messages, components] = await packs[language]();
  if (!i18next.isInitialized) {
    await i18next.use(initReactI18next).init({
      lng: language,
      fallbackLng: false,
      resources: { [language]: { translation: messages.default } },
      interpolation: { escapeValue: false },
      returnNull: false,
    });
  } else {
    i18next.addResourceBundle(language, "translation", messages.default);
    await i18next.changeLanguage(language);
  }
  document.documentElement.lang = language;
  current = { language, components: components.default };
  for (const listener of listeners) listener();
}

/** Shows everything in a language, in this and every later visit. */
export async function chooseLanguage(language: Language): Promise<void> {
  await showLanguage(language);
  remember(KEY, language);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The language shown, with the component library's own texts. */
export const useLanguage = () => useSyncExternalStore(subscribe, () => current);
