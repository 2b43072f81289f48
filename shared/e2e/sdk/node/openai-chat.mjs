// The package `openai`, Chat Completions.

import OpenAI from "openai";

import * as suite from "./suite.mjs";
import { all, holds, refusedWith, same } from "./suite.mjs";

const TOOLS = [
  { type: "function", function: { name: suite.TOOL, description: "the weather in a city", parameters: suite.TOOL_SCHEMA } },
];

export default function openaiChat(baseUrl, key) {
  const client = new OpenAI({ baseURL: `${baseUrl}/v1`, apiKey: key, maxRetries: 0 });

  function ask(model, messages, more = {}) {
    const list = typeof messages === "string" ? [{ role: "user", content: messages }] : messages;
    return client.chat.completions.create({ model, messages: list, ...more });
  }

  /** The parts of a stream: text, thoughts, calls by index, finish reason, usage. */
  async function listen(model, messages, more = {}) {
    const heard = { text: [], thought: "", calls: [], finish: null, usage: null, models: new Set() };
    const stream = await ask(model, messages, { stream: true, stream_options: { include_usage: true }, ...more });
    for (const chunk of await all(stream)) {
      heard.models.add(chunk.model);
      heard.usage = chunk.usage ?? heard.usage;
      for (const choice of chunk.choices) {
        if (choice.delta.content) {
          heard.text.push(choice.delta.content);
        }
        heard.thought += choice.delta.reasoning_content ?? "";
        for (const call of choice.delta.tool_calls ?? []) {
          const known = (heard.calls[call.index] ??= { id: "", name: "", arguments: "" });
          known.id += call.id ?? "";
          known.name += call.function.name ?? "";
          known.arguments += call.function.arguments ?? "";
        }
        heard.finish = choice.finish_reason ?? heard.finish;
      }
    }
    return heard;
  }

  async function roundTrip(model, prompt, count, more = {}) {
    const messages = [{ role: "user", content: prompt }];
    const asked = await ask(model, messages, { tools: TOOLS, ...more });
    const { message, finish_reason: finish } = asked.choices[0];
    const calls = message.tool_calls;
    same(finish, "tool_calls", "finish reason");
    same(
      calls.map((call) => call.function.name),
      Array(count).fill(suite.TOOL),
      "tools",
    );
    same(
      calls.map((call) => JSON.parse(call.function.arguments)),
      suite.expectedArguments(count),
      "arguments",
    );
    same(new Set(calls.map((call) => call.id)).size, count, "different ids");
    messages.push(message);
    calls.forEach((call, place) => messages.push({ role: "tool", tool_call_id: call.id, content: suite.RESULTS[place] }));
    const answer = await ask(model, messages, { tools: TOOLS, ...more });
    same(answer.choices[0].message.content, suite.quoted(count), "text");
    same(answer.choices[0].finish_reason, "stop", "finish reason");
  }

  const cases = {
    async plain(model) {
      const answer = await ask(model, suite.SHORT);
      same(answer.choices[0].message.content, suite.SHORT_ANSWER, "text");
      same([answer.choices[0].finish_reason, answer.object, answer.model], ["stop", "chat.completion", model], "envelope");
    },

    async stream(model) {
      const heard = await listen(model, suite.SHORT);
      same(heard.text.join(""), suite.SHORT_ANSWER, "text");
      holds(heard.text.length > 1, `the text came in ${heard.text.length} piece`);
      same([heard.finish, [...heard.models]], ["stop", [model]], "envelope");
      same(heard.usage.completion_tokens, 5, "completion tokens");
    },

    async system(model) {
      const messages = [
        { role: "system", content: suite.SYSTEM },
        { role: "user", content: suite.SYSTEM_ECHO },
      ];
      same((await ask(model, messages)).choices[0].message.content, suite.SYSTEM, "system prompt");
    },

    async image(model) {
      const url = `data:image/png;base64,${suite.PNG_BASE64}`;
      const content = [
        { type: "text", text: suite.PICTURE },
        { type: "image_url", image_url: { url } },
      ];
      same((await ask(model, [{ role: "user", content }])).choices[0].message.content, suite.PNG_ANSWER, "text");
    },

    async usage(model) {
      const { usage } = await ask(model, suite.SHORT);
      same(usage.completion_tokens, 5, "completion tokens");
      holds(usage.prompt_tokens > 0, "no prompt tokens");
      same(usage.total_tokens, usage.prompt_tokens + 5, "total tokens");
    },

    async length(model) {
      const answer = await ask(model, suite.LONG, { max_completion_tokens: suite.LONG_LIMIT });
      same(answer.choices[0].finish_reason, "length", "finish reason");
      same(suite.words(answer.choices[0].message.content), suite.LONG_LIMIT, "words");
    },

    async structured(model) {
      const json_schema = { name: "place", schema: suite.PLACE_SCHEMA, strict: true };
      const answer = await ask(model, suite.STRUCTURED, { response_format: { type: "json_schema", json_schema } });
      same(JSON.parse(answer.choices[0].message.content), suite.PLACE, "JSON");
      same(answer.choices[0].finish_reason, "stop", "finish reason");
    },

    async thinking(model) {
      const answer = await ask(model, suite.WHY, { reasoning_effort: "medium" });
      same(answer.choices[0].message.reasoning_content, suite.thoughtAbout(suite.WHY), "thought");
      same(answer.choices[0].message.content, suite.SHORT_ANSWER, "text");
      holds(answer.usage.completion_tokens_details.reasoning_tokens > 0, "no reasoning tokens");
    },

    async thinking_stream(model) {
      const heard = await listen(model, suite.WHY, { reasoning_effort: "medium" });
      same(heard.thought, suite.thoughtAbout(suite.WHY), "thought");
      same(heard.text.join(""), suite.SHORT_ANSWER, "text");
    },

    tools: (model) => roundTrip(model, suite.WEATHER, 1),
    parallel_tools: (model) => roundTrip(model, suite.WEATHER_BOTH, 2),
    thinking_tools: (model) => roundTrip(model, suite.WEATHER, 1, { reasoning_effort: "medium" }),

    async tools_stream(model) {
      const messages = [{ role: "user", content: suite.WEATHER_BOTH }];
      const heard = await listen(model, messages, { tools: TOOLS });
      same([heard.finish, heard.calls.length], ["tool_calls", 2], "finish reason and calls");
      same(
        heard.calls.map((call) => [call.name, JSON.parse(call.arguments)]),
        suite.expectedArguments(2).map((given) => [suite.TOOL, given]),
        "calls",
      );
      const asked = heard.calls.map(({ id, ...called }) => ({ id, type: "function", function: called }));
      messages.push({ role: "assistant", content: null, tool_calls: asked });
      heard.calls.forEach((call, place) => messages.push({ role: "tool", tool_call_id: call.id, content: suite.RESULTS[place] }));
      same((await listen(model, messages, { tools: TOOLS })).text.join(""), suite.quoted(2), "text");
    },

    async bad_field(model) {
      await refusedWith(400, OpenAI.BadRequestError, () => ask(model, suite.SHORT, { max_completion_tokens: -1 }));
    },
  };

  const once = {
    async unknown_model() {
      const error = await refusedWith(404, OpenAI.NotFoundError, () => ask(suite.UNKNOWN_MODEL, suite.SHORT));
      same(error.code, "model_not_found", "code");
    },
  };

  return { name: "node/openai-chat", cases, once };
}
