/** The formats of this folder, bound to the reader's language and the site's units. */

import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { useUnitsPerUsd } from "../api/status.ts";
import { useLanguage } from "../i18n/i18n.ts";
import { formatCount, formatRatio } from "./count.ts";
import { formatUsd, formatUsdDecimal } from "./money.ts";
import { formatClock, formatDay, formatDuration, formatMoment, formatRelative, zoneName } from "./time.ts";

/** Formats that know language and units. */
export function useFormat() {
  const { t } = useTranslation();
  const { language } = useLanguage();
  const unitsPerUsd = useUnitsPerUsd();
  return useMemo(
    () => ({
      locale: language,
      unitsPerUsd,
      usd: (units: number) => formatUsd(units, language, unitsPerUsd),
      usdDecimal: (text: string) => formatUsdDecimal(text, language),
      units: (units: number) => t("money.units", { count: units, number: formatCount(units, language) }),
      count: (count: number) => formatCount(count, language),
      ratio: (ratio: string) => formatRatio(ratio, language),
      moment: (iso: string) => formatMoment(iso, language),
      clock: (iso: string, now: number) => formatClock(iso, language, now),
      day: (iso: string) => formatDay(iso, language),
      relative: (iso: string, now: number) => formatRelative(iso, language, now),
      duration: (millis: number) => formatDuration(millis, language),
      zone: () => zoneName(Date.now()),
    }),
    [t, language, unitsPerUsd],
  );
}
