/** Which form is open. One at a time. */

import { useSyncExternalStore } from "react";
import type { Channel } from "../api/channels.ts";

/** A form that can be opened from anywhere. */
export type Dialog =
  | { form: "token" }
  | { form: "channel" }
  | { form: "settings"; channel: Channel }
  | { form: "credit" }
  /** `back` is the form that asked for the price, and shows again after it. */
  | { form: "price"; model: string; back?: Dialog };

let open: Dialog | null = null;
const listeners = new Set<() => void>();

/** Opens a form. */
export function openDialog(dialog: Dialog): void {
  show(dialog);
}

/** Closes the form that is open; the one it was opened from shows again. */
export function closeDialog(): void {
  show(open?.form === "price" ? (open.back ?? null) : null);
}

/** Closes every form: nobody is signed in any more. */
export function closeDialogs(): void {
  show(null);
}

function show(dialog: Dialog | null): void {
  open = dialog;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The form that is open. */
export const useDialog = (): Dialog | null => useSyncExternalStore(subscribe, () => open);
