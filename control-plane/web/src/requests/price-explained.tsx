import i18next from "i18next";
import { useTranslation } from "react-i18next";
import type { ExplainedRequest, Formula } from "../api/requests.ts";
import { useFormat } from "../format/use-format.ts";

/** The price formula with this request's figures, and a line for each class of tokens. */
export function PriceExplained({ row }: { row: ExplainedRequest }) {
  const { t } = useTranslation();
  const { usd, units } = useFormat();
  const { formula } = row;
  if (!formula) return <p className="muted">{row.quota === 0 ? t("explain.free") : t("explain.gone")}</p>;
  const isPerCall = formula.per_call_usd !== null && formula.per_call_usd !== undefined;
  return (
    <>
      <p className="formula" data-formula>
        {formula.text}
        <br />
        <b>{`${units(formula.total)} = ${usd(formula.total)}`}</b>
      </p>
      <p className="muted">{isPerCall ? t("explain.by_call") : t("explain.by_tokens")}</p>
      {formula.classes.length > 0 && <ClassTable formula={formula} />}
      {row.usage_estimated && (
        <p>
          <span className="label label-warn">{t("explain.estimated")}</span>
        </p>
      )}
    </>
  );
}

function ClassTable({ formula }: { formula: Formula }) {
  const { t } = useTranslation();
  const { ratio, count } = useFormat();
  return (
    <table className="formula-table">
      <thead>
        <tr>
          <th scope="col">{t("explain.class")}</th>
          <th scope="col">{t("explain.tokens")}</th>
          <th scope="col">{t("explain.ratio")}</th>
          <th scope="col">{t("explain.weight")}</th>
        </tr>
      </thead>
      <tbody>
        {formula.classes.map(line => (
          <tr key={line.class}>
            <th scope="row">{className(line.class)}</th>
            <td>{count(line.tokens)}</td>
            <td>× {ratio(line.ratio)}</td>
            <td>{ratio(line.subtotal)}</td>
          </tr>
        ))}
        <tr>
          <th scope="row" colSpan={3}>
            {t("explain.model_ratio")}
          </th>
          <td>× {ratio(formula.model_ratio ?? "0")}</td>
        </tr>
        <tr>
          <th scope="row" colSpan={3}>
            {t("explain.group_ratio")}
          </th>
          <td>× {ratio(formula.group_ratio)}</td>
        </tr>
      </tbody>
      <tfoot>
        <tr>
          <th scope="row" colSpan={3}>
            {t("explain.units")}
          </th>
          <td>{count(formula.total)}</td>
        </tr>
      </tfoot>
    </table>
  );
}

/** The server may know a class that this build does not: then its own word stands. */
function className(word: string): string {
  const key = `class.${word}`;
  return i18next.exists(key) ? i18next.t(key as "class.input") : word;
}
