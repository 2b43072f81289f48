// Channels that administrators try: against the real program, whose relay asks the demo's own upstream.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { openPage, setUp, signIn, startBrowser } from "./browser.mjs";
import { hasProgram, startSluice } from "./server.mjs";

const skip = hasProgram() ? false : "there is no sluice to start: cargo build --bins";
const UNLIMITED = { GLOBAL_API_RATE_LIMIT_ENABLE: "false", GLOBAL_WEB_RATE_LIMIT_ENABLE: "false" };
const GOOD_KEY = "sk-good-0001";
let sluice;
let browser;
let upstream;

/** An upstream with a list of models and one key that it takes. */
function startUpstream() {
  const server = createServer((request, response) => {
    const isKnown = request.headers.authorization === `Bearer ${GOOD_KEY}`;
    const refusal = {
      error: { code: "invalid_api_key", message: `Incorrect API key: ${request.headers.authorization}` },
    };
    const list = { data: [{ id: "gpt-5" }, { id: "gpt-6" }] };
    const choice = { index: 0, message: { role: "assistant", content: "Hello." }, finish_reason: "stop" };
    const usage = { prompt_tokens: 8, completion_tokens: 2, total_tokens: 10 };
    const chat = { id: "c-1", object: "chat.completion", created: 1, model: "gpt-5", choices: [choice], usage };
    request.resume();
    request.on("end", () => {
      response.writeHead(isKnown ? 200 : 401, { "content-type": "application/json" });
      response.end(JSON.stringify(isKnown ? (request.url.endsWith("/models") ? list : chat) : refusal));
    });
  });
  return new Promise(done => server.listen(0, "127.0.0.1", () => done(server)));
}

before(async () => {
  if (skip) return;
  upstream = await startUpstream();
  sluice = await startSluice(UNLIMITED);
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  await sluice?.stop();
  upstream?.close();
});

const add = async (page, name, keys) => {
  const base_url = `http://127.0.0.1:${upstream.address().port}`;
  const data = { name, provider: "openai", base_url, keys, models: ["gpt-5"] };
  const answer = await page.request.post(`${sluice.url}/api/channels`, { data, headers: { "X-Sluice-Csrf": "1" } });
  assert.equal(answer.status(), 201, await answer.text());
};

const attempt = async (page, name, what) => {
  await page.getByRole("button", { name: `Try ${name}` }).click();
  await page.getByRole("menuitem", { name: what, exact: true }).click();
};

test("channels are tested, their keys one by one, and their models fetched", { skip }, async () => {
  const { page, faults } = await openPage(browser);
  await setUp(page, sluice);
  await add(page, "good", [GOOD_KEY]);
  await add(page, "half", [GOOD_KEY, "sk-nobody-knows-it"]);
  await page.goto(`${sluice.url}/channels`);
  const row = name => page.locator("tbody tr", { hasText: name });

  await attempt(page, "good", "Test");
  await page.getByText(/^good answered in/).waitFor();
  await row("good")
    .getByText(/^Test: /)
    .waitFor();

  await page.getByRole("button", { name: "Try half" }).click();
  await page.getByRole("menuitem", { name: "Test with a key" }).hover();
  await page.getByRole("menuitem", { name: "All keys" }).click();
  const told = page.getByText(/^half: 1 of 2 keys work/);
  await told.waitFor();
  assert.doesNotMatch(await told.textContent(), /nobody-knows/);

  await attempt(page, "good", "Fetch models");
  await page.getByRole("dialog").getByText("gpt-6").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Add them" }).click();
  await row("good").getByText("gpt-6").waitFor();
  assert.deepEqual(faults, []);
});

test("what a test costs is told and nobody has paid it", { skip }, async () => {
  const { page } = await openPage(browser);
  await page.goto(sluice.url);
  await signIn(page);
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  const read = async path => (await page.request.get(sluice.url + path)).json();
  const tests = await read("/api/errands?kind=test");
  assert.ok(tests.items.length >= 3, JSON.stringify(tests));
  const passed = tests.items.filter(one => one.result.ok);
  assert.ok(
    passed.every(one => one.result.output_tokens === 2),
    JSON.stringify(passed),
  );
  assert.deepEqual((await read("/api/requests")).items, []);
});
