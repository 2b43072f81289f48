import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { noteOutdated } from "./api/build.ts";
import { makeQueryClient } from "./api/query-client.ts";
import { sessionQuery } from "./api/session.ts";
import { statusQuery } from "./api/status.ts";
import { App } from "./app.tsx";
import { showLanguage, wishedLanguage } from "./i18n/i18n.ts";
import { makeRouter } from "./router.tsx";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/parts.css";
import "./styles/overview.css";
import { currentShade } from "./theme/mode.ts";
import { applyPalette } from "./theme/palette.ts";

// a chunk of another build: the page that needed it says so, and the banner offers to reload
window.addEventListener("vite:preloadError", noteOutdated);

async function start(): Promise<void> {
  applyPalette(document.documentElement, currentShade());
  const queries = makeQueryClient();
  // asked for while the language loads; pages wait for the answers where they need them
  queries.prefetchQuery(sessionQuery);
  queries.prefetchQuery(statusQuery);
  await showLanguage(wishedLanguage());
  const root = document.getElementById("root");
  if (!root) return;
  createRoot(root).render(
    <StrictMode>
      <App queries={queries} router={makeRouter(queries)} />
    </StrictMode>,
  );
}

start();
