/**
 * Money as the API counts it, whole quota units, and as people read it, US dollars.
 *
 * Amounts never pass through a binary fraction: dollars are made of and read from decimal text.
 */

/** Units to one US dollar unless `/api/status` says otherwise. */
export const UNITS_PER_USD = 500_000;

/** The largest amount of units either way: what a balance can hold. */
export const MAX_UNITS = Number.MAX_SAFE_INTEGER;

/** Places after the point that show every unit: 1 / 500,000 is 0.000002. */
const PLACES = 6;
const MILLION = 10n ** BigInt(PLACES);

/** Why typed dollars are not an amount. */
export type MoneyFault = "empty" | "not_a_number" | "negative" | "too_precise" | "too_large";

/** Typed dollars: the units they are, or why they are none. */
export type ParsedMoney = { ok: true; units: number } | { ok: false; fault: MoneyFault };

/** Units as US dollars in plain decimal text with six places, rounded half away from zero where the rate makes longer ones. */
export function usdText(units: number, unitsPerUsd: number = UNITS_PER_USD): `${number}` {
  const rate = BigInt(unitsPerUsd);
  const size = BigInt(Math.abs(Math.trunc(units))) * MILLION;
  const millionths = (size * 2n + rate) / (rate * 2n);
  const whole = millionths / MILLION;
  const rest = (millionths % MILLION).toString().padStart(PLACES, "0");
  const sign = units < 0 && millionths > 0n ? "-" : "";
  return `${sign}${whole}.${rest}` as `${number}`;
}

/** Units as US dollars for people: at least cents, and every place that is not zero. */
export function formatUsd(units: number, locale: string, unitsPerUsd: number = UNITS_PER_USD): string {
  return dollars(locale, PLACES).format(usdText(units, unitsPerUsd));
}

/** A price in dollars given as decimal text, with as many places as it has. */
export function formatUsdDecimal(text: string, locale: string): string {
  return dollars(locale, 12).format(text as `${number}`);
}

/** Reads dollars as a person types them in a locale: `12.5`, `1,000`, `12,5` where the comma is the point. */
export function parseUsd(typed: string, locale: string, unitsPerUsd: number = UNITS_PER_USD): ParsedMoney {
  const text = plain(typed, locale);
  if (text === "") return { ok: false, fault: "empty" };
  const match = /^(-?)(\d*)(?:\.(\d*))?$/.exec(text);
  if (!match || `${match[2]}${match[3] ?? ""}` === "") return { ok: false, fault: "not_a_number" };
  const fraction = match[3] ?? "";
  const scale = 10n ** BigInt(fraction.length);
  const scaled = BigInt(`${match[2]}${fraction}`) * BigInt(unitsPerUsd);
  if (match[1] === "-" && scaled > 0n) return { ok: false, fault: "negative" };
  if (scaled % scale !== 0n) return { ok: false, fault: "too_precise" };
  const units = scaled / scale;
  if (units > BigInt(MAX_UNITS)) return { ok: false, fault: "too_large" };
  return { ok: true, units: Number(units) };
}

/** Reads a decimal that is not negative, such as a price, into plain text; `null` when it is none. */
export function parseDecimal(typed: string, locale: string): string | null {
  const text = plain(typed, locale);
  if (!/^\d{1,12}(\.\d{0,9})?$|^\.\d{1,9}$/.test(text)) return null;
  const [whole = "", fraction = ""] = text.split(".");
  const shortened = fraction.replace(/0+$/, "");
  const plainWhole = whole.replace(/^0+(?=\d)/, "") || "0";
  return shortened === "" ? plainWhole : `${plainWhole}.${shortened}`;
}

/** Drops currency signs and grouping, and turns the locale's point into a dot. */
function plain(typed: string, locale: string): string {
  const parts = new Intl.NumberFormat(locale).formatToParts(12345.6);
  const point = parts.find(part => part.type === "decimal")?.value ?? ".";
  const grouping = parts.find(part => part.type === "group")?.value ?? ",";
  const bare = typed.trim().replace(/^US\$|^\$|\$(?:US)?$/g, "");
  const ungrouped = bare
    .replace(/[\s\u00a0\u202f']/g, "")
    .replace(new RegExp(`\\${grouping}(?=\\d{3}(?!\\d))`, "g"), "");
  return point === "." ? ungrouped : ungrouped.replace(point, ".");
}

const formats = new Map<string, Intl.NumberFormat>();

function dollars(locale: string, places: number): Intl.NumberFormat {
  const key = `${locale} ${places}`;
  const known = formats.get(key);
  if (known) return known;
  const made = new Intl.NumberFormat(locale, {
    style: "currency",
    currency: "USD",
    currencyDisplay: "narrowSymbol",
    minimumFractionDigits: 2,
    maximumFractionDigits: places,
  });
  formats.set(key, made);
  return made;
}
