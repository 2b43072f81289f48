/**
 * Notices that the server is another build than the one this page came from (PROMISE-32).
 *
 * Every answer names its build. The first answer after loading is of the build the page came from; a different one later means
 * that the server was replaced, and a chunk that cannot be loaded means the same.
 */

import { useSyncExternalStore } from "react";

export const BUILD_HEADER = "x-sluice-build";

let first: string | undefined;
let isOutdated = false;
const listeners = new Set<() => void>();

/** Takes note of the build an answer names; answers without one say nothing. */
export function noteBuild(build: string | null): void {
  if (build === null || build === "") return;
  first ??= build;
  if (build !== first) noteOutdated();
}

/** Takes note that this page is of a build that is gone. */
export function noteOutdated(): void {
  if (isOutdated) return;
  isOutdated = true;
  for (const listener of listeners) listener();
}

/** Forgets what was noted: what a reload does. */
export function forgetBuild(): void {
  first = undefined;
  isOutdated = false;
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Whether the server is another build than this page. */
export const useIsOutdated = (): boolean => useSyncExternalStore(subscribe, () => isOutdated);
