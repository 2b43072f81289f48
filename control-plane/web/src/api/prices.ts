/** What models cost. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { api, idempotencyKey, read } from "./client.ts";
import { MODELS_KEY } from "./models.ts";
import type { components } from "./schema.d.ts";

export type NewPrice = components["schemas"]["NewPrice"];

/** Gives a model a price. */
export function useCreatePrice() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: NewPrice) =>
      read(api.POST("/api/prices", { body, params: { header: { "Idempotency-Key": idempotencyKey() } } })),
    onSuccess: () => client.invalidateQueries({ queryKey: MODELS_KEY }),
  });
}
