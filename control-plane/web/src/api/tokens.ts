/** Keys for programs that call models. */

import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, done, idempotencyKey, read } from "./client.ts";
import { noteActivity } from "./pace.ts";
import type { components } from "./schema.d.ts";

export type Token = components["schemas"]["Token"];
export type NewToken = components["schemas"]["NewToken"];
export type TokenPatch = components["schemas"]["TokenPatch"];

/** More are told of, not listed: search and paging come with the page for many tokens. */
export const TOKENS_SHOWN = 100;

const KEY = ["tokens"] as const;

/** The caller's own tokens. */
export const tokensQuery = queryOptions({
  queryKey: KEY,
  queryFn: () => read(api.GET("/api/tokens", { params: { query: { limit: TOKENS_SHOWN, user_id: "me" } } })),
});

/** Makes a token; its answer is the one place where the key stands. */
export function useCreateToken() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: NewToken) =>
      read(api.POST("/api/tokens", { body, params: { header: { "Idempotency-Key": idempotencyKey() } } })),
    onSuccess: () => {
      noteActivity();
      return client.invalidateQueries({ queryKey: KEY });
    },
  });
}

/** Changes a token. */
export function usePatchToken() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ id, patch }: { id: number; patch: TokenPatch }) =>
      read(api.PATCH("/api/tokens/{id}", { params: { path: { id } }, body: patch })),
    onSuccess: () => client.invalidateQueries({ queryKey: KEY }),
  });
}

/** Deletes a token: programs with its key are refused at once. */
export function useDeleteToken() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: number) => done(api.DELETE("/api/tokens/{id}", { params: { path: { id } } })),
    onSuccess: () => client.invalidateQueries({ queryKey: KEY }),
  });
}

/** Reads a key again. Refused with `sign_in_again` when the sign-in is not fresh. */
export async function revealToken(id: number): Promise<string> {
  const { key } = await read(api.POST("/api/tokens/{id}/reveal", { params: { path: { id } } }));
  return key;
}
