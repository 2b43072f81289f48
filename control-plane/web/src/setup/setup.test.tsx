import { fireEvent, screen, waitFor } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { refusal } from "../test/fake-api.ts";
import { show } from "../test/show.tsx";

async function choose(username: string, password: string): Promise<void> {
  fireEvent.change(await screen.findByLabelText("Username"), { target: { value: username } });
  fireEvent.change(screen.getByLabelText("Password"), { target: { value: password } });
  fireEvent.click(screen.getByRole("button", { name: "Create account and sign in" }));
}

const NEW = { isSetUp: false, role: null } as const;

describe("the set-up page", () => {
  it("makes the administrator and leads home", async () => {
    const api = await show("/setup?secret=0123", NEW);
    await choose("ana", "correct horse battery");
    await screen.findByRole("heading", { name: "Overview" });
    expect(api.calls("POST", "/api/setup")[0]?.body).toEqual({
      secret: "0123",
      username: "ana",
      password: "correct horse battery",
    });
  });

  it("keeps a secret of digits as text", async () => {
    const api = await show("/setup?secret=123456", NEW);
    await choose("ana", "correct horse battery");
    await waitFor(() => expect(api.calls("POST", "/api/setup")[0]?.body.secret).toBe("123456"));
  });

  it("does not send a password that breaks a rule", async () => {
    const api = await show("/setup?secret=0123", NEW);
    await choose("ana", "short");
    await screen.findByText("The password must follow every rule below.");
    expect(api.calls("POST", "/api/setup")).toHaveLength(0);
  });

  it("puts the server's rule beside the field", async () => {
    const api = await show("/setup?secret=0123", NEW);
    const rule = { field: "password", code: "password", detail: "is too easily guessed" };
    api.overrides.set("POST /api/setup", () => refusal(422, "invalid", [rule]));
    await choose("ana", "correct horse battery");
    await screen.findByText("is too easily guessed");
    expect(screen.queryByRole("heading", { name: "Overview" })).toBeNull();
  });

  it("leads to the sign-in when somebody was first", async () => {
    const api = await show("/setup?secret=0123", NEW);
    await screen.findByLabelText("Username");
    api.site.isSetUp = true;
    await choose("ana", "correct horse battery");
    await screen.findByText("Sluice is set up already");
    expect(screen.getByRole("link", { name: "Sign in" }).getAttribute("href")).toBe("/sign-in");
  });

  it("says where the link is when it is opened without one", async () => {
    await show("/", NEW);
    await screen.findByRole("heading", { name: "Open the set-up link" });
  });
});
