/** How often live figures are asked for: often while something happens, rarely on a page left open. */

/** While something happened in the last minute. */
export const LIVELY_MILLIS = 2_500;
/** While nothing does. */
export const CALM_MILLIS = 10_000;
const LIVELY_FOR_MILLIS = 60_000;

let lastEvent = 0;

/** Something happened: a request came in, somebody did something on the page. */
export function noteActivity(now: number = Date.now()): void {
  lastEvent = now;
}

/** Milliseconds until the next look. A hidden page is not looked at, whatever this says. */
export function pace(now: number = Date.now()): number {
  return now - lastEvent < LIVELY_FOR_MILLIS ? LIVELY_MILLIS : CALM_MILLIS;
}
