/** Who is signed in. */

import { type QueryClient, queryOptions, useQuery } from "@tanstack/react-query";
import { api, done, read } from "./client.ts";
import { asProblem } from "./problem.ts";
import { SESSION_KEY } from "./query-client.ts";
import type { components } from "./schema.d.ts";

export type Session = components["schemas"]["Session"];

/** The session; `null` when nobody is signed in. */
export const sessionQuery = queryOptions({
  queryKey: SESSION_KEY,
  staleTime: 300_000,
  queryFn: async (): Promise<Session | null> => {
    try {
      return await read(api.GET("/api/session"));
    } catch (thrown) {
      if (asProblem(thrown).status === 401) return null;
      throw thrown;
    }
  },
});

/** The session of a page that only shows when there is one. */
export function useSession(): Session | null {
  return useQuery(sessionQuery).data ?? null;
}

/** Whether the person signed in manages channels, prices and users. */
export function useIsAdmin(): boolean {
  const role = useSession()?.user.role;
  return role === "admin" || role === "root";
}

/** Whether the person signed in is root, who may put money on their own balance. */
export function useIsRoot(): boolean {
  return useSession()?.user.role === "root";
}

/** Makes the first administrator with the secret of the set-up link, and signs them in. */
export async function setUp(client: QueryClient, secret: string, username: string, password: string): Promise<void> {
  const session = await read(api.POST("/api/setup", { body: { secret, username, password } }));
  begin(client, session);
}

/** Signs in. */
export async function signIn(client: QueryClient, username: string, password: string): Promise<void> {
  const session = await read(api.POST("/api/session", { body: { username, password } }));
  begin(client, session);
}

/** Proves again that it is them: some answers need a fresh sign-in. What is on the page stays. */
export async function signInAgain(client: QueryClient, username: string, password: string): Promise<void> {
  const session = await read(api.POST("/api/session", { body: { username, password } }));
  client.setQueryData(SESSION_KEY, session);
}

/** Signs out, and forgets everything that was on the pages. */
export async function signOut(client: QueryClient): Promise<void> {
  await done(api.DELETE("/api/session"));
  client.clear();
  client.setQueryData(SESSION_KEY, null);
}

function begin(client: QueryClient, session: Session): void {
  client.clear();
  client.setQueryData(SESSION_KEY, session);
}
