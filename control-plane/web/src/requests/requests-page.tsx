import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { Button, Input, Select } from "antd";
import { useTranslation } from "react-i18next";
import { type Outcome, requestLogQuery } from "../api/requests.ts";
import { useIsAdmin } from "../api/session.ts";
import { PageHead } from "../layout/page-head.tsx";
import { Late } from "../parts/late.tsx";
import { Nothing } from "../parts/nothing.tsx";
import { ProblemAlert } from "../parts/problem-alert.tsx";
import ExplainDrawer from "./explain-drawer.tsx";
import { RequestTable } from "./request-table.tsx";

const route = getRouteApi("/frame/requests");
const OUTCOMES: readonly Outcome[] = ["completed", "failed", "truncated", "aborted", "orphaned"];

/** The request log. Filters and the open row are in the address, so that a view can be shared. */
export function RequestsPage() {
  const { t } = useTranslation();
  const isAdmin = useIsAdmin();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const outcome = OUTCOMES.find(known => known === search.outcome);
  const log = useInfiniteQuery(requestLogQuery({ model: search.model, outcome }));
  const rows = log.data?.pages.flatMap(page => page.items);
  const isFiltered = search.model !== undefined || outcome !== undefined;
  const show = (change: Partial<typeof search>) =>
    navigate({ search: before => ({ ...before, ...change }), resetScroll: false, replace: true });
  return (
    <>
      <PageHead title={t("nav.requests")} lead={t("requests.lead")} />
      <section className="card card-flush" aria-label={t("requests.title")}>
        <div className="card-head">
          <div className="row">
            <Input.Search
              allowClear
              style={{ width: 240 }}
              placeholder={t("requests.filter_model")}
              aria-label={t("requests.filter_model")}
              defaultValue={search.model}
              onSearch={model => show({ model: model.trim() || undefined })}
            />
            <Select
              allowClear
              style={{ width: 170 }}
              placeholder={t("requests.filter_outcome")}
              aria-label={t("requests.filter_outcome")}
              value={outcome}
              onChange={value => show({ outcome: value })}
              options={OUTCOMES.map(value => ({ value, label: t(`outcome.${value}`) }))}
            />
          </div>
          <Button onClick={() => log.refetch()} loading={log.isRefetching && { delay: 200 }}>
            {t("refresh")}
          </Button>
        </div>
        {log.error && (
          <div style={{ padding: "0 20px 20px" }}>
            <ProblemAlert problem={log.error} onRetry={() => log.refetch()} />
          </div>
        )}
        {log.isPending && (
          <div style={{ padding: "0 20px 20px" }}>
            <Late rows={8} />
          </div>
        )}
        {rows?.length === 0 && (
          <Nothing title={isFiltered ? t("requests.none_match") : t("requests.none")}>
            {!isFiltered && <span>{t("requests.none_text")}</span>}
          </Nothing>
        )}
        {rows && rows.length > 0 && (
          <RequestTable rows={rows} onOpen={request => show({ request })} withPeople={isAdmin} />
        )}
        {log.hasNextPage && (
          <div className="row" style={{ justifyContent: "center", padding: 16 }}>
            <Button onClick={() => log.fetchNextPage()} loading={log.isFetchingNextPage && { delay: 200 }}>
              {t("requests.more")}
            </Button>
          </div>
        )}
      </section>
      {search.request !== undefined && (
        <ExplainDrawer requestId={search.request} onClose={() => show({ request: undefined })} />
      )}
    </>
  );
}
