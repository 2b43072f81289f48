/** Models that a request can name, and those that lack a price. */

import { useQuery } from "@tanstack/react-query";
import { type Model, modelsQuery } from "../api/models.ts";
import { useIsAdmin, useSession } from "../api/session.ts";

/** What is known about models so far. */
export interface KnownModels {
  /** Models that work with a token of one's own: they have a price and a channel for one's group. By name. */
  usable: string[];
  /** Every model within sight, those that work first. */
  all: Model[];
  /** Models in use without a price: requests for them are refused. Only who may set prices is told; `undefined` before it is known. */
  unpriced: string[] | undefined;
}

/** Sorts out the models a person sees. */
export function knownModels(models: readonly Model[] | undefined, group: string, isAdmin: boolean): KnownModels {
  const seen = models ?? [];
  const works = (model: Model) => model.is_priced && model.groups.includes(group);
  const usable = seen.filter(works);
  const unpriced = isAdmin ? seen.filter(model => !model.is_priced).map(model => model.model) : [];
  return {
    usable: usable.map(model => model.model),
    all: [...usable, ...seen.filter(model => !works(model))],
    unpriced: models && unpriced,
  };
}

/** The models the person signed in sees. */
export function useKnownModels(): KnownModels {
  const isAdmin = useIsAdmin();
  const group = useSession()?.user.group ?? "";
  return knownModels(useQuery(modelsQuery).data, group, isAdmin);
}
