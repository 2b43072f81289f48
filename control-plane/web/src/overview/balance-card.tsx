import { QuestionCircleOutlined } from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { Alert, Tooltip } from "antd";
import { useTranslation } from "react-i18next";
import { balanceQuery } from "../api/people.ts";
import { useIsRoot } from "../api/session.ts";
import { useFormat } from "../format/use-format.ts";
import { Late } from "../parts/late.tsx";
import { ProblemAlert } from "../parts/problem-alert.tsx";
import { AddCredit } from "./add-credit.tsx";

/** Am I within budget: what can be spent, what relays hold, what is in doubt, what was used. */
export function BalanceCard() {
  const { t } = useTranslation();
  const balance = useQuery(balanceQuery);
  return (
    <section className="card home-money" aria-label={t("balance.title")}>
      {balance.data ? (
        <div className="stack">
          <dl className="metrics">
            <Metric name="available" units={balance.data.quota_available} isFirst />
            <Metric name="held" units={balance.data.quota_held} />
            <Metric name="in_doubt" units={balance.data.quota_in_doubt} />
            <Metric name="used" units={balance.data.quota_used} />
          </dl>
          {balance.data.quota_available <= 0 && <Empty />}
        </div>
      ) : balance.error ? (
        <ProblemAlert problem={balance.error} onRetry={() => balance.refetch()} />
      ) : (
        <Late rows={2} />
      )}
    </section>
  );
}

/** Nothing to spend: requests are refused, and who can change that. */
function Empty() {
  const { t } = useTranslation();
  const isRoot = useIsRoot();
  return (
    <Alert
      type="warning"
      showIcon
      title={t("balance.empty")}
      description={isRoot ? undefined : t("balance.empty_text")}
      action={isRoot ? <AddCredit /> : undefined}
    />
  );
}

interface MetricProps {
  name: "available" | "held" | "in_doubt" | "used";
  units: number;
  isFirst?: boolean;
}

function Metric({ name, units, isFirst = false }: MetricProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const isRoot = useIsRoot();
  const help = t(`balance.${name}_help`);
  return (
    <div className={isFirst ? "metric-first" : undefined}>
      <dt>
        {t(`balance.${name}`)}{" "}
        <Tooltip title={help}>
          <button type="button" className="plain-button" aria-label={help}>
            <QuestionCircleOutlined />
          </button>
        </Tooltip>
        {isFirst && isRoot && " · "}
        {isFirst && isRoot && <AddCredit look="link" />}
      </dt>
      <dd>
        <div className="metric-amount" data-metric={name}>
          {format.usd(units)}
        </div>
        <div className="metric-units">{format.units(units)}</div>
      </dd>
    </div>
  );
}
