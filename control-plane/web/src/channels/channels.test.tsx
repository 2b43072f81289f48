import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { channel } from "../test/fake-answers.ts";
import { refusal } from "../test/fake-api.ts";
import { show } from "../test/show.tsx";

async function openForm(): Promise<HTMLElement> {
  fireEvent.click(await screen.findByRole("button", { name: /Add channel/ }));
  const dialog = await screen.findByRole("dialog");
  fireEvent.mouseDown(await within(dialog).findByRole("combobox", { name: "Provider" }));
  return dialog;
}

async function chooseProvider(name: string): Promise<void> {
  fireEvent.click(await screen.findByText(name, { selector: ".ant-select-item-option-content" }));
}

const save = (dialog: HTMLElement) => fireEvent.click(within(dialog).getByRole("button", { name: "Add channel" }));

describe("the channel form", () => {
  it("asks for what the provider needs and fills in its models", async () => {
    const api = await show("/channels");
    const dialog = await openForm();
    await chooseProvider("OpenAI");
    const keys = await within(dialog).findByLabelText("Keys");
    expect(within(dialog).getByPlaceholderText("https://api.openai.com")).toBeTruthy();
    expect(within(dialog).queryByLabelText(/API version/)).toBeNull();
    fireEvent.change(keys, { target: { value: "sk-one\nsk-two" } });
    save(dialog);
    await waitFor(() => expect(api.calls("POST", "/api/channels")).toHaveLength(1));
    const [asked] = api.calls("POST", "/api/channels");
    expect(asked?.body).toMatchObject({
      provider: "openai",
      name: "OpenAI",
      keys: ["sk-one", "sk-two"],
      models: ["gpt-5", "gpt-5-mini"],
      groups: ["default"],
    });
    expect(asked?.headers.get("idempotency-key")).toMatch(/^[0-9a-f]{32}$/);
    await screen.findByText("OpenAI is added.", { exact: false });
    await screen.findByText("Live on 1 of 1 relays");
  });

  it("does not send a channel without the address its provider needs", async () => {
    const api = await show("/channels");
    const dialog = await openForm();
    await chooseProvider("Azure OpenAI");
    fireEvent.change(await within(dialog).findByLabelText("Keys"), { target: { value: "key" } });
    save(dialog);
    await within(dialog).findByText("Please fill this in.");
    fireEvent.change(within(dialog).getByLabelText("Base URL"), { target: { value: "not an address" } });
    save(dialog);
    await within(dialog).findByText(/begins with https/);
    expect(api.calls("POST", "/api/channels")).toHaveLength(0);
  });

  it("puts the server's word about the one key beside the keys, and keeps what was typed", async () => {
    const api = await show("/channels");
    const rule = { field: "key", code: "key", detail: "must not contain spaces" };
    api.overrides.set("POST /api/channels", () => refusal(422, "invalid", [rule]));
    const dialog = await openForm();
    await chooseProvider("OpenAI");
    fireEvent.change(await within(dialog).findByLabelText("Keys"), { target: { value: "a b" } });
    save(dialog);
    await within(dialog).findByText("must not contain spaces");
    fireEvent.click(within(dialog).getByRole("button", { name: "Cancel" }));
    fireEvent.click(screen.getByRole("button", { name: /Add channel/ }));
    await waitFor(() => expect((screen.getByLabelText("Keys") as HTMLTextAreaElement).value).toBe("a b"));
  });
});

describe("the settings of a channel", () => {
  it("are asked for when one is set, and the folded part opens at what is wrong with it", async () => {
    const api = await show("/channels");
    const dialog = await openForm();
    await chooseProvider("Azure OpenAI");
    fireEvent.change(await within(dialog).findByLabelText("Keys"), { target: { value: "key" } });
    fireEvent.change(within(dialog).getByLabelText("Base URL"), { target: { value: "https://x.example" } });
    fireEvent.change(within(dialog).getByLabelText(/^Remove dots/), { target: { value: "true" } });
    const advanced = within(dialog).getByRole("button", { name: /Advanced/ });
    fireEvent.click(advanced);
    const body = await within(dialog).findByLabelText("Changes of the body");
    fireEvent.change(body, { target: { value: "temperature: 1" } });
    fireEvent.click(advanced);
    save(dialog);
    await within(dialog).findByText("Write a JSON object.");
    expect(advanced.getAttribute("aria-expanded")).toBe("true");
    fireEvent.change(body, { target: { value: '{"temperature": 1}' } });
    save(dialog);
    await waitFor(() => expect(api.calls("POST", "/api/channels")).toHaveLength(1));
    expect(api.calls("POST", "/api/channels")[0]?.body.settings).toEqual({
      fields: { strip_dots: "true" },
      param_override: { temperature: 1 },
    });
  });

  it("are left out of a plain channel", async () => {
    const api = await show("/channels");
    const dialog = await openForm();
    await chooseProvider("OpenAI");
    fireEvent.change(await within(dialog).findByLabelText("Keys"), { target: { value: "sk-one" } });
    save(dialog);
    await waitFor(() => expect(api.calls("POST", "/api/channels")).toHaveLength(1));
    expect(api.calls("POST", "/api/channels")[0]?.body).not.toHaveProperty("settings");
  });

  it("are changed beside the list, and the server's word stands at its field", async () => {
    const settings = { proxy: "http://u:***@h:1/", force_format: true };
    const api = await show("/channels", {
      channels: [{ ...channel(1, "A", ["gpt-5"]), settings }],
      pricedModels: ["gpt-5"],
    });
    fireEvent.click(await screen.findByRole("button", { name: "Settings of A" }));
    const dialog = await screen.findByRole("dialog");
    const proxy = (await within(dialog).findByLabelText("Proxy")) as HTMLInputElement;
    expect(proxy.value).toBe("http://u:***@h:1/");
    fireEvent.change(proxy, { target: { value: "http://u:***@other:1/" } });
    const rule = { field: "settings.proxy", code: "masked", detail: "must be given with its secret" };
    api.overrides.set("PATCH /api/channels/1", () => refusal(422, "invalid", [rule]));
    fireEvent.click(within(dialog).getByRole("button", { name: "Save settings" }));
    await within(dialog).findByText("must be given with its secret");
    expect(api.calls("PATCH", "/api/channels/1")[0]?.body.settings).toMatchObject({
      proxy: "http://u:***@other:1/",
      force_format: true,
      test_model: null,
    });
  });
});

describe("the channel form and prices", () => {
  it("warns of models without a price, and comes back when the price is set", async () => {
    const api = await show("/channels", { pricedModels: ["demo", "gpt-5"] });
    const dialog = await openForm();
    await chooseProvider("OpenAI");
    fireEvent.change(await within(dialog).findByLabelText("Keys"), { target: { value: "sk-one" } });
    fireEvent.click(await within(dialog).findByRole("button", { name: "Set the price of gpt-5-mini" }));
    const price = (await screen.findByText("Price of gpt-5-mini")).closest("[role=dialog]") as HTMLElement;
    fireEvent.change(within(price).getByLabelText("Input"), { target: { value: "0.25" } });
    fireEvent.change(within(price).getByLabelText("Output"), { target: { value: "2" } });
    fireEvent.click(within(price).getByRole("button", { name: "Save price" }));
    await waitFor(() => expect(api.site.pricedModels).toContain("gpt-5-mini"));
    await waitFor(() => expect((screen.getByLabelText("Keys") as HTMLTextAreaElement).value).toBe("sk-one"));
    await waitFor(() => expect(screen.queryByText(/Models without a price/)).toBeNull());
  });
});

describe("the list of channels", () => {
  it("marks models that have no price", async () => {
    await show("/channels", { channels: [channel(1, "A", ["with-price", "without"])], pricedModels: ["with-price"] });
    const marked = await screen.findByTitle("without: No price");
    expect(marked.classList.contains("tag-warn")).toBe(true);
    expect(screen.getByTitle("with-price").classList.contains("tag-warn")).toBe(false);
  });

  it("asks before it deletes, and says what will happen", async () => {
    const api = await show("/channels");
    fireEvent.click(await screen.findByRole("button", { name: "Delete Demo" }));
    await screen.findAllByText("Delete Demo?");
    expect(screen.getByText(/Models it serves: 1/)).toBeTruthy();
    expect(api.asked.some(asked => asked.method === "DELETE")).toBe(false);
  });

  it("offers prices for models that have none", async () => {
    const api = await show("/channels", { pricedModels: [] });
    fireEvent.click(await screen.findByRole("button", { name: "Set the price of demo" }));
    const dialog = await screen.findByRole("dialog");
    fireEvent.change(within(dialog).getByLabelText("Input"), { target: { value: "2.50" } });
    fireEvent.change(within(dialog).getByLabelText("Output"), { target: { value: "10" } });
    fireEvent.click(within(dialog).getByRole("button", { name: "Save price" }));
    await waitFor(() => expect(api.calls("POST", "/api/prices")).toHaveLength(1));
    expect(api.calls("POST", "/api/prices")[0]?.body).toEqual({
      model: "demo",
      usd_per_1m_input: "2.5",
      usd_per_1m_output: "10",
    });
    await waitFor(() => expect(screen.queryByText(/Models without a price/)).toBeNull());
  });
});
