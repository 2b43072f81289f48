/** Counts for people: tokens, requests, positions. */

/** A whole number with the locale's grouping. */
export function formatCount(count: number, locale: string): string {
  return new Intl.NumberFormat(locale, { maximumFractionDigits: 0 }).format(count);
}

/** A ratio given as decimal text, with the places it has. */
export function formatRatio(ratio: string, locale: string): string {
  return new Intl.NumberFormat(locale, { maximumFractionDigits: 12 }).format(ratio as `${number}`);
}
