// Chromium without anything that calls home, and pages that fail the test when they log an error.
import { chromium } from "playwright-core";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** A refusal that a page expects is logged by the browser too. */
const EXPECTED = /Failed to load resource: the server responded with a status of 4\d\d/;

/** Starts the browser with a fresh profile. */
export function startBrowser() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
}

/** Opens a page in a profile of its own. `faults` collects what went wrong on it. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1366, height: 900 }, locale: "en-GB", ...options });
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", error => faults.push(error.message));
  page.on("console", message => {
    if (message.type() === "error" && !EXPECTED.test(message.text())) faults.push(message.text());
  });
  return { page, context, faults };
}

/** Whether the page scrolls sideways. */
export const isTooWide = page => page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);

export const USERNAME = "ana";
export const PASSWORD = "kettle harbour violin";

/** Goes through the set-up page. */
export async function setUp(page, sluice) {
  await page.goto(sluice.url + sluice.setupPath);
  await page.getByLabel("Username").fill(USERNAME);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Create account and sign in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
}

/** Signs in on the page that asks for it. */
export async function signIn(page, password = PASSWORD) {
  await page.getByLabel("Username").fill(USERNAME);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** Makes a token from the overview or the page of tokens. Answers its key. */
export async function createToken(page, name) {
  await page.locator(".page-head").getByRole("button", { name: "Create token" }).click();
  await page.getByLabel("Name").fill(name);
  await page.getByRole("dialog").getByRole("button", { name: "Create token" }).click();
  const key = await page.locator("[data-key] code").textContent();
  await page.getByRole("button", { name: "I have copied it" }).click();
  return key;
}
