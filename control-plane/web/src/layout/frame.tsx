import { Link, Outlet, useRouter } from "@tanstack/react-router";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { useIsAdmin, useSession } from "../api/session.ts";
import { dropDrafts } from "../parts/drafts.ts";
import { keepFreshKey } from "../tokens/fresh-key.ts";
import { Brand } from "./brand.tsx";
import { BuildBanner } from "./build-banner.tsx";
import { Dialogs } from "./dialogs.tsx";
import { closeDialogs } from "./open-dialog.ts";
import { PersonMenu } from "./person-menu.tsx";
import { Shortcuts } from "./shortcuts.tsx";
import { LanguageSwitch, ThemeSwitch } from "./switches.tsx";

/** Around every page of somebody signed in. A session that ends anywhere leads to the sign-in, and back to this page after it. */
export function Frame() {
  const { t } = useTranslation();
  const session = useSession();
  const isAdmin = useIsAdmin();
  const router = useRouter();
  const isOver = session === null;
  useEffect(() => {
    if (!isOver) return;
    closeDialogs();
    dropDrafts();
    keepFreshKey(null);
    // the route itself knows where to go without a session
    router.invalidate();
  }, [isOver, router]);
  if (!session) return null;
  return (
    <>
      <a className="skip-link" href="#content">
        {t("skip")}
      </a>
      <BuildBanner />
      <header className="bar">
        <div className="bar-inner">
          <Brand />
          <nav className="nav" aria-label={t("nav.title")}>
            <Link to="/">{t("nav.overview")}</Link>
            <Link to="/requests">{t("nav.requests")}</Link>
            <Link to="/tokens">{t("nav.tokens")}</Link>
            {isAdmin && <Link to="/channels">{t("nav.channels")}</Link>}
          </nav>
          <div className="tools">
            <LanguageSwitch />
            <ThemeSwitch />
            <PersonMenu />
          </div>
        </div>
      </header>
      <main id="content" className="page" tabIndex={-1}>
        <Outlet />
      </main>
      <Dialogs />
      <Shortcuts isAdmin={isAdmin} />
    </>
  );
}
