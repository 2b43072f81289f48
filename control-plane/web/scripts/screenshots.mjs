// Takes a picture of every page in light, in dark and on a phone, from a real `sluice`, into ./screenshots.
import { mkdir, rm } from "node:fs/promises";
import { openPage, PASSWORD, startBrowser, USERNAME } from "../tests/browser.mjs";
import { hasProgram, program, startSluice } from "../tests/server.mjs";

const LOOKS = [
  { name: "light", colorScheme: "light", viewport: { width: 1366, height: 900 } },
  { name: "dark", colorScheme: "dark", viewport: { width: 1366, height: 900 } },
  { name: "phone", colorScheme: "light", viewport: { width: 360, height: 740 } },
];
const UNLIMITED = {
  GLOBAL_API_RATE_LIMIT_ENABLE: "false",
  GLOBAL_WEB_RATE_LIMIT_ENABLE: "false",
  CRITICAL_RATE_LIMIT_ENABLE: "false",
};
const folder = new URL("../screenshots/", import.meta.url);

if (!hasProgram()) {
  console.error(`there is no ${program()}: cargo build --bins`);
  process.exit(1);
}
await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
const sluice = await startSluice(UNLIMITED);
const browser = await startBrowser();
let taken = 0;
try {
  await strangers();
  const session = await begin();
  await eachLook("overview-first", session, "/", page => page.locator("[data-step]").first().waitFor());
  await fill(session);
  await members(session);
} finally {
  await browser.close();
  await sluice.stop();
}
console.log(`${taken} pictures in ${folder.pathname}`);

/** One picture of a page in every look. `prepare` waits for what the picture is of. */
async function eachLook(name, storageState, path, prepare, isWhole = true) {
  for (const { name: look, ...options } of LOOKS) {
    const { page, context } = await openPage(browser, { ...options, storageState, reducedMotion: "reduce" });
    await page.goto(sluice.url + path);
    await prepare(page);
    await page.waitForLoadState("networkidle");
    const file = new URL(`${name}-${look}.png`, folder).pathname;
    await page.screenshot({ path: file, fullPage: isWhole });
    await context.close();
    taken += 1;
  }
}

async function strangers() {
  await eachLook("setup", undefined, sluice.setupPath, async page => {
    await page.getByLabel("Username").fill(USERNAME);
    await page.getByLabel("Password").fill("kettle harb");
  });
  await eachLook("setup-without-link", undefined, "/", page => page.getByRole("heading", { level: 1 }).waitFor());
}

/** Sets the site up. Answers the session. */
async function begin() {
  const { page, context } = await openPage(browser);
  const secret = new URL(sluice.setupPath, sluice.url).searchParams.get("secret");
  await call(page, "POST", "/api/setup", { secret, username: USERNAME, password: PASSWORD });
  const session = await context.storageState();
  await context.close();
  return session;
}

/** Makes what a site has after a while: channels, tokens, requests that went well and badly. */
async function fill(storageState) {
  const { page, context } = await openPage(browser, { storageState });
  const models = ["gpt-5", "gpt-5-mini", "gpt-4.1", "gpt-4o", "my-own-model"];
  await call(page, "POST", "/api/channels", {
    name: "OpenAI",
    provider: "openai",
    keys: ["sk-one-1111", "sk-two-2222"],
    models,
    priority: 10,
  });
  await call(page, "POST", "/api/channels", {
    name: "Azure, for when OpenAI is full",
    provider: "azure-openai",
    base_url: "https://my-resource.openai.azure.com",
    key: "0123456789abcdef",
    models: ["gpt-4o"],
    status: "disabled",
  });
  const limits = {
    quota: 5_000_000,
    models: ["demo"],
    expires_at: new Date(Date.now() + 40 * 86_400_000).toISOString(),
  };
  await call(page, "POST", "/api/tokens", { name: "backend of the shop", ...limits });
  const { id } = await call(page, "POST", "/api/tokens", { name: "intern", status: "disabled" });
  if (!id) throw new Error("a token has no id");
  const { key } = await call(page, "POST", "/api/tokens", { name: "laptop" });
  const questions = ["Hello!", "Why is the sky blue?", "Count to ten.", "What does a sluice do?"];
  for (const [place, content] of [...questions, ...questions].entries()) {
    const body = JSON.stringify({ model: "demo", stream: place % 3 !== 0, messages: [{ role: "user", content }] });
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const answer = await fetch(`${sluice.url}/v1/chat/completions`, { method: "POST", headers, body });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`a request was refused: ${answer.status} ${text}`);
  }
  await page.goto(sluice.url);
  await page.locator("tbody tr").nth(7).waitFor();
  await context.close();
}

async function members(session) {
  const table = page => page.locator("tbody tr").first().waitFor();
  const head = (page, name) => page.locator(".page-head").getByRole("button", { name }).click();
  await eachLook("sign-in", undefined, "/sign-in", async page => {
    await page.getByLabel("Username").fill(USERNAME);
    await page.getByLabel("Password").fill("not the password");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").waitFor();
  });
  await eachLook("overview", session, "/", table);
  await eachLook("requests", session, "/requests", table);
  const explain = async page => {
    await page.locator(".row-open").first().click();
    await page.locator("[data-formula]").waitFor();
  };
  await eachLook("explanation", session, "/requests", explain, false);
  await eachLook("tokens", session, "/tokens", table);
  const tokenForm = async page => {
    await head(page, "Create token");
    await page.getByText("Up to an amount").click();
    await page.getByRole("textbox", { name: "Amount" }).fill("twelve");
    await page.getByLabel("Name").fill("laptop");
  };
  await eachLook("token-form", session, "/tokens", tokenForm, false);
  const shown = async page => {
    await page.getByRole("button", { name: "Show the key of laptop" }).click();
    await page.locator("[data-key]").waitFor();
  };
  await eachLook("key", session, "/tokens", shown, false);
  const deleting = async page => {
    await page.getByRole("button", { name: "Delete laptop" }).click();
    await page.getByRole("dialog").waitFor();
  };
  await eachLook("deleting", session, "/tokens", deleting, false);
  await eachLook("channels", session, "/channels", table);
  const trying = async page => {
    await page.getByRole("button", { name: "Try OpenAI" }).click();
    await page.getByRole("menuitem", { name: "Test with a key" }).hover();
    await page.getByRole("menuitem", { name: "All keys" }).waitFor();
  };
  await eachLook("channel-trying", session, "/channels", trying, false);
  const tried = async page => {
    await page.getByRole("button", { name: "Try demo" }).click();
    await page.getByRole("menuitem", { name: "Test", exact: true }).click();
    await page.getByText(/answered in/).waitFor();
  };
  await eachLook("channel-tried", session, "/channels", tried, false);
  const channelForm = async page => {
    await head(page, "Add channel");
    await page.getByLabel("Provider").click();
    await page.locator(".ant-select-item-option", { hasText: "Azure OpenAI" }).click();
    await page.getByLabel("Base URL").waitFor();
  };
  await eachLook("channel-form", session, "/channels", channelForm, false);
}

/** Calls the API as the page does: with its cookie, and the header of writes. */
async function call(page, method, path, data) {
  const headers = { "X-Sluice-Csrf": "1" };
  const answer = await page.request.fetch(sluice.url + path, { method, data, headers });
  if (!answer.ok()) throw new Error(`${method} ${path}: ${answer.status()} ${await answer.text()}`);
  return answer.json();
}
