/** The one way to the API: typed by its description, with the header that other sites cannot send, failures as {@link Problem}. */

import createClient from "openapi-fetch";
import { randomId } from "../parts/random-id.ts";
import { BUILD_HEADER, noteBuild } from "./build.ts";
import { asProblem, Problem, problemOf } from "./problem.ts";
import type { paths } from "./schema.d.ts";

const LONGEST_WAIT_MILLIS = 20_000;

/** A browser never sends it for another site without asking, so its presence proves that the page is ours. */
const CSRF_HEADER = "X-Sluice-Csrf";

export const api = createClient<paths>({
  // absolute, because a relative address is no Request outside of browsers; read at the call, because tests set it late
  fetch: request =>
    globalThis.fetch(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout(LONGEST_WAIT_MILLIS)]) }),
  baseUrl: globalThis.location?.origin ?? "",
  credentials: "same-origin",
});

api.use({
  onRequest({ request }) {
    if (request.method !== "GET") request.headers.set(CSRF_HEADER, "1");
    return request;
  },
  onResponse({ response }) {
    noteBuild(response.headers.get(BUILD_HEADER));
  },
});

interface Answered<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The object an answer carries. Throws a {@link Problem} when it carries none. */
export async function read<T>(call: Promise<Answered<T>>): Promise<T> {
  const { data, response } = await settle(call);
  if (data === undefined) throw new Problem("not_understood", "Unexpected answer", "no body", response.status);
  return data;
}

/** Waits until it is done. Throws a {@link Problem} when it was refused. */
export async function done(call: Promise<Answered<unknown>>): Promise<void> {
  await settle(call);
}

async function settle<T>(call: Promise<Answered<T>>): Promise<Answered<T>> {
  let answered: Answered<T>;
  try {
    answered = await call;
  } catch (thrown) {
    throw asProblem(thrown);
  }
  if (!answered.response.ok) throw await refusal(answered);
  return answered;
}

/** The body was read already: the client hands it over parsed, or as text when it is no JSON. */
function refusal({ error, response }: Answered<unknown>): Promise<Problem> {
  const body = typeof error === "string" ? error : JSON.stringify(error ?? null);
  return problemOf(new Response(body, { status: response.status, headers: response.headers }));
}

/** A key for a request that must not be done twice, however often it is sent. */
export const idempotencyKey = randomId;
