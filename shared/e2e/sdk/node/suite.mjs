// What every case asks, expects and reports, whatever the SDK. The same as python/suite.py.

import { isDeepStrictEqual, inspect } from "node:util";
import { crc32, deflateSync } from "node:zlib";

export const MODELS = ["chat-model", "responses-model", "messages-model", "gemini-model"];
export const UNKNOWN_MODEL = "no-such-model";

export const SHORT = "count the drops [sim: tokens=5]";
export const SHORT_ANSWER = "water flows through the gate";
export const LONG = "tell me all of it [sim: tokens=100]";
export const LONG_LIMIT = 20;
export const SYSTEM = "You are terse.";
export const SYSTEM_ECHO = "[sim: echo=system]";
export const PICTURE = "what is in the picture?";
export const WHY = "why is the sky blue [sim: tokens=5]";
export const STRUCTURED = "describe a place as JSON";
export const WEATHER = "what is the weather in Rome?";
export const WEATHER_BOTH = "what is the weather in both Rome and Oslo?";

export const TOOL = "get_weather";
export const TOOL_SCHEMA = {
  type: "object",
  properties: { city: { type: "string", description: "the name of the city" } },
  required: ["city"],
  additionalProperties: false,
};
export const PLACE_SCHEMA = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};
export const PLACE = { city: "sample 1", days: 1 };
export const RESULTS = ["sunny, 21 degrees", "rain, 4 degrees"];

/** What the simulator thinks of a prompt: it repeats its first twelve words. */
export function thoughtAbout(prompt) {
  return `The user said: "${prompt.split(/\s+/).slice(0, 12).join(" ")}". I know what to answer.`;
}

/** What the simulator answers to so many tool results. */
export function quoted(count) {
  return RESULTS.slice(0, count)
    .map((result) => `${TOOL} said: ${result}`)
    .join("\n");
}

export function expectedArguments(count) {
  return Array.from({ length: count }, (_, place) => ({ city: `sample ${place + 1}` }));
}

export function words(text) {
  return text.split(/\s+/).filter((word) => word !== "").length;
}

function chunk(kind, data) {
  const body = Buffer.concat([Buffer.from(kind, "latin1"), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}

/** A PNG of one grey dot, made here so that its length is known. */
function picture() {
  const header = Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0]);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const dot = deflateSync(Buffer.from([0, 0x80]));
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", dot), chunk("IEND", Buffer.alloc(0))]);
}

export const PNG = picture();
export const PNG_BASE64 = PNG.toString("base64");
export const PNG_ANSWER = `I received image/png of ${PNG.length} bytes.`;

/** Fails unless both are equal, and says what was compared. */
export function same(got, expected, what) {
  if (!isDeepStrictEqual(got, expected)) {
    throw new Error(`${what}: got ${inspect(got, { depth: 6 })}, expected ${inspect(expected, { depth: 6 })}`);
  }
}

export function holds(claim, what) {
  if (!claim) {
    throw new Error(what);
  }
}

/** Fails unless the call throws this error with this status. */
export async function refusedWith(status, kind, call) {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof kind)) {
      throw error;
    }
    same(error.status, status, "status");
    same(error.constructor.name, kind.name, "error");
    return error;
  }
  throw new Error(`nothing was thrown, expected ${kind.name}`);
}

/** Reads a stream to its end. */
export async function all(stream) {
  const events = [];
  for await (const event of stream) {
    events.push(event);
  }
  return events;
}

/** The innermost line of a case that an error went through. */
function placeOf(error) {
  const frames = (error.stack ?? "").split("\n").filter((line) => !/node_modules|node:|suite\.mjs/.test(line));
  const place = frames.map((line) => /([\w-]+\.mjs:\d+)/.exec(line)).find((found) => found !== null);
  return place ? ` (${place[1]})` : "";
}

/** Counts cases and prints a line for each. */
export class Report {
  passed = 0;
  failed = 0;

  async run(sdk, name, model, run) {
    try {
      await run();
    } catch (error) {
      this.failed += 1;
      console.log(`not ok - ${sdk} ${name} ${model}`);
      const text = `${error.constructor?.name ?? "Error"}${placeOf(error)}: ${error.message ?? error}`;
      console.log(
        text
          .split("\n")
          .slice(0, 12)
          .map((line) => `#   ${line}`)
          .join("\n"),
      );
      return;
    }
    this.passed += 1;
    console.log(`ok - ${sdk} ${name} ${model}`);
  }

  /** Runs the cases of one surface: `cases` for each model, `once` a single time. */
  async runSurface(surface, only) {
    const isWanted = (name, model) => only === "" || `${surface.name} ${name} ${model}`.includes(only);
    for (const [name, run] of Object.entries(surface.cases)) {
      for (const model of MODELS.filter((model) => isWanted(name, model))) {
        await this.run(surface.name, name, model, () => run(model));
      }
    }
    for (const [name, run] of Object.entries(surface.once).filter(([name]) => isWanted(name, UNKNOWN_MODEL))) {
      await this.run(surface.name, name, UNKNOWN_MODEL, run);
    }
  }
}
