/** What every visitor may know of the site. */

import { queryOptions, useQuery } from "@tanstack/react-query";
import { UNITS_PER_USD } from "../format/money.ts";
import { api } from "./client.ts";
import { asProblem, problemOf } from "./problem.ts";
import type { components } from "./schema.d.ts";

export type SiteStatus = components["schemas"]["Status"];

/** The site's status. A site that is not ready answers 503 with the same body, which is an answer too. */
export const statusQuery = queryOptions({
  queryKey: ["status"],
  staleTime: 60_000,
  queryFn: async (): Promise<SiteStatus> => {
    const answered = await api.GET("/api/status").catch(thrown => {
      throw asProblem(thrown);
    });
    const body = answered.data ?? answered.error;
    if (isStatus(body)) return body;
    throw await problemOf(answered.response);
  },
});

function isStatus(body: unknown): body is SiteStatus {
  return typeof body === "object" && body !== null && "success" in body && "data" in body;
}

/** Quota units to one US dollar on this site. */
export function useUnitsPerUsd(): number {
  return useQuery(statusQuery).data?.data.quota_per_unit ?? UNITS_PER_USD;
}

/** The name of the site. */
export function useSiteName(): string {
  return useQuery(statusQuery).data?.data.system_name || "Sluice";
}

/** Where programs find the relay API: what the site says, else where this page came from. */
export function useBaseUrl(): string {
  const stated = useQuery(statusQuery).data?.data.api_address ?? "";
  return `${(stated || window.location.origin).replace(/\/+$/, "")}/v1`;
}
