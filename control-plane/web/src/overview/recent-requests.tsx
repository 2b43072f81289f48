import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { noteActivity } from "../api/pace.ts";
import { BALANCE_KEY } from "../api/people.ts";
import { recentRequestsQuery } from "../api/requests.ts";
import { Late } from "../parts/late.tsx";
import { Nothing } from "../parts/nothing.tsx";
import { ProblemAlert } from "../parts/problem-alert.tsx";
import { RequestTable } from "../requests/request-table.tsx";

/** The latest requests, live. A row that shows up brings the balance up to date. */
export function RecentRequests({ onOpen }: { onOpen: (requestId: string) => void }) {
  const { t } = useTranslation();
  const recent = useQuery(recentRequestsQuery);
  useBalanceFollows(recent.data && (recent.data.items[0]?.request_id ?? ""));
  const rows = recent.data?.items;
  return (
    <section className="card card-flush home-requests" aria-labelledby="recent-title">
      <div className="card-head">
        <h2 id="recent-title">{t("requests.recent")}</h2>
        {rows && rows.length > 0 && <Link to="/requests">{t("requests.all")}</Link>}
      </div>
      {recent.error && !rows && (
        <div style={{ padding: "0 20px 20px" }}>
          <ProblemAlert problem={recent.error} onRetry={() => recent.refetch()} />
        </div>
      )}
      {recent.isPending && (
        <div style={{ padding: "0 20px 20px" }}>
          <Late rows={5} />
        </div>
      )}
      {rows?.length === 0 && (
        <Nothing title={t("requests.none")}>
          <span>{t("requests.none_text")}</span>
        </Nothing>
      )}
      {rows && rows.length > 0 && <RequestTable rows={rows} onOpen={onOpen} />}
    </section>
  );
}

/** Asks for the balance again when another request is the newest; `undefined` while none is known, empty when there is none. */
function useBalanceFollows(newest: string | undefined): void {
  const client = useQueryClient();
  const seen = useRef(newest);
  useEffect(() => {
    if (newest === seen.current) return;
    const isFirstLook = seen.current === undefined;
    seen.current = newest;
    if (isFirstLook) return;
    noteActivity();
    client.invalidateQueries({ queryKey: BALANCE_KEY });
  }, [newest, client]);
}
