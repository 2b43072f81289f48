/** The person signed in and what they can spend. */

import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, idempotencyKey, read } from "./client.ts";
import { noteActivity } from "./pace.ts";
import type { components } from "./schema.d.ts";

export type Balance = components["schemas"]["Balance"];
export type NewAdjustment = components["schemas"]["NewAdjustment"];

/** Looked at when a request shows up, and now and then because leases come back by themselves. */
const REFRESH_MILLIS = 15_000;

export const BALANCE_KEY = ["balance"] as const;

/** What the caller can spend, what relays hold, what is in doubt, what was used. */
export const balanceQuery = queryOptions({
  queryKey: BALANCE_KEY,
  refetchInterval: REFRESH_MILLIS,
  queryFn: (): Promise<Balance> => read(api.GET("/api/users/{id}/balance", { params: { path: { id: "me" } } })),
});

/** Puts money on one's own balance. Root only: others are given theirs by who is above them. */
export function useAddCredit() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: NewAdjustment) =>
      read(
        api.POST("/api/users/{id}/adjustments", {
          body,
          params: { path: { id: "me" }, header: { "Idempotency-Key": idempotencyKey() } },
        }),
      ),
    onSuccess: () => {
      noteActivity();
      return client.invalidateQueries({ queryKey: BALANCE_KEY });
    },
  });
}
