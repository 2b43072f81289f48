/** The request log. */

import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { api, read } from "./client.ts";
import { pace } from "./pace.ts";
import type { components } from "./schema.d.ts";

export type RequestRow = components["schemas"]["Request"];
export type ExplainedRequest = components["schemas"]["ExplainedRequest"];
export type Formula = components["schemas"]["Formula"];
export type Outcome = components["schemas"]["OutcomeName"];

/** What the log can be narrowed to. */
export interface RequestFilter {
  model?: string;
  outcome?: Outcome;
}

const RECENT = 10;
const PAGE = 50;

/** One's own latest requests, live: they stand beside one's own balance, also for administrators. */
export const recentRequestsQuery = queryOptions({
  queryKey: ["requests", "recent"],
  refetchInterval: () => pace(),
  queryFn: () => read(api.GET("/api/requests", { params: { query: { limit: RECENT, user_id: "me" } } })),
});

/** The whole log, page by page. */
export const requestLogQuery = (filter: RequestFilter) =>
  infiniteQueryOptions({
    queryKey: ["requests", "log", filter],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) =>
      read(api.GET("/api/requests", { params: { query: { ...filter, limit: PAGE, cursor: pageParam } } })),
    getNextPageParam: page => page.next_cursor ?? undefined,
  });

/** One request with its explanation. */
export const requestQuery = (requestId: string) =>
  queryOptions({
    queryKey: ["requests", "one", requestId],
    queryFn: () => read(api.GET("/api/requests/{request_id}", { params: { path: { request_id: requestId } } })),
  });
