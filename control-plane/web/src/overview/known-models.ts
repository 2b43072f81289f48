/** Models that a request can name: those of channels in use, and whether each has a price. */

import { queryOptions, useQuery } from "@tanstack/react-query";
import { type Channel, channelsQuery } from "../api/channels.ts";
import { pricedModelsQuery } from "../api/prices.ts";
import { useIsAdmin } from "../api/session.ts";

/** The models of channels in use, those with a price first, else by name. */
export function modelsOf(channels: readonly Channel[], priced: ReadonlySet<string> | undefined): string[] {
  const inUse = channels.filter(channel => channel.status === "enabled");
  const names = [...new Set(inUse.flatMap(channel => channel.models))];
  const rank = (name: string) => (priced?.has(name) ? 0 : 1);
  return names.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

/** What is known about models so far. */
export interface KnownModels {
  models: string[];
  /** Models in use without a price: requests for them are refused. `undefined` while it is not known. */
  unpriced: string[] | undefined;
}

/** Models this person can name in a request. Who may not see channels gets those that have a price. */
export function useKnownModels(): KnownModels {
  const isAdmin = useIsAdmin();
  const channels = useQuery({ ...channelsQuery, enabled: isAdmin }).data?.items ?? [];
  const priced = useQuery(queryOptions(pricedModelsQuery)).data;
  if (!isAdmin) return { models: [...(priced ?? [])], unpriced: [] };
  const models = modelsOf(channels, priced);
  return { models, unpriced: priced && models.filter(model => !priced.has(model)) };
}
