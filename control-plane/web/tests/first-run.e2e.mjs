// From the set-up link to the first request with its price, against the real program with its usual limits.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { createToken, openPage, setUp, signIn, startBrowser } from "./browser.mjs";
import { hasProgram, startSluice } from "./server.mjs";

const run = promisify(execFile);
const skip = hasProgram() ? false : "there is no sluice to start: cargo build --bins";
let sluice;
let browser;

before(async () => {
  if (skip) return;
  // one after the other: a browser beside a program that did not start would keep the run from ending
  sluice = await startSluice();
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  await sluice?.stop();
});

/** Figures of the balance, in units. */
const units = async (page, metric) => {
  const text = await page.locator(`[data-metric=${metric}] + .metric-units`).textContent();
  return Number(text.replaceAll(/\D/g, ""));
};

test("a newcomer sets up, makes a token, sends a request and sees what it cost and why", { skip }, async () => {
  const { page, faults } = await openPage(browser);
  await setUp(page, sluice);

  // the demo channel and its price are there
  await page.getByText("2 of 4 done").waitFor();
  const start = await units(page, "available");
  const key = await createToken(page, "laptop");
  assert.match(key, /^sk-/);
  await page.getByText("3 of 4 done").waitFor();

  // from the page itself
  await page.getByRole("button", { name: "Send a request to demo" }).click();
  await page.locator("output.answer").waitFor();
  await page.getByText("You are all set").waitFor({ timeout: 20_000 });

  // and the snippet as it stands on the page, in a real shell
  const command = await page.locator(".code pre").first().textContent();
  assert.ok(command.includes(key) && command.includes(`${sluice.url}/v1`), command);
  const { stdout } = await run("sh", ["-c", command]);
  assert.match(stdout, /data: \[DONE\]/);
  const rows = page.locator("tbody tr");
  await rows.nth(1).waitFor({ timeout: 20_000 });

  let charged = 0;
  for (const place of [0, 1]) {
    await rows.nth(place).getByRole("button").first().click();
    const formula = await page.locator("[data-formula] b").textContent();
    charged += Number(/([\d,]+) units? = \$/.exec(formula)[1].replaceAll(",", ""));
    await page.getByRole("dialog").getByText("Answered").waitFor();
    assert.match(page.url(), /request=/);
    await page.keyboard.press("Escape");
    await page.locator("[data-formula]").waitFor({ state: "detached" });
  }

  // what the formulas say is what the balance lost
  await page.waitForFunction(
    expected =>
      document.querySelector("[data-metric=used] + .metric-units").textContent.replace(/\D/g, "") === expected,
    String(charged),
  );
  const figures = await Promise.all(["available", "held", "in_doubt"].map(metric => units(page, metric)));
  assert.equal(
    figures.reduce((sum, figure) => sum + figure, 0),
    start - charged,
  );
  assert.deepEqual(faults, []);
});

test("a key is shown again, and its token stops working when it is disabled", { skip }, async () => {
  const { page, faults } = await openPage(browser);
  await page.goto(`${sluice.url}/tokens`);
  await signIn(page);
  await page.getByRole("button", { name: "Show the key of laptop" }).click();
  const key = await page.locator("[data-key] code").textContent();
  await page.getByRole("button", { name: "I have copied it" }).click();

  await page.getByRole("switch", { name: "Disable laptop" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Disable" }).click();
  await page.getByText(/Live on 1 of 1 relays/).waitFor();
  const refused = await fetch(`${sluice.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
  assert.equal(refused.status, 401);
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByText("laptop is enabled.").waitFor();
  assert.deepEqual(faults, []);
});

test("a channel is added, refused for what is wrong with it, and deleted", { skip }, async () => {
  const { page, faults } = await openPage(browser);
  await page.goto(`${sluice.url}/channels`);
  await signIn(page);
  await page.locator(".page-head").getByRole("button", { name: "Add channel" }).click();
  await page.getByLabel("Provider").click();
  await page.locator(".ant-select-item-option", { hasText: "Azure OpenAI" }).click();
  await page.getByLabel("Keys").fill("0123456789abcdef0123456789abcdef");
  const save = page.getByRole("dialog").getByRole("button", { name: "Add channel" });
  await save.click();
  await page.getByText("Please fill this in.").waitFor();
  await page.getByLabel("Base URL").fill("ftp://my-resource");
  await save.click();
  await page.getByText("Enter an address that begins with https:// or http://.").waitFor();
  await page.getByLabel("Base URL").fill("https://my-resource.openai.azure.com");
  await save.click();
  await page.getByText("Azure OpenAI is added.").waitFor();
  await page.getByRole("button", { name: "Delete Azure OpenAI" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("Azure OpenAI is deleted.").waitFor();
  assert.equal(await page.locator("tbody tr").count(), 1);
  assert.deepEqual(faults, []);
});
