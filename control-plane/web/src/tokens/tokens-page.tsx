import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { TOKENS_SHOWN, type Token, tokensQuery } from "../api/tokens.ts";
import { PageHead } from "../layout/page-head.tsx";
import { Ago } from "../parts/amounts.tsx";
import { type Column, DataTable } from "../parts/data-table.tsx";
import { Names } from "../parts/labels.tsx";
import { Late } from "../parts/late.tsx";
import { Nothing } from "../parts/nothing.tsx";
import { ProblemAlert } from "../parts/problem-alert.tsx";
import { AddToken } from "./add-token.tsx";
import { RevealKey } from "./reveal-key.tsx";
import { TokenActions, TokenState } from "./token-actions.tsx";
import { TokenQuota } from "./token-quota.tsx";

/** One's own tokens. */
export function TokensPage() {
  const { t } = useTranslation();
  const columns = useColumns();
  const tokens = useQuery(tokensQuery);
  const rows = tokens.data?.items;
  return (
    <>
      <PageHead title={t("nav.tokens")} lead={t("tokens.lead")}>
        <AddToken isPrimary />
      </PageHead>
      {tokens.error && <ProblemAlert problem={tokens.error} onRetry={() => tokens.refetch()} />}
      <section className="card card-flush" aria-label={t("nav.tokens")}>
        {tokens.isPending && (
          <div style={{ padding: 20 }}>
            <Late rows={5} />
          </div>
        )}
        {rows?.length === 0 && (
          <Nothing title={t("tokens.none")}>
            <span>{t("tokens.none_text")}</span>
          </Nothing>
        )}
        {rows && rows.length > 0 && (
          <DataTable caption={t("nav.tokens")} columns={columns} rows={rows} rowKey={row => row.id} />
        )}
      </section>
      {tokens.data?.next_cursor && <p className="muted">{t("list_cut", { number: TOKENS_SHOWN })}</p>}
    </>
  );
}

function useColumns(): Column<Token>[] {
  const { t } = useTranslation();
  return [
    { key: "name", title: t("tokens.name"), isLead: true, cell: row => <strong>{row.name}</strong> },
    {
      key: "key",
      title: t("key.key"),
      cell: row => (
        <span className="figures">
          <code className="mono muted">{row.key_hint}</code> <RevealKey token={row} />
        </span>
      ),
    },
    { key: "status", title: t("status.title"), isCorner: true, cell: row => <TokenState token={row} /> },
    { key: "quota", title: t("tokens.quota_left"), cell: row => <TokenQuota token={row} /> },
    {
      key: "models",
      title: t("tokens.models"),
      isWide: true,
      cell: row =>
        row.models ? <Names names={row.models} most={2} /> : <span className="muted">{t("tokens.models_all")}</span>,
    },
    {
      key: "expiry",
      title: t("tokens.expiry"),
      cell: row => (row.expires_at ? <Ago at={row.expires_at} /> : <span className="muted">{t("tokens.never")}</span>),
    },
    {
      key: "used",
      title: t("tokens.last_used"),
      cell: row =>
        row.last_used_at ? <Ago at={row.last_used_at} /> : <span className="muted">{t("tokens.not_used")}</span>,
    },
    {
      key: "actions",
      title: t("actions"),
      isTitleHidden: true,
      isWide: true,
      cell: row => <TokenActions token={row} />,
    },
  ];
}
