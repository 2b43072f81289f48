/** What went wrong with a call: the server's problem, or that there was no answer at all. */

import type { components } from "./schema.d.ts";

/** A rule that one field broke. */
export type FieldProblem = components["schemas"]["FieldError"];

/** Codes of our own, for calls that no server answered. */
export type LocalCode = "no_answer" | "too_slow" | "not_understood";

/** A call that did not do what it was for. */
export class Problem extends Error {
  override readonly name = "Problem";

  constructor(
    /** The stable word: translations go by it. */
    readonly code: string,
    /** The server's words, in English. */
    readonly title: string,
    readonly detail: string = "",
    /** 0 when there was no answer. */
    readonly status: number = 0,
    /** Names the request in the server's log; empty when it never got there. */
    readonly requestId: string = "",
    readonly fields: readonly FieldProblem[] = [],
    /** Seconds after which asking again is worthwhile. */
    readonly retryAfterSecs: number | undefined = undefined,
  ) {
    super(detail === "" ? title : `${title}: ${detail}`);
  }
}

/** Reads the problem out of an answer that is no success. */
export async function problemOf(response: Response): Promise<Problem> {
  const requestId = response.headers.get("x-request-id") ?? "";
  const retryAfter = Number(response.headers.get("retry-after") ?? Number.NaN);
  const wait = Number.isFinite(retryAfter) ? retryAfter : undefined;
  const body: unknown = await response.json().catch(() => undefined);
  if (!isProblem(body)) {
    return new Problem(
      "not_understood",
      "Unexpected answer",
      `HTTP ${response.status}`,
      response.status,
      requestId,
      [],
      wait,
    );
  }
  const { code, title, detail, errors } = body;
  return new Problem(code, title, detail, response.status, body.request_id || requestId, errors ?? [], wait);
}

/** The problem behind anything thrown. */
export function asProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  const isTimeout = thrown instanceof DOMException && thrown.name === "TimeoutError";
  if (isTimeout) return new Problem("too_slow", "No answer in time");
  if (thrown instanceof TypeError) return new Problem("no_answer", "The server cannot be reached");
  return new Problem("not_understood", "Unexpected answer", thrown instanceof Error ? thrown.message : "");
}

function isProblem(body: unknown): body is components["schemas"]["Problem"] {
  if (typeof body !== "object" || body === null) return false;
  const { code, title } = body as Record<string, unknown>;
  return typeof code === "string" && typeof title === "string";
}
