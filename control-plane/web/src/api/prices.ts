/** What models cost. */

import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, idempotencyKey, read } from "./client.ts";
import type { components } from "./schema.d.ts";

export type NewPrice = components["schemas"]["NewPrice"];

const KEY = ["prices"] as const;
const PAGE = 100;
/** Beyond this many pages the rest counts as priced: a warning that may be wrong is worse than none. */
const MOST_PAGES = 10;

/** Names of the models that have a price. */
export const pricedModelsQuery = queryOptions({
  queryKey: KEY,
  staleTime: 60_000,
  queryFn: async (): Promise<ReadonlySet<string>> => {
    const names = new Set<string>();
    let cursor: string | undefined;
    for (let page = 0; page < MOST_PAGES; page += 1) {
      const { items, next_cursor } = await read(api.GET("/api/prices", { params: { query: { limit: PAGE, cursor } } }));
      for (const price of items) if (price.is_priced) names.add(price.model);
      if (next_cursor === null || next_cursor === undefined) break;
      cursor = next_cursor;
    }
    return names;
  },
});

/** Gives a model a price. */
export function useCreatePrice() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: NewPrice) =>
      read(api.POST("/api/prices", { body, params: { header: { "Idempotency-Key": idempotencyKey() } } })),
    onSuccess: () => client.invalidateQueries({ queryKey: KEY }),
  });
}
