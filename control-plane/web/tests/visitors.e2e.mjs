// Wrong passwords, small phones, other languages, people who see badly: against the real program.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { createToken, isTooWide, openPage, PASSWORD, setUp, signIn, startBrowser } from "./browser.mjs";
import { hasProgram, startSluice } from "./server.mjs";

const skip = hasProgram() ? false : "there is no sluice to start: cargo build --bins";
const UNLIMITED = { GLOBAL_API_RATE_LIMIT_ENABLE: "false", GLOBAL_WEB_RATE_LIMIT_ENABLE: "false" };
const PAGES = ["/", "/requests", "/tokens", "/channels"];
let sluice;
let browser;
let signedIn;

before(async () => {
  if (skip) return;
  // one after the other: a browser beside a program that did not start would keep the run from ending
  sluice = await startSluice(UNLIMITED);
  browser = await startBrowser();
  const { page, context } = await openPage(browser);
  await setUp(page, sluice);
  const key = await createToken(page, "laptop");
  const body = JSON.stringify({ model: "demo", messages: [{ role: "user", content: "Hello!" }] });
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const answer = await fetch(`${sluice.url}/v1/chat/completions`, { method: "POST", headers, body });
  assert.equal(answer.status, 200);
  await page.locator("tbody tr").first().waitFor();
  signedIn = await context.storageState();
  await context.close();
});

after(async () => {
  await browser?.close();
  await sluice?.stop();
});

test("a wrong password is told in words and the right one still works", { skip }, async () => {
  const { page, faults } = await openPage(browser);
  await page.goto(`${sluice.url}/tokens`);
  await signIn(page, "not the password");
  const alert = page.getByRole("alert");
  await alert.getByText("Username or password is wrong").waitFor();
  assert.match(await alert.textContent(), /Request id/);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Tokens" }).waitFor();
  assert.deepEqual(faults, []);
});

test("the set-up link works once", { skip }, async () => {
  const { page } = await openPage(browser);
  await page.goto(sluice.url + sluice.setupPath);
  await page.getByText("Sluice is set up already").waitFor();
});

test("every page fits a phone of 360 pixels", { skip }, async () => {
  const { page, faults } = await openPage(browser, { viewport: { width: 360, height: 740 }, storageState: signedIn });
  for (const path of PAGES) {
    await page.goto(sluice.url + path);
    await page.locator("table").first().waitFor();
    assert.equal(await isTooWide(page), false, `${path} scrolls sideways`);
  }
  await page.goto(`${sluice.url}/`);
  await page.locator("tbody tr").first().getByRole("button").first().click();
  await page.locator("[data-formula]").waitFor();
  assert.equal(await isTooWide(page), false, "the explanation scrolls sideways");
  assert.deepEqual(faults, []);
});

test("language and colours are chosen once and kept", { skip }, async () => {
  const { page, faults } = await openPage(browser, { storageState: signedIn });
  await page.goto(sluice.url);
  await page.getByRole("button", { name: "Language" }).click();
  await page.getByText("Français").click();
  await page.getByRole("heading", { name: "Aperçu" }).waitFor();
  await page.getByRole("button", { name: "Apparence" }).click();
  await page.getByText("Sombre").click();
  await page.reload();
  await page.getByRole("heading", { name: "Aperçu" }).waitFor();
  assert.equal(await page.getAttribute("html", "lang"), "fr");
  assert.equal(await page.getAttribute("html", "data-shade"), "dark");
  assert.deepEqual(faults, []);
});

test("the keyboard reaches pages, rows and back", { skip }, async () => {
  const { page, faults } = await openPage(browser, { storageState: signedIn });
  await page.goto(sluice.url);
  await page.locator("tbody tr").first().waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  await page.keyboard.press("g");
  await page.keyboard.press("t");
  await page.getByRole("heading", { name: "Tokens" }).waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("r");
  await page.getByRole("heading", { name: "Requests" }).waitFor();
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.type === "search"), true);
  await page.locator(".row-open").first().focus();
  await page.keyboard.press("Enter");
  await page.locator("[data-formula]").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("[data-formula]").waitFor({ state: "detached" });
  assert.deepEqual(faults, []);
});

test("no page has a serious barrier, in light and in dark", { skip }, async () => {
  const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  const serious = async (page, where) => {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    return violations
      .filter(({ impact }) => ["serious", "critical"].includes(impact))
      .map(({ id, nodes }) => `${where}: ${id} at ${nodes.map(node => node.target.join(" ")).join(", ")}`);
  };
  const found = [];
  for (const colorScheme of ["light", "dark"]) {
    const { page, context } = await openPage(browser, { storageState: signedIn, colorScheme, reducedMotion: "reduce" });
    for (const path of PAGES) {
      await page.goto(sluice.url + path);
      await page.locator("table").first().waitFor();
      found.push(...(await serious(page, `${path} ${colorScheme}`)));
    }
    await page.locator(".page-head").getByRole("button", { name: "Add channel" }).click();
    await page.getByLabel("Provider").waitFor();
    found.push(...(await serious(page, `channel form ${colorScheme}`)));
    await page.goto(`${sluice.url}/`);
    await page.locator(".row-open").first().click();
    await page.locator("[data-formula]").waitFor();
    found.push(...(await serious(page, `explanation ${colorScheme}`)));
    await context.close();
    const stranger = await openPage(browser, { colorScheme });
    await stranger.page.goto(`${sluice.url}/sign-in`);
    await stranger.page.getByLabel("Username").waitFor();
    found.push(...(await serious(stranger.page, `sign-in ${colorScheme}`)));
    await stranger.context.close();
  }
  assert.deepEqual(found, []);
});
