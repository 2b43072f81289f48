/** How answers are kept, asked for again, and given up on. */

import { MutationCache, QueryCache, QueryClient } from "@tanstack/react-query";
import { asProblem } from "./problem.ts";

/** The key of the session: emptied by whichever call hears first that it ended. */
export const SESSION_KEY = ["session"] as const;

const MOST_RETRIES = 2;
const PASSING = new Set(["no_answer", "too_slow", "too_many_requests", "busy", "database_unavailable"]);

/** Makes the store of answers: one per page. */
export function makeQueryClient(): QueryClient {
  const noteSessionEnd = (thrown: unknown) => {
    if (asProblem(thrown).code === "not_signed_in") client.setQueryData(SESSION_KEY, null);
  };
  const client = new QueryClient({
    queryCache: new QueryCache({ onError: noteSessionEnd }),
    mutationCache: new MutationCache({ onError: noteSessionEnd }),
    defaultOptions: {
      queries: {
        staleTime: 15_000,
        retry: (failures, thrown) => failures < MOST_RETRIES && PASSING.has(asProblem(thrown).code),
        retryDelay: (failures, thrown) => waitMillis(failures, asProblem(thrown).retryAfterSecs),
      },
      mutations: { retry: false },
    },
  });
  return client;
}

/** What the server asked to wait, at most a minute; else half a second, doubled each time. */
function waitMillis(failures: number, retryAfterSecs: number | undefined): number {
  if (retryAfterSecs !== undefined) return Math.min(retryAfterSecs, 60) * 1_000;
  return 500 * 2 ** failures;
}
