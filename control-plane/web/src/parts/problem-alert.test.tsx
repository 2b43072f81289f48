import { render, screen } from "@testing-library/react";
import { beforeEach, describe, expect, it } from "vitest";
import { asProblem, Problem, problemOf } from "../api/problem.ts";
import { showLanguage } from "../i18n/i18n.ts";
import { refusal } from "../test/fake-api.ts";
import { ProblemAlert } from "./problem-alert.tsx";

beforeEach(() => showLanguage("en"));

const shown = (problem: unknown) => {
  render(<ProblemAlert problem={problem} />);
  return screen.getByRole("alert").textContent ?? "";
};

describe("a problem", () => {
  it("is told in the reader's language, with what the server said and the id to quote", async () => {
    await showLanguage("fr");
    const text = shown(await problemOf(refusal(404, "not_found")));
    expect(text).toContain("Introuvable, ou pas pour vous");
    expect(text).toContain("Detail of not_found");
    expect(text).toContain("0199-test");
  });

  it("of a code that this build does not know is told in the server's words", async () => {
    expect(shown(await problemOf(refusal(409, "from_the_future")))).toContain("Title of from_the_future");
  });

  it("names every field that broke a rule where no form shows them", async () => {
    const fields = [
      { field: "name", code: "length", detail: "is too long" },
      { field: "models[2]", code: "name", detail: "has a comma" },
    ];
    const text = shown(await problemOf(refusal(422, "invalid", fields)));
    expect(text).toContain("name: is too long; models[2]: has a comma");
  });

  it("is told also when no server answered", () => {
    expect(shown(asProblem(new TypeError("Failed to fetch")))).toContain("The server cannot be reached");
  });

  it("is told when something else answered", async () => {
    const answer = new Response("<html>bad gateway</html>", { status: 502, headers: { "x-request-id": "0199-proxy" } });
    const problem = await problemOf(answer);
    expect(problem.code).toBe("not_understood");
    expect(shown(problem)).toContain("HTTP 502");
    expect(screen.getByText("0199-proxy")).toBeTruthy();
  });

  it("carries how long to wait", async () => {
    const answer = refusal(429, "too_many_requests");
    answer.headers.set("retry-after", "7");
    expect(shown(await problemOf(answer))).toContain("Try again in 7 s.");
  });

  it("is nothing when there is none", () => {
    render(<ProblemAlert problem={null} />);
    expect(screen.queryByRole("alert")).toBeNull();
  });

  it("is passed on as it is", () => {
    const problem = new Problem("busy", "Too much at once");
    expect(asProblem(problem)).toBe(problem);
  });
});
