// The package `@anthropic-ai/sdk`, Messages.

import Anthropic from "@anthropic-ai/sdk";

import * as suite from "./suite.mjs";
import { holds, refusedWith, same } from "./suite.mjs";

const TOOLS = [{ name: suite.TOOL, description: "the weather in a city", input_schema: suite.TOOL_SCHEMA }];
const THINKING = { type: "enabled", budget_tokens: 1024 };

export default function anthropicMessages(baseUrl, key) {
  const client = new Anthropic({ baseURL: baseUrl, apiKey: key, maxRetries: 0 });

  function request(model, messages, more) {
    const list = typeof messages === "string" ? [{ role: "user", content: messages }] : messages;
    return { model, max_tokens: 4096, messages: list, ...more };
  }

  const ask = (model, messages, more = {}) => client.messages.create(request(model, messages, more));

  /** The events of a stream and the message the SDK makes of them. */
  async function listen(model, messages, more = {}) {
    const stream = client.messages.stream(request(model, messages, more));
    const events = [];
    for await (const event of stream) {
      events.push(event);
    }
    return { events, message: await stream.finalMessage() };
  }

  const textOf = (message) =>
    message.content
      .filter((block) => block.type === "text")
      .map((block) => block.text)
      .join("");
  const kindsOf = (message) => message.content.map((block) => block.type);
  const deltas = (events, type) =>
    events.filter((event) => event.type === "content_block_delta" && event.delta.type === type).map((event) => event.delta);

  /** Checks the calls of a message; what the next request appends to its messages. */
  function goOn(message, count) {
    const calls = message.content.filter((block) => block.type === "tool_use");
    same(message.stop_reason, "tool_use", "stop reason");
    same(
      calls.map((call) => [call.name, call.input]),
      suite.expectedArguments(count).map((given) => [suite.TOOL, given]),
      "calls",
    );
    same(new Set(calls.map((call) => call.id)).size, count, "different ids");
    const results = calls.map((call, place) => ({ type: "tool_result", tool_use_id: call.id, content: suite.RESULTS[place] }));
    return [
      { role: "assistant", content: message.content },
      { role: "user", content: results },
    ];
  }

  async function roundTrip(model, prompt, count, more = {}) {
    const settings = { tools: TOOLS, ...more };
    const messages = [{ role: "user", content: prompt }];
    messages.push(...goOn(await ask(model, messages, settings), count));
    const answer = await ask(model, messages, settings);
    same([textOf(answer), answer.stop_reason], [suite.quoted(count), "end_turn"], "answer");
  }

  const cases = {
    async plain(model) {
      const message = await ask(model, suite.SHORT);
      same([kindsOf(message), textOf(message)], [["text"], suite.SHORT_ANSWER], "content");
      same([message.stop_reason, message.type, message.model], ["end_turn", "message", model], "envelope");
    },

    async stream(model) {
      const { events, message } = await listen(model, suite.SHORT);
      const pieces = deltas(events, "text_delta").map((delta) => delta.text);
      same(pieces.join(""), suite.SHORT_ANSWER, "text");
      holds(pieces.length > 1, `the text came in ${pieces.length} piece`);
      same([textOf(message), message.stop_reason], [suite.SHORT_ANSWER, "end_turn"], "final message");
      same(message.usage.output_tokens, 5, "output tokens");
      holds(message.usage.input_tokens > 0, "no input tokens");
    },

    async system(model) {
      same(textOf(await ask(model, suite.SYSTEM_ECHO, { system: suite.SYSTEM })), suite.SYSTEM, "system prompt");
    },

    async image(model) {
      const content = [
        { type: "image", source: { type: "base64", media_type: "image/png", data: suite.PNG_BASE64 } },
        { type: "text", text: suite.PICTURE },
      ];
      same(textOf(await ask(model, [{ role: "user", content }])), suite.PNG_ANSWER, "text");
    },

    async usage(model) {
      const { usage } = await ask(model, suite.SHORT);
      same(usage.output_tokens, 5, "output tokens");
      holds(usage.input_tokens > 0, "no input tokens");
    },

    async length(model) {
      const message = await ask(model, suite.LONG, { max_tokens: suite.LONG_LIMIT });
      same([message.stop_reason, suite.words(textOf(message))], ["max_tokens", suite.LONG_LIMIT], "stop reason and words");
    },

    async structured(model) {
      const output_config = { format: { type: "json_schema", schema: suite.PLACE_SCHEMA } };
      const message = await ask(model, suite.STRUCTURED, { output_config });
      same([JSON.parse(textOf(message)), message.stop_reason], [suite.PLACE, "end_turn"], "JSON");
    },

    async thinking(model) {
      const message = await ask(model, suite.WHY, { thinking: THINKING });
      same(kindsOf(message), ["thinking", "text"], "blocks");
      same(message.content[0].thinking, suite.thoughtAbout(suite.WHY), "thought");
      holds(message.content[0].signature, "no signature");
      same(message.content[1].text, suite.SHORT_ANSWER, "text");
    },

    async thinking_stream(model) {
      const { events, message } = await listen(model, suite.WHY, { thinking: THINKING });
      const thought = deltas(events, "thinking_delta").map((delta) => delta.thinking);
      same([kindsOf(message), thought.join("")], [["thinking", "text"], suite.thoughtAbout(suite.WHY)], "thought");
      holds(message.content[0].signature, "no signature");
      same(textOf(message), suite.SHORT_ANSWER, "text");
    },

    tools: (model) => roundTrip(model, suite.WEATHER, 1),
    parallel_tools: (model) => roundTrip(model, suite.WEATHER_BOTH, 2),
    thinking_tools: (model) => roundTrip(model, suite.WEATHER, 1, { thinking: THINKING }),

    async tools_stream(model) {
      const messages = [{ role: "user", content: suite.WEATHER_BOTH }];
      const { events, message } = await listen(model, messages, { tools: TOOLS });
      const starts = events.filter((event) => event.type === "content_block_start").map((event) => event.index);
      same(
        starts,
        message.content.map((_, place) => place),
        "block indices",
      );
      messages.push(...goOn(message, 2));
      same(textOf((await listen(model, messages, { tools: TOOLS })).message), suite.quoted(2), "text");
    },

    async count_tokens(model) {
      const messages = [{ role: "user", content: "one two three" }];
      holds((await client.messages.countTokens({ model, messages })).input_tokens > 0, "no input tokens");
    },

    async bad_field(model) {
      await refusedWith(400, Anthropic.BadRequestError, () => ask(model, suite.SHORT, { max_tokens: -1 }));
    },
  };

  const once = {
    async unknown_model() {
      const error = await refusedWith(404, Anthropic.NotFoundError, () => ask(suite.UNKNOWN_MODEL, suite.SHORT));
      same(error.error?.error?.type, "not_found_error", "type");
    },
  };

  return { name: "node/anthropic", cases, once };
}
