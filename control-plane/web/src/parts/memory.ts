/** What this browser remembers between visits. A browser that refuses storage forgets, and nothing breaks. */

/** What was kept under a name. */
export function recall(name: string): string | null {
  try {
    return window.localStorage.getItem(name);
  } catch {
    return null;
  }
}

/** Keeps a text under a name; nothing forgets it. */
export function remember(name: string, text: string | null): void {
  try {
    if (text === null) window.localStorage.removeItem(name);
    else window.localStorage.setItem(name, text);
  } catch {
    // private windows may refuse: the choice then holds for this page
  }
}
