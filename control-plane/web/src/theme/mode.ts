/** Whether the reader wants light, dark, or what their system says; remembered in this browser. */

import { useSyncExternalStore } from "react";
import { recall, remember } from "../parts/memory.ts";
import type { Shade } from "./palette.ts";

/** What can be chosen. */
export type Mode = "system" | Shade;

export const modes: readonly Mode[] = ["system", "light", "dark"];

const KEY = "sluice.theme";
const system = () => window.matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

/** What was chosen. */
export function chosenMode(): Mode {
  const saved = recall(KEY);
  return modes.find(mode => mode === saved) ?? "system";
}

/** The shade that follows from the choice and the system. */
export function currentShade(): Shade {
  const mode = chosenMode();
  if (mode !== "system") return mode;
  return system().matches ? "dark" : "light";
}

/** Chooses, for this and every later visit. */
export function chooseMode(mode: Mode): void {
  remember(KEY, mode);
  for (const listener of listeners) listener();
}

const stillness = () => window.matchMedia("(prefers-reduced-motion: reduce)");

function subscribe(listener: () => void): () => void {
  const queries = [system(), stillness()];
  listeners.add(listener);
  for (const query of queries) query.addEventListener("change", listener);
  return () => {
    listeners.delete(listener);
    for (const query of queries) query.removeEventListener("change", listener);
  };
}

export const useMode = (): Mode => useSyncExternalStore(subscribe, chosenMode);
/** Whether things may move. */
export const useMotion = (): boolean => useSyncExternalStore(subscribe, () => !stillness().matches);
export const useShade = (): Shade => useSyncExternalStore(subscribe, currentShade);
