/**
 * The key that was shown last, for the snippets on this page. In memory only: a reload forgets it, and so does signing out.
 */

import { useSyncExternalStore } from "react";

let fresh: string | null = null;
const listeners = new Set<() => void>();

/** Keeps the key that was just made or revealed; `null` forgets it. */
export function keepFreshKey(key: string | null): void {
  fresh = key;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The key shown last on this page. */
export const useFreshKey = (): string | null => useSyncExternalStore(subscribe, () => fresh);
