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

function ask(kind: ErrandKind, id: number): Promise<Errand | Asked> {
  const params = { path: { id } };
  if (kind === "models") return read(api.POST("/api/channels/{id}/models", { params }));
  if (kind === "balance") return read(api.POST("/api/channels/{id}/balance", { params }));
  return read(api.POST("/api/channels/{id}/test", { params, body: { all_keys: false } }));
}

async function over(asked: Errand | Asked): Promise<Errand> {
  if (!("ids" in asked)) return asked;
  const id = asked.ids[0] ?? 0;
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
    mutationFn: async ({ kind, id }: { kind: ErrandKind; id: number }) => over(await ask(kind, id)),
    onSettled: () => client.invalidateQueries({ queryKey: ["channels"] }),
  });
}

/** Has relays test every channel in use. Nobody waits for the results: they come with the channels. */
export function useTestAll() {
  return useMutation({ mutationFn: () => read(api.POST("/api/channels/test")) });
}
