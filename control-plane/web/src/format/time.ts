/** Moments and durations for people. The API speaks RFC 3339 in UTC and milliseconds; people read their own time zone. */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Date and time to the second, with the name of the time zone. */
export function formatMoment(iso: string, locale: string, timeZone?: string): string {
  return new Intl.DateTimeFormat(locale, {
    year: "numeric",
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    timeZoneName: "short",
    timeZone,
  }).format(new Date(iso));
}

/** The time of day to the second; with the date when it is not today. */
export function formatClock(iso: string, locale: string, now: number, timeZone?: string): string {
  const moment = new Date(iso);
  const day = new Intl.DateTimeFormat("en-CA", { dateStyle: "short", timeZone });
  const time = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone } as const;
  const isToday = day.format(moment) === day.format(now);
  const date = isToday ? {} : ({ month: "short", day: "numeric" } as const);
  return new Intl.DateTimeFormat(locale, { ...date, ...time }).format(moment);
}

/** The date alone. */
export function formatDay(iso: string, locale: string, timeZone?: string): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeZone }).format(new Date(iso));
}

/** How long ago, or in how long: `3 minutes ago`, `in 2 days`. */
export function formatRelative(iso: string, locale: string, now: number): string {
  const gap = new Date(iso).getTime() - now;
  const words = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  const size = Math.abs(gap);
  if (size < MINUTE) return words.format(Math.trunc(gap / SECOND), "second");
  if (size < HOUR) return words.format(Math.trunc(gap / MINUTE), "minute");
  if (size < DAY) return words.format(Math.trunc(gap / HOUR), "hour");
  return words.format(Math.trunc(gap / DAY), "day");
}

/** A duration in the unit that keeps it short: `812ms`, `2.41s`, `3m 12s`. */
export function formatDuration(millis: number, locale: string): string {
  if (millis < SECOND) return unit(Math.round(millis), "millisecond", locale, 0);
  if (millis < MINUTE) return unit(millis / SECOND, "second", locale, 2);
  const minutes = Math.floor(millis / MINUTE);
  const seconds = Math.floor((millis % MINUTE) / SECOND);
  return `${unit(minutes, "minute", locale, 0)} ${unit(seconds, "second", locale, 0)}`;
}

/** The reader's time zone as people write it: `UTC+8`, `UTC`. */
export function zoneName(now: number, timeZone?: string): string {
  const parts = new Intl.DateTimeFormat("en", { timeZoneName: "shortOffset", timeZone }).formatToParts(now);
  const name = parts.find(part => part.type === "timeZoneName")?.value ?? "UTC";
  return name.replace("GMT", "UTC").replace(/[+-]0$/, "");
}

function unit(value: number, name: string, locale: string, places: number): string {
  const format = { style: "unit", unit: name, unitDisplay: "narrow", maximumFractionDigits: places } as const;
  return new Intl.NumberFormat(locale, format).format(value);
}
