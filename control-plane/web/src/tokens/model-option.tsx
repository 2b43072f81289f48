import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { PriceSummary } from "../api/models.ts";
import { useFormat } from "../format/use-format.ts";

interface ModelOptionProps {
  name: ReactNode;
  /** `null`: it has none; `undefined`: nothing is known of the name. */
  price: PriceSummary | null | undefined;
}

/** A model to choose, with what it costs. */
export function ModelOption({ name, price }: ModelOptionProps) {
  return (
    <span className="row spread" style={{ flexWrap: "nowrap" }}>
      <span className="mono cut">{name}</span>
      {price !== undefined && <PriceNote price={price} />}
    </span>
  );
}

function PriceNote({ price }: { price: PriceSummary | null }) {
  const { t } = useTranslation();
  const { usdDecimal } = useFormat();
  if (!price) return <span className="label label-warn">{t("price.none")}</span>;
  const { per_call_usd: call, usd_per_1m_input: input, usd_per_1m_output: output } = price;
  if (call !== null) return <span className="muted">{t("price.by_call", { amount: usdDecimal(call) })}</span>;
  return (
    <span className="muted">
      {t("price.summary", { input: usdDecimal(input ?? "0"), output: usdDecimal(output ?? "0") })}
    </span>
  );
}
