// Starts a real `sluice` with an empty data folder and the demo channel, for one test file or one round of screenshots.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const START_LIMIT_MILLIS = 60_000;
const STOP_LIMIT_MILLIS = 15_000;

/** Where the program is: `SLUICE_BIN`, else the debug build of this tree. */
export function program() {
  const target = process.env.CARGO_TARGET_DIR ?? resolve(import.meta.dirname, "../../../target");
  return process.env.SLUICE_BIN ?? join(target, "debug/sluice");
}

/** Whether there is a program to test. */
export const hasProgram = () => existsSync(program());

/** Starts it. `env` adds settings. Answers its address, its set-up link and how to stop it. */
export async function startSluice(env = {}) {
  const data = await mkdtemp(join(tmpdir(), "sluice-console-"));
  const [port, opsPort] = [await freePort(), await freePort()];
  const settings = [
    "--demo",
    "--bind",
    "127.0.0.1",
    "--data-dir",
    data,
    "--port",
    `${port}`,
    "--ops-port",
    `${opsPort}`,
  ];
  const child = spawn(program(), settings, { env: { ...process.env, SLUICE_LOG: "info", ...env } });
  const ended = new Promise(done => child.once("exit", done));
  let output = "";
  const setupPath = await new Promise((found, fail) => {
    const timer = setTimeout(
      () => fail(new Error(`no set-up link in ${START_LIMIT_MILLIS} ms:\n${output}`)),
      START_LIMIT_MILLIS,
    );
    const look = chunk => {
      output += chunk;
      const path = /\/setup\?secret=[0-9a-f]+/.exec(output)?.[0];
      if (!path) return;
      clearTimeout(timer);
      found(path);
    };
    child.stdout.on("data", look);
    child.stderr.on("data", look);
    child.once("error", fail);
    child.once("exit", code => fail(new Error(`sluice ended with ${code}:\n${output}`)));
  });
  const stop = async () => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MILLIS);
    await ended;
    clearTimeout(timer);
    await rm(data, { recursive: true, force: true });
  };
  return { url: `http://127.0.0.1:${port}`, setupPath, stop };
}

function freePort() {
  return new Promise((found, fail) => {
    const server = createServer();
    server.once("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => found(port));
    });
  });
}
