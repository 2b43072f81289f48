import { useTranslation } from "react-i18next";
import type { RequestRow } from "../api/requests.ts";
import { useFormat } from "../format/use-format.ts";
import { Clock, Usd } from "../parts/amounts.tsx";
import { CopyButton } from "../parts/copy-button.tsx";
import { type Column, DataTable, RowOpen } from "../parts/data-table.tsx";
import { OutcomeLabel } from "../parts/labels.tsx";

interface RequestTableProps {
  rows: readonly RequestRow[];
  onOpen: (requestId: string) => void;
  /** Says whose each request is: where there are other people's. */
  withPeople?: boolean;
}

/** Requests, newest first; a row opens its explanation. */
export function RequestTable({ rows, onOpen, withPeople = false }: RequestTableProps) {
  const { t } = useTranslation();
  const columns = useColumns(onOpen).filter(column => withPeople || column.key !== "person");
  return <DataTable caption={t("requests.title")} columns={columns} rows={rows} rowKey={row => row.request_id} opens />;
}

function useColumns(onOpen: (requestId: string) => void): Column<RequestRow>[] {
  const { t } = useTranslation();
  const { count, duration, zone } = useFormat();
  return [
    {
      key: "time",
      title: t("requests.time", { zone: zone() }),
      isLead: true,
      cell: row => (
        <RowOpen onOpen={() => onOpen(row.request_id)}>
          <Clock at={row.started_at} />
        </RowOpen>
      ),
    },
    { key: "person", title: t("requests.person"), cell: row => row.username ?? row.user_id },
    { key: "model", title: t("requests.model"), cell: row => <span className="tag">{row.model}</span> },
    {
      key: "tokens",
      title: t("requests.tokens"),
      isFigure: true,
      cell: row => (
        <span
          title={t("requests.tokens_help", {
            input: count(row.usage.total_input),
            output: count(row.usage.total_output),
          })}
        >
          {count(row.usage.total_input)} <span aria-hidden>→</span> {count(row.usage.total_output)}
        </span>
      ),
    },
    { key: "cost", title: t("requests.cost"), isFigure: true, cell: row => <Usd units={row.quota} /> },
    { key: "latency", title: t("requests.latency"), isFigure: true, cell: row => duration(row.total_ms) },
    {
      key: "first_byte",
      title: t("requests.first_byte"),
      isFigure: true,
      isMinor: true,
      cell: row => (row.first_byte_ms ? duration(row.first_byte_ms) : "–"),
    },
    {
      key: "stream",
      title: t("requests.stream"),
      isMinor: true,
      cell: row => <span className="muted">{row.stream ? t("requests.streamed") : t("requests.whole")}</span>,
    },
    {
      key: "outcome",
      title: t("requests.outcome"),
      isCorner: true,
      cell: row => <OutcomeLabel outcome={row.outcome} />,
    },
    {
      key: "id",
      title: t("requests.id"),
      isMinor: true,
      isAbove: true,
      cell: row => (
        <span className="figures">
          <code className="mono muted" title={row.request_id}>
            {row.request_id.slice(-6)}
          </code>
          <CopyButton text={row.request_id} what={t("requests.id")} />
        </span>
      ),
    },
  ];
}
