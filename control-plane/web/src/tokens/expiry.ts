/** When a token ends, as the form offers it. */

/** What can be chosen: for ever, a number of days, or a moment of one's own. */
export const EXPIRY_CHOICES = ["never", "1", "7", "30", "90", "365", "custom"] as const;

export type ExpiryChoice = (typeof EXPIRY_CHOICES)[number];

const DAY_MILLIS = 24 * 3_600_000;

/**
 * The moment a choice means, for the API; nothing means never. `custom` is local time as the browser's own field gives it,
 * `2026-12-31T18:00`.
 */
export function expiresAt(choice: ExpiryChoice, custom: string, now: number): string | undefined {
  if (choice === "never") return undefined;
  const moment = choice === "custom" ? new Date(custom) : new Date(now + Number(choice) * DAY_MILLIS);
  return moment.toISOString();
}

/** Whether a moment of one's own can be used: it is one, and it is to come. */
export function isComing(custom: string, now: number): boolean {
  const millis = new Date(custom).getTime();
  return Number.isFinite(millis) && millis > now;
}
