import { fireEvent, screen, waitFor } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { refusal } from "../test/fake-api.ts";
import { show } from "../test/show.tsx";

async function enter(username: string, password: string): Promise<void> {
  fireEvent.change(await screen.findByLabelText("Username"), { target: { value: username } });
  fireEvent.change(screen.getByLabelText("Password"), { target: { value: password } });
  fireEvent.click(screen.getByRole("button", { name: "Sign in" }));
}

describe("signing in", () => {
  it("leads home, and writes carry the header other sites cannot send", async () => {
    const api = await show("/", { role: null });
    await enter("ana", "correct");
    await screen.findByRole("heading", { name: "Overview" });
    const [asked] = api.calls("POST", "/api/session");
    expect(asked?.body).toEqual({ username: "ana", password: "correct" });
    expect(asked?.headers.get("x-sluice-csrf")).toBe("1");
    expect(api.calls("GET", "/api/tokens")[0]?.headers.get("x-sluice-csrf")).toBeNull();
  });

  it("leads back to the page that asked for it", async () => {
    await show("/tokens", { role: null });
    await enter("ana", "correct");
    await screen.findByRole("heading", { name: "Tokens" });
    expect(window.location.pathname).toBe("/tokens");
  });

  it("never leads to another site", async () => {
    await show("/sign-in?next=//evil.example/", { role: null });
    await enter("ana", "correct");
    await screen.findByRole("heading", { name: "Overview" });
    expect(window.location.pathname).toBe("/");
  });

  it("tells a wrong password in words, with the id to quote", async () => {
    await show("/sign-in", { role: null });
    await enter("ana", "wrong");
    const alert = await screen.findByRole("alert");
    expect(alert.textContent).toContain("Username or password is wrong");
    expect(alert.textContent).toContain("0199-test");
  });

  it("tells how long to wait after too many tries", async () => {
    const api = await show("/sign-in", { role: null });
    api.overrides.set("POST /api/session", () => {
      const refused = refusal(429, "too_many_sign_ins");
      refused.headers.set("retry-after", "42");
      return refused;
    });
    await enter("ana", "wrong");
    expect((await screen.findByRole("alert")).textContent).toContain("42 s");
  });

  it("is asked for again when the session ends in the middle", async () => {
    const api = await show("/tokens");
    await screen.findByRole("heading", { name: "Tokens" });
    api.site.role = null;
    fireEvent.click(screen.getByRole("link", { name: "Requests" }));
    await screen.findByRole("heading", { name: "Sign in" });
    expect(window.location.search).toContain("requests");
  });
});

describe("signing out", () => {
  it("forgets the session on the server and here", async () => {
    const api = await show("/");
    fireEvent.click(await screen.findByRole("button", { name: "Account of ana" }));
    fireEvent.click(await screen.findByRole("menuitem", { name: /Sign out/ }));
    await screen.findByRole("heading", { name: "Sign in" });
    await waitFor(() => expect(api.calls("DELETE", "/api/session")).toHaveLength(1));
  });
});
