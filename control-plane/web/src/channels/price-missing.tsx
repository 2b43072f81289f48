import { Alert } from "antd";
import { useTranslation } from "react-i18next";
import { type Dialog, openDialog } from "../layout/open-dialog.ts";

const OFFERED = 6;

interface PriceMissingProps {
  models: readonly string[];
  /** The form to go back to when a price is set. */
  back?: Dialog;
}

/** Says which models are refused because they have no price, and offers to set it. */
export function PriceMissing({ models, back }: PriceMissingProps) {
  const { t } = useTranslation();
  if (models.length === 0) return null;
  const offered = models.slice(0, OFFERED);
  const rest = models.slice(OFFERED);
  const links = (
    <span className="row" style={{ gap: "2px 14px" }}>
      {offered.map(model => (
        <button
          key={model}
          type="button"
          className="plain-button link-button"
          onClick={() => openDialog({ form: "price", model, back })}
        >
          {t("price.set", { model })}
        </button>
      ))}
      {rest.length > 0 && <span title={rest.join(", ")}>{t("and_more", { number: rest.length })}</span>}
    </span>
  );
  return <Alert type="warning" showIcon title={t("price.missing", { number: models.length })} description={links} />;
}
