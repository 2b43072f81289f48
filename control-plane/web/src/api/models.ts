/** What can be asked for, and whether it has a price. */

import { queryOptions } from "@tanstack/react-query";
import { api, read } from "./client.ts";
import type { components } from "./schema.d.ts";

export type Model = components["schemas"]["Model"];
export type PriceSummary = components["schemas"]["PriceSummary"];

/** What every question about models begins with: changes of channels and prices make all of them old. */
export const MODELS_KEY = ["models"] as const;

const PAGE = 100;
/** More than this many pages are for a page of their own, with a search. */
const MOST_PAGES = 10;
const FRESH_MILLIS = 60_000;

/** The models of channels in use: those that the caller's tokens can name, or all for administrators. */
export const modelsQuery = queryOptions({
  queryKey: MODELS_KEY,
  staleTime: FRESH_MILLIS,
  queryFn: async (): Promise<Model[]> => {
    const models: Model[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < MOST_PAGES; page += 1) {
      const { items, next_cursor } = await read(api.GET("/api/models", { params: { query: { limit: PAGE, cursor } } }));
      models.push(...items);
      if (next_cursor === null) break;
      cursor = next_cursor;
    }
    return models;
  },
});

/** What is known of these models, whether a channel serves them yet or not; of the first hundred of them. */
export const namedModelsQuery = (names: readonly string[]) => {
  const asked = [...names].sort().slice(0, PAGE);
  return queryOptions({
    queryKey: [...MODELS_KEY, "named", asked],
    staleTime: FRESH_MILLIS,
    enabled: asked.length > 0,
    queryFn: async () =>
      (await read(api.GET("/api/models", { params: { query: { limit: PAGE, names: asked.join(",") } } }))).items,
  });
};
