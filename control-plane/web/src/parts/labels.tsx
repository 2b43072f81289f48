import { useTranslation } from "react-i18next";
import type { Outcome } from "../api/requests.ts";
import type { components } from "../api/schema.d.ts";

type Status = components["schemas"]["StatusName"];

const STATUS_KIND: Record<Status, string> = { enabled: "good", disabled: "plain", auto_disabled: "bad" };
const OUTCOME_KIND: Record<Outcome, string> = {
  completed: "good",
  failed: "bad",
  truncated: "warn",
  aborted: "plain",
  orphaned: "warn",
};

/** Whether something may be used. */
export function StatusLabel({ status }: { status: Status }) {
  const { t } = useTranslation();
  return <span className={`label label-${STATUS_KIND[status]}`}>{t(`status.${status}`)}</span>;
}

/** How a request ended. */
export function OutcomeLabel({ outcome }: { outcome: Outcome }) {
  const { t } = useTranslation();
  return (
    <span className={`label label-${OUTCOME_KIND[outcome]}`} title={t(`outcome_help.${outcome}`)}>
      {t(`outcome.${outcome}`)}
    </span>
  );
}

interface NamesProps {
  names: readonly string[];
  /** How many of them are written out. */
  most?: number;
  /** Those something is wrong with. They come first. */
  marked?: ReadonlySet<string>;
  /** What is wrong with them. */
  mark?: string;
}

/** Names in a row, the first few of them. */
export function Names({ names, most = 4, marked, mark }: NamesProps) {
  const { t } = useTranslation();
  const sorted = marked
    ? [...names.filter(name => marked.has(name)), ...names.filter(name => !marked.has(name))]
    : names;
  const rest = sorted.slice(most);
  return (
    <span className="tags">
      {sorted.slice(0, most).map(name =>
        marked?.has(name) ? (
          <span key={name} className="tag tag-warn" title={`${name}: ${mark}`}>
            {name} <span className="visually-hidden">{mark}</span>
          </span>
        ) : (
          <span key={name} className="tag" title={name}>
            {name}
          </span>
        ),
      )}
      {rest.length > 0 && (
        <span className="tag" title={rest.join(", ")}>
          {t("and_more", { number: rest.length })}
        </span>
      )}
    </span>
  );
}
