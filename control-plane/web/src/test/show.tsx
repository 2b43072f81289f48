/** Shows the console at an address, against an API in memory. */

import { render } from "@testing-library/react";
import { vi } from "vitest";
import { forgetBuild } from "../api/build.ts";
import { makeQueryClient } from "../api/query-client.ts";
import { App } from "../app.tsx";
import { showLanguage } from "../i18n/i18n.ts";
import type { Language } from "../i18n/languages.ts";
import { closeDialogs } from "../layout/open-dialog.ts";
import { dropDrafts } from "../parts/drafts.ts";
import { makeRouter } from "../router.tsx";
import { keepFreshKey } from "../tokens/fresh-key.ts";
import { FakeApi, type Site } from "./fake-api.ts";

/** Opens a page. What the page asks goes to the API that is answered. */
export async function show(
  path: string,
  site: Partial<Site> = {},
  language: Language = "en",
  prepare: (api: FakeApi) => void = () => {},
): Promise<FakeApi> {
  const api = new FakeApi(site);
  prepare(api);
  vi.stubGlobal("fetch", api.fetch);
  forgetBuild();
  keepFreshKey(null);
  closeDialogs();
  dropDrafts();
  window.localStorage.clear();
  window.history.replaceState(null, "", path);
  await showLanguage(language);
  const queries = makeQueryClient();
  queries.setDefaultOptions({ queries: { ...queries.getDefaultOptions().queries, retry: false } });
  render(<App queries={queries} router={makeRouter(queries)} />);
  return api;
}
