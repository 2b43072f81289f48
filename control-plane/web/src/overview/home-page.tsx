import { getRouteApi } from "@tanstack/react-router";
import { lazy, Suspense } from "react";
import { useTranslation } from "react-i18next";
import { useIsAdmin } from "../api/session.ts";
import { AddChannel } from "../channels/add-channel.tsx";
import { PageHead } from "../layout/page-head.tsx";
import { AddToken } from "../tokens/add-token.tsx";
import { BalanceCard } from "./balance-card.tsx";
import { ConnectCard } from "./connect-card.tsx";
import { GettingStarted } from "./getting-started.tsx";
import { RecentRequests } from "./recent-requests.tsx";

const route = getRouteApi("/frame/");
const ExplainDrawer = lazy(() => import("../requests/explain-drawer.tsx"));

/** Home: am I within budget, how do I connect, what was charged. */
export function HomePage() {
  const { t } = useTranslation();
  const isAdmin = useIsAdmin();
  const { request } = route.useSearch();
  const navigate = route.useNavigate();
  const open = (requestId: string | undefined) => navigate({ search: { request: requestId }, resetScroll: false });
  return (
    <>
      <PageHead title={t("nav.overview")}>
        {isAdmin && <AddChannel />}
        <AddToken />
      </PageHead>
      <div className="home">
        <BalanceCard />
        <div className="home-side">
          <GettingStarted />
          <ConnectCard />
        </div>
        <RecentRequests onOpen={open} />
      </div>
      <Suspense>
        {request !== undefined && <ExplainDrawer requestId={request} onClose={() => open(undefined)} />}
      </Suspense>
    </>
  );
}
