// The package `@google/genai`.

import { ApiError, GoogleGenAI } from "@google/genai";

import * as suite from "./suite.mjs";
import { all, holds, refusedWith, same } from "./suite.mjs";

const TOOLS = [
  {
    functionDeclarations: [
      { name: suite.TOOL, description: "the weather in a city", parametersJsonSchema: suite.TOOL_SCHEMA },
    ],
  },
];
const THINKING = { thinkingBudget: 1024, includeThoughts: true };

export default function googleGenai(baseUrl, key) {
  const client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl } });

  const ask = (model, contents, config = {}) => client.models.generateContent({ model, contents, config });

  /** The chunks of a stream; exactly one of them has a finish reason. */
  async function listen(model, contents, config = {}) {
    const chunks = await all(await client.models.generateContentStream({ model, contents, config }));
    same(chunks.filter((chunk) => chunk.candidates?.[0]?.finishReason).length, 1, "finish reasons");
    return chunks;
  }

  const partsOf = (answers) => answers.flatMap((answer) => answer.candidates?.[0]?.content?.parts ?? []);
  const textOf = (answers, isThought = false) =>
    partsOf(answers)
      .filter((part) => part.text && Boolean(part.thought) === isThought)
      .map((part) => part.text)
      .join("");

  /** Checks the calls among the parts; what the next request appends to its contents. */
  function goOn(parts, count) {
    const calls = parts.filter((part) => part.functionCall).map((part) => part.functionCall);
    same(
      calls.map((call) => [call.name, call.args]),
      suite.expectedArguments(count).map((given) => [suite.TOOL, given]),
      "calls",
    );
    const results = calls.map(({ id, name }, place) => ({
      functionResponse: { ...(id ? { id } : {}), name, response: { result: suite.RESULTS[place] } },
    }));
    return [
      { role: "model", parts },
      { role: "user", parts: results },
    ];
  }

  async function roundTrip(model, prompt, count, more = {}) {
    const config = { tools: TOOLS, ...more };
    const contents = [{ role: "user", parts: [{ text: prompt }] }];
    const asked = await ask(model, contents, config);
    same(asked.candidates[0].finishReason, "STOP", "finish reason");
    contents.push(...goOn(partsOf([asked]), count));
    same(textOf([await ask(model, contents, config)]), suite.quoted(count), "text");
  }

  const cases = {
    async plain(model) {
      const answer = await ask(model, suite.SHORT);
      same(answer.text, suite.SHORT_ANSWER, "text");
      same([answer.candidates[0].finishReason, answer.candidates[0].content.role], ["STOP", "model"], "envelope");
    },

    async stream(model) {
      const chunks = await listen(model, suite.SHORT);
      same(textOf(chunks), suite.SHORT_ANSWER, "text");
      holds(chunks.filter((chunk) => textOf([chunk])).length > 1, "the text came in one piece");
      const last = chunks.at(-1);
      same([last.candidates[0].finishReason, last.usageMetadata.candidatesTokenCount], ["STOP", 5], "last chunk");
    },

    async system(model) {
      same((await ask(model, suite.SYSTEM_ECHO, { systemInstruction: suite.SYSTEM })).text, suite.SYSTEM, "system prompt");
    },

    async image(model) {
      const parts = [{ inlineData: { mimeType: "image/png", data: suite.PNG_BASE64 } }, { text: suite.PICTURE }];
      same((await ask(model, [{ role: "user", parts }])).text, suite.PNG_ANSWER, "text");
    },

    async usage(model) {
      const usage = (await ask(model, suite.SHORT)).usageMetadata;
      same(usage.candidatesTokenCount, 5, "candidates tokens");
      holds(usage.promptTokenCount > 0, "no prompt tokens");
      same(usage.totalTokenCount, usage.promptTokenCount + 5, "total tokens");
    },

    async length(model) {
      const answer = await ask(model, suite.LONG, { maxOutputTokens: suite.LONG_LIMIT });
      same([answer.candidates[0].finishReason, suite.words(textOf([answer]))], ["MAX_TOKENS", suite.LONG_LIMIT], "finish");
    },

    async structured(model) {
      const config = { responseMimeType: "application/json", responseJsonSchema: suite.PLACE_SCHEMA };
      same(JSON.parse((await ask(model, suite.STRUCTURED, config)).text), suite.PLACE, "JSON");
    },

    async structured_openapi(model) {
      const properties = { city: { type: "STRING" }, days: { type: "INTEGER" } };
      const responseSchema = { type: "OBJECT", properties, required: ["city", "days"] };
      const config = { responseMimeType: "application/json", responseSchema };
      same(JSON.parse((await ask(model, suite.STRUCTURED, config)).text), suite.PLACE, "JSON");
    },

    async thinking(model) {
      const answer = await ask(model, suite.WHY, { thinkingConfig: THINKING });
      same(textOf([answer], true), suite.thoughtAbout(suite.WHY), "thought");
      same(textOf([answer]), suite.SHORT_ANSWER, "text");
      holds(answer.usageMetadata.thoughtsTokenCount > 0, "no thoughts tokens");
    },

    async thinking_stream(model) {
      const chunks = await listen(model, suite.WHY, { thinkingConfig: THINKING });
      same([textOf(chunks, true), textOf(chunks)], [suite.thoughtAbout(suite.WHY), suite.SHORT_ANSWER], "thought and text");
    },

    tools: (model) => roundTrip(model, suite.WEATHER, 1),
    parallel_tools: (model) => roundTrip(model, suite.WEATHER_BOTH, 2),
    thinking_tools: (model) => roundTrip(model, suite.WEATHER, 1, { thinkingConfig: THINKING }),

    async tools_stream(model) {
      const contents = [{ role: "user", parts: [{ text: suite.WEATHER_BOTH }] }];
      const said = partsOf(await listen(model, contents, { tools: TOOLS })).filter((part) => part.functionCall || part.text);
      contents.push(...goOn(said, 2));
      same(textOf(await listen(model, contents, { tools: TOOLS })), suite.quoted(2), "text");
    },

    async count_tokens(model) {
      holds((await client.models.countTokens({ model, contents: "one two three" })).totalTokens > 0, "no tokens");
    },

    async bad_field(model) {
      await refusedWith(400, ApiError, () => ask(model, suite.SHORT, { maxOutputTokens: -1 }));
    },
  };

  const once = {
    async unknown_model() {
      const error = await refusedWith(404, ApiError, () => ask(suite.UNKNOWN_MODEL, suite.SHORT));
      holds(error.message.includes("NOT_FOUND"), `the message has no status: ${error.message}`);
    },
  };

  return { name: "node/google-genai", cases, once };
}
