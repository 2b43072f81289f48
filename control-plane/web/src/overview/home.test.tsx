import { act, fireEvent, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { noteBuild } from "../api/build.ts";
import { LIVELY_MILLIS } from "../api/pace.ts";
import { channel, request } from "../test/fake-answers.ts";
import { refusal } from "../test/fake-api.ts";
import { show } from "../test/show.tsx";

const step = (name: string) => document.querySelector(`[data-step=${name}]`)?.getAttribute("data-state");

describe("home", () => {
  it("says what can be spent, in dollars and in units", async () => {
    await show("/", { available: 4_996_250 });
    await screen.findByText("$9.9925");
    expect(screen.getByText("4,996,250 units")).toBeTruthy();
    expect(screen.getByText("500,000 units")).toBeTruthy();
  });

  it("leads a new site from the channel to the first request", async () => {
    await show("/", { channels: [], pricedModels: [], available: 0 });
    await screen.findByText("0 of 5 done");
    expect([step("channel"), step("price"), step("credit"), step("token"), step("request")]).toEqual([
      "current",
      "coming",
      "coming",
      "coming",
      "coming",
    ]);
  });

  it("ticks off what the demo brings, and what is done on the page", async () => {
    const api = await show("/");
    await screen.findByText("2 of 4 done");
    expect(step("token")).toBe("current");
    api.site.tokens = [];
    fireEvent.click(within(document.querySelector("[data-step=token]") as HTMLElement).getByRole("button"));
    fireEvent.change(await screen.findByLabelText("Name"), { target: { value: "laptop" } });
    const dialog = await screen.findByRole("dialog");
    fireEvent.click(within(dialog).getByRole("button", { name: "Create token" }));
    expect((await screen.findByText("sk-fresh-key")).closest("[data-key]")).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "I have copied it" }));
    await screen.findByText("3 of 4 done");
    expect(document.querySelector("pre")?.textContent).toContain("Bearer sk-fresh-key");
    expect(document.querySelector("pre")?.textContent).toContain('"model": "demo"');
  });

  it("lets root put money on their own balance, to the unit", async () => {
    const api = await show("/", { available: 0 });
    await screen.findByText("2 of 5 done");
    fireEvent.click(within(document.querySelector("[data-step=credit]") as HTMLElement).getByRole("button"));
    const dialog = await screen.findByRole("dialog");
    fireEvent.change(within(dialog).getByLabelText("Amount"), { target: { value: "12.50" } });
    fireEvent.click(within(dialog).getByRole("button", { name: "Add credit" }));
    await screen.findByText("3 of 5 done");
    expect(screen.getByText("6,250,000 units")).toBeTruthy();
    expect(api.calls("POST", "/api/users/me/adjustments")[0]?.body.amount).toBe(6_250_000);
  });

  it("shows a request when it ends, and the balance after it", async () => {
    const api = await show("/");
    await screen.findByText("No requests yet");
    api.site.requests = [request("0199-a")];
    api.site.available = 4_996_250;
    await screen.findByText("1,000", { exact: false, selector: "td span" }, { timeout: 3 * LIVELY_MILLIS });
    await screen.findByText("$9.9925");
    expect(screen.getAllByText("$0.0075").length).toBeGreaterThan(0);
  }, 12_000);

  it("explains a charge with its figures", async () => {
    await show("/", { requests: [request("0199-a")] });
    const table = await screen.findByRole("table");
    fireEvent.click(within(table).getAllByRole("button")[0] as HTMLElement);
    const drawer = await screen.findByRole("dialog");
    await within(drawer).findByText(/1\.25 × 1 × \(1000 \+ 500×4\) = 3750/);
    expect(within(drawer).getByText("3,750 units = $0.0075")).toBeTruthy();
    expect(within(drawer).getByText("rate_limited")).toBeTruthy();
    expect(window.location.search).toContain("0199-a");
  });

  it("hides channels from who is no administrator", async () => {
    const api = await show("/", { role: "user", requests: [request("0199-a")] });
    await screen.findByText("Last requests");
    await screen.findByRole("table");
    expect(screen.queryByRole("link", { name: "Channels" })).toBeNull();
    expect(screen.queryByRole("button", { name: /Add channel/ })).toBeNull();
    expect(api.calls("GET", "/api/channels")).toHaveLength(0);
  });

  it("names models that work first in the snippets", async () => {
    await show("/", {
      channels: [channel(1, "A", ["a-without-price", "b-with-price"])],
      pricedModels: ["b-with-price"],
    });
    await waitFor(() => expect(document.querySelector("pre")?.textContent).toContain('"model": "b-with-price"'));
  });

  it("tells what went wrong, and tries again when asked to", async () => {
    const api = await show("/", {}, "en", api => {
      api.overrides.set("GET /api/users/me/balance", () => refusal(500, "internal"));
    });
    await screen.findByText("Something broke on the server");
    api.overrides.clear();
    fireEvent.click(screen.getByRole("button", { name: "Try again" }));
    await screen.findByText("$10.00");
  });

  it("offers to reload when the server is another build", async () => {
    await show("/");
    await screen.findByText("$10.00");
    expect(screen.queryByRole("button", { name: "Reload" })).toBeNull();
    act(() => noteBuild("1.2.4"));
    await screen.findByRole("button", { name: "Reload" });
  });
});
