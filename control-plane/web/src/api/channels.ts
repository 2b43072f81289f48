/** Ways to providers. Administrators only. */

import { type QueryClient, queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, done, idempotencyKey, read } from "./client.ts";
import { MODELS_KEY } from "./models.ts";
import { noteActivity } from "./pace.ts";
import type { components } from "./schema.d.ts";

export type Channel = components["schemas"]["Channel"];
export type NewChannel = components["schemas"]["NewChannel"];
export type ChannelPatch = components["schemas"]["ChannelPatch"];
export type Provider = components["schemas"]["Provider"];

/** More are told of, not listed: search and paging come with the page for many channels. */
export const CHANNELS_SHOWN = 100;

const KEY = ["channels"] as const;

export const channelsQuery = queryOptions({
  queryKey: KEY,
  queryFn: () => read(api.GET("/api/channels", { params: { query: { limit: CHANNELS_SHOWN } } })),
});

/** The catalogue: what each provider's channel needs. It changes with the release, and when somebody describes a provider. */
export const providersQuery = queryOptions({
  queryKey: ["providers"],
  staleTime: 60_000,
  queryFn: async () => (await read(api.GET("/api/providers"))).items,
});

export const groupsQuery = queryOptions({
  queryKey: ["groups"],
  queryFn: async () => (await read(api.GET("/api/groups", { params: { query: { limit: 100 } } }))).items,
});

/** Asks again for channels, and for the models they serve. */
function refresh(client: QueryClient): Promise<unknown> {
  return Promise.all([KEY, MODELS_KEY].map(queryKey => client.invalidateQueries({ queryKey })));
}

export function useCreateChannel() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: NewChannel) =>
      read(api.POST("/api/channels", { body, params: { header: { "Idempotency-Key": idempotencyKey() } } })),
    onSuccess: () => {
      noteActivity();
      return refresh(client);
    },
  });
}

export function usePatchChannel() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ id, patch }: { id: number; patch: ChannelPatch }) =>
      read(api.PATCH("/api/channels/{id}", { params: { path: { id } }, body: patch })),
    onSuccess: () => refresh(client),
  });
}

export function useDeleteChannel() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: number) => done(api.DELETE("/api/channels/{id}", { params: { path: { id } } })),
    onSuccess: () => refresh(client),
  });
}
