import { useQuery } from "@tanstack/react-query";
import { Drawer } from "antd";
import { useTranslation } from "react-i18next";
import { type ExplainedRequest, requestQuery } from "../api/requests.ts";
import { useFormat } from "../format/use-format.ts";
import { CopyButton } from "../parts/copy-button.tsx";
import { OutcomeLabel } from "../parts/labels.tsx";
import { Late } from "../parts/late.tsx";
import { ProblemAlert } from "../parts/problem-alert.tsx";
import { AttemptList } from "./attempt-list.tsx";
import { PriceExplained } from "./price-explained.tsx";

interface ExplainDrawerProps {
  requestId: string;
  onClose: () => void;
}

/** Why a request cost what it cost, who answered it, how long that took, and the ids to ask about it with. */
export default function ExplainDrawer({ requestId, onClose }: ExplainDrawerProps) {
  const { t } = useTranslation();
  const request = useQuery(requestQuery(requestId));
  return (
    <Drawer open onClose={onClose} size={560} title={t("explain.title")} styles={{ wrapper: { maxWidth: "100vw" } }}>
      {request.data ? (
        <Explained row={request.data} />
      ) : request.error ? (
        <ProblemAlert problem={request.error} onRetry={() => request.refetch()} />
      ) : (
        <Late rows={8} />
      )}
    </Drawer>
  );
}

function Explained({ row }: { row: ExplainedRequest }) {
  const { t } = useTranslation();
  const { usd, units, moment } = useFormat();
  return (
    <div className="stack" style={{ gap: 28 }}>
      <div className="stack-tight">
        <div className="row spread">
          <span className="big-amount">{usd(row.quota)}</span>
          <OutcomeLabel outcome={row.outcome} />
        </div>
        <span className="muted">
          {units(row.quota)} · <span className="mono">{row.model}</span> · {moment(row.started_at)}
        </span>
        {row.error_code && (
          <span>
            {t("explain.reason")} <code className="mono">{row.error_code}</code>
          </span>
        )}
      </div>
      <Section title={t("explain.price")}>
        <PriceExplained row={row} />
      </Section>
      <Section title={t("explain.timing")}>
        <Timing row={row} />
      </Section>
      <Section title={t("explain.attempts")}>
        <AttemptList row={row} />
      </Section>
      <Section title={t("explain.ids")}>
        <Ids row={row} />
      </Section>
    </div>
  );
}

function Section({ title, children }: { title: string; children: React.ReactNode }) {
  return (
    <section className="stack-tight" style={{ gap: 10 }}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

function Timing({ row }: { row: ExplainedRequest }) {
  const { t } = useTranslation();
  const { duration } = useFormat();
  const first = row.first_byte_ms ?? 0;
  const share = row.total_ms > 0 ? Math.min(100, (first / row.total_ms) * 100) : 0;
  return (
    <>
      <div className="timing" aria-hidden>
        <div className="timing-wait" style={{ width: `${share}%` }} />
        {first > 0 && <div className="timing-stream" />}
      </div>
      <div className="row spread muted">
        <span>{t("explain.first_byte", { time: first > 0 ? duration(first) : "–" })}</span>
        <span>{t("explain.total", { time: duration(row.total_ms) })}</span>
      </div>
    </>
  );
}

function Ids({ row }: { row: ExplainedRequest }) {
  const { t } = useTranslation();
  const ids: [string, string | number | null | undefined, boolean][] = [
    [t("explain.request_id"), row.request_id, true],
    [t("explain.upstream_request_id"), row.operator?.upstream_request_id, true],
    [t("explain.token"), row.token_name ?? row.token_id, false],
    [t("explain.group"), row.group, false],
    [t("explain.channel_name"), row.operator?.channel_name, false],
    [t("explain.upstream_model"), row.operator?.upstream_model, false],
    [t("explain.relay"), row.operator?.node_id, false],
  ];
  return (
    <dl className="facts">
      {ids.map(([name, value, isCopied]) =>
        value === null || value === undefined || value === "" ? null : (
          <div key={name} style={{ display: "contents" }}>
            <dt>{name}</dt>
            <dd>
              <span className={isCopied ? "mono" : undefined}>{value}</span>
              {isCopied && <CopyButton text={String(value)} what={name} />}
            </dd>
          </div>
        ),
      )}
    </dl>
  );
}
