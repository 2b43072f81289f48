import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { channel, token } from "../test/fake-answers.ts";
import { refusal } from "../test/fake-api.ts";
import { show } from "../test/show.tsx";
import { newToken } from "./token-form.tsx";

const EMPTY = { name: "laptop", limit: "none", quota: "", expiry: "never", expires_at: "", models: [] } as const;
const NOON = Date.parse("2026-11-21T12:00:00Z");

describe("a new token", () => {
  it("has no limits unless they are given", () => {
    expect(newToken({ ...EMPTY, name: " laptop ", models: [] }, "en", 500_000, NOON)).toEqual({ name: "laptop" });
  });

  it("has its limit in whole units, by the site's rate", () => {
    const values = { ...EMPTY, limit: "some", quota: "12.50", models: ["demo"], expiry: "1" } as const;
    expect(newToken({ ...values, models: ["demo"] }, "en", 500_000, NOON)).toEqual({
      name: "laptop",
      quota: 6_250_000,
      expires_at: "2026-11-22T12:00:00.000Z",
      models: ["demo"],
    });
    expect(newToken({ ...values, models: [] }, "en", 1_000, NOON).quota).toBe(12_500);
  });

  it("forgets an amount that was typed before choosing no limit", () => {
    expect(newToken({ ...EMPTY, quota: "5", models: [] }, "en", 500_000, NOON)).not.toHaveProperty("quota");
  });
});

describe("the token form", () => {
  it("refuses an amount that is none, in words", async () => {
    const api = await show("/tokens");
    fireEvent.click(await screen.findByRole("button", { name: /Create token/ }));
    const dialog = await screen.findByRole("dialog");
    fireEvent.change(within(dialog).getByLabelText("Name"), { target: { value: "laptop" } });
    fireEvent.click(within(dialog).getByText("Up to an amount"));
    fireEvent.change(await within(dialog).findByLabelText("Amount"), { target: { value: "0.000001" } });
    fireEvent.click(within(dialog).getByRole("button", { name: "Create token" }));
    await within(dialog).findByText("The smallest step is $0.000002.");
    expect(api.calls("POST", "/api/tokens")).toHaveLength(0);
  });
});

describe("the models of a token", () => {
  it("are offered by name with what they cost", async () => {
    await show("/tokens", { channels: [channel(1, "A", ["cheap", "priceless"])], pricedModels: ["cheap"] });
    fireEvent.click(await screen.findByRole("button", { name: /Create token/ }));
    const dialog = await screen.findByRole("dialog");
    fireEvent.mouseDown(within(dialog).getByRole("combobox", { name: "Models" }));
    await screen.findByText("$2.50 in · $10.00 out / 1 M");
    expect(screen.getByText("No price")).toBeTruthy();
  });
});

describe("a key", () => {
  it("is shown again at once after a fresh sign-in", async () => {
    await show("/tokens", { tokens: [token(1, "laptop")] });
    fireEvent.click(await screen.findByRole("button", { name: "Show the key of laptop" }));
    await screen.findByText("sk-revealed-key");
  });

  it("needs the password when the sign-in is not fresh", async () => {
    const api = await show("/tokens", { tokens: [token(1, "laptop")] });
    api.overrides.set("POST /api/tokens/1/reveal", () => refusal(403, "sign_in_again"));
    fireEvent.click(await screen.findByRole("button", { name: "Show the key of laptop" }));
    const dialog = await screen.findByRole("dialog");
    fireEvent.change(within(dialog).getByLabelText("Password"), { target: { value: "wrong" } });
    fireEvent.click(within(dialog).getByRole("button", { name: "Confirm" }));
    await within(dialog).findByText("Username or password is wrong");
    api.overrides.clear();
    fireEvent.change(within(dialog).getByLabelText("Password"), { target: { value: "correct" } });
    fireEvent.click(within(dialog).getByRole("button", { name: "Confirm" }));
    await screen.findByText("sk-revealed-key");
    expect(api.calls("POST", "/api/session").at(-1)?.body).toEqual({ username: "ana", password: "correct" });
  });
});

describe("a token in the list", () => {
  it("is disabled after a question, and can be enabled by undoing", async () => {
    const api = await show("/tokens", { tokens: [token(1, "laptop")] });
    fireEvent.click(await screen.findByRole("switch", { name: "Disable laptop" }));
    await screen.findAllByText("Disable laptop?");
    expect(api.calls("PATCH", "/api/tokens/1")).toHaveLength(0);
    fireEvent.click(screen.getByRole("button", { name: "Disable" }));
    await waitFor(() => expect(api.calls("PATCH", "/api/tokens/1")[0]?.body).toEqual({ status: "disabled" }));
    fireEvent.click(await screen.findByRole("button", { name: "Undo" }));
    await waitFor(() => expect(api.calls("PATCH", "/api/tokens/1")[1]?.body).toEqual({ status: "enabled" }));
  });

  it("is deleted only after a question", async () => {
    const api = await show("/tokens", { tokens: [token(1, "laptop")] });
    fireEvent.click(await screen.findByRole("button", { name: "Delete laptop" }));
    await screen.findByText(/This cannot be undone/);
    fireEvent.click(screen.getByRole("button", { name: "Delete" }));
    await waitFor(() => expect(api.calls("DELETE", "/api/tokens/1")).toHaveLength(1));
    await screen.findByText("No tokens yet");
  });
});
