/** Which address shows which page. Only home is part of the first load. */

import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from "@tanstack/react-router";
import { sessionQuery } from "./api/session.ts";
import { statusQuery } from "./api/status.ts";
import { BrokenPage, MissingPage } from "./layout/broken-page.tsx";
import { Frame } from "./layout/frame.tsx";
import { HomePage } from "./overview/home-page.tsx";

interface Context {
  queries: QueryClient;
}

/** Text out of the address; numbers and the like that the router reads by itself become text again. */
const text = (value: unknown): string | undefined =>
  typeof value === "string" || typeof value === "number" ? String(value) : undefined;

/** A path of this site; nothing that leads elsewhere. */
export const ownPath = (value: unknown): string | undefined => {
  const path = text(value);
  return path !== undefined && /^\/(?![/\\])/.test(path) ? path : undefined;
};

const root = createRootRouteWithContext<Context>()({ component: Outlet, notFoundComponent: MissingPage });

const frame = createRoute({
  getParentRoute: () => root,
  id: "frame",
  component: Frame,
  beforeLoad: async ({ context, location }) => {
    const session = await context.queries.ensureQueryData(sessionQuery);
    if (session) return;
    const status = await context.queries.ensureQueryData(statusQuery);
    if (!status.data.setup) throw redirect({ to: "/setup", search: {} });
    throw redirect({ to: "/sign-in", search: location.href === "/" ? {} : { next: location.href } });
  },
});

const home = createRoute({
  getParentRoute: () => frame,
  path: "/",
  component: HomePage,
  validateSearch: (search): { request?: string } => ({ request: text(search.request) }),
});

const requests = createRoute({
  getParentRoute: () => frame,
  path: "/requests",
  component: lazyRouteComponent(() => import("./requests/requests-page.tsx"), "RequestsPage"),
  validateSearch: (search): { request?: string; model?: string; outcome?: string } => ({
    request: text(search.request),
    model: text(search.model),
    outcome: text(search.outcome),
  }),
});

const tokens = createRoute({
  getParentRoute: () => frame,
  path: "/tokens",
  component: lazyRouteComponent(() => import("./tokens/tokens-page.tsx"), "TokensPage"),
});

const channels = createRoute({
  getParentRoute: () => frame,
  path: "/channels",
  component: lazyRouteComponent(() => import("./channels/channels-page.tsx"), "ChannelsPage"),
});

const setup = createRoute({
  getParentRoute: () => root,
  path: "/setup",
  component: lazyRouteComponent(() => import("./setup/setup-page.tsx"), "SetupPage"),
  validateSearch: (search): { secret?: string } => ({ secret: text(search.secret) }),
});

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  component: lazyRouteComponent(() => import("./sign-in/sign-in-page.tsx"), "SignInPage"),
  validateSearch: (search): { next?: string } => ({ next: ownPath(search.next) }),
  beforeLoad: async ({ context, search }) => {
    const session = await context.queries.ensureQueryData(sessionQuery);
    if (session) throw redirect({ href: search.next ?? "/" });
  },
});

const tree = root.addChildren([frame.addChildren([home, requests, tokens, channels]), setup, signIn]);

/** Makes the router: one per page. */
export function makeRouter(queries: QueryClient) {
  return createRouter({
    routeTree: tree,
    context: { queries },
    defaultPreload: "intent",
    defaultErrorComponent: BrokenPage,
    defaultNotFoundComponent: MissingPage,
    scrollRestoration: true,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
