/** What relays try for administrators: a model of a channel, its upstream's list of models, what is left of the money. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { api, read } from "./client.ts";
import type { components } from "./schema.d.ts";

export type Errand = components["schemas"]["Errand"];
export type ErrandKind = components["schemas"]["ErrandKind"];
type Asked = components["schemas"]["AskedErrands"];

/** Between two looks at an errand that takes longer than its request. */
const LOOK_MILLIS = 2_000;
/** Looks at it; a relay takes a minute at most. */
const MOST_LOOKS = 45;

/** What is to be tried with a channel. */
export interface Wish {
  kind: ErrandKind;
  id: number;
  /** The key to test with; without it, the first in use. */
  key?: number;
}

function ask({ kind, id, key }: Wish): Promise<Errand | Asked> {
  const params = { path: { id } };
  if (kind === "models") return read(api.POST("/api/channels/{id}/models", { params }));
  if (kind === "balance") return read(api.POST("/api/channels/{id}/balance", { params }));
  return read(api.POST("/api/channels/{id}/test", { params, body: { key_id: key ?? null, all_keys: false } }));
}

async function over(asked: Errand | Asked): Promise<Errand> {
  return "ids" in asked ? ended(asked.ids[0] ?? 0) : asked;
}

async function ended(id: number): Promise<Errand> {
  const look = () => read(api.GET("/api/errands/{id}", { params: { path: { id } } }));
  let errand = await look();
  for (let looks = 0; errand.state !== "done" && looks < MOST_LOOKS; looks++) {
    await new Promise(resolve => setTimeout(resolve, LOOK_MILLIS));
    errand = await look();
  }
  return errand;
}

/** Has a relay try something with a channel, and waits until it is over. */
export function useErrand() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async (wish: Wish) => over(await ask(wish)),
    onSettled: () => client.invalidateQueries({ queryKey: ["channels"] }),
  });
}

/** Has relays test a channel with each of its keys, and waits until all tests are over. */
export function useTestKeys() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async (id: number) => {
      const asked = await read(
        api.POST("/api/channels/{id}/test", { params: { path: { id } }, body: { all_keys: true } }),
      );
      return "ids" in asked ? Promise.all(asked.ids.map(ended)) : [asked];
    },
    onSettled: () => client.invalidateQueries({ queryKey: ["channels"] }),
  });
}

/** Has relays test every channel in use. Nobody waits for the results: they come with the channels. */
export function useTestAll() {
  return useMutation({ mutationFn: () => read(api.POST("/api/channels/test")) });
}
