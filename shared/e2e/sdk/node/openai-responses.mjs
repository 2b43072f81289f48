// The package `openai`, Responses.

import OpenAI from "openai";

import * as suite from "./suite.mjs";
import { all, holds, refusedWith, same } from "./suite.mjs";

const TOOLS = [
  { type: "function", name: suite.TOOL, description: "the weather in a city", parameters: suite.TOOL_SCHEMA, strict: true },
];
const REASONING = { effort: "medium", summary: "auto" };

export default function openaiResponses(baseUrl, key) {
  const client = new OpenAI({ baseURL: `${baseUrl}/v1`, apiKey: key, maxRetries: 0 });

  function ask(model, input, more = {}) {
    return client.responses.create({ model, input, ...more });
  }

  /** The events of a stream, their numbers checked, and the response it ends with. */
  async function listen(model, input, more = {}) {
    const events = await all(await ask(model, input, { stream: true, ...more }));
    same(
      events.map((event) => event.sequence_number),
      events.map((_, place) => place),
      "sequence numbers",
    );
    same([events[0].type, events[1].type], ["response.created", "response.in_progress"], "first events");
    const last = events.at(-1);
    same(last.type, "response.completed", "last event");
    same(last.response.id, events[0].response.id, "response id");
    return { events, response: last.response };
  }

  const deltas = (events, type) => events.filter((event) => event.type === type).map((event) => event.delta);
  const textOf = (response) =>
    response.output
      .flatMap((item) => item.content ?? [])
      .filter((part) => part.type === "output_text")
      .map((part) => part.text)
      .join("");

  /** Checks the calls of a response; what the next request appends to its input. */
  function goOn(response, count) {
    const calls = response.output.filter((item) => item.type === "function_call");
    same(
      calls.map((call) => [call.name, JSON.parse(call.arguments)]),
      suite.expectedArguments(count).map((given) => [suite.TOOL, given]),
      "calls",
    );
    same(new Set(calls.map((call) => call.call_id)).size, count, "different ids");
    const answer = (call, place) => ({ type: "function_call_output", call_id: call.call_id, output: suite.RESULTS[place] });
    return [...response.output, ...calls.map(answer)];
  }

  async function roundTrip(model, prompt, count, more = {}) {
    const settings = { tools: TOOLS, store: false, ...more };
    const input = [{ role: "user", content: prompt }];
    input.push(...goOn(await ask(model, input, settings), count));
    same((await ask(model, input, settings)).output_text, suite.quoted(count), "text");
  }

  const cases = {
    async plain(model) {
      const answer = await ask(model, suite.SHORT);
      same(answer.output_text, suite.SHORT_ANSWER, "text");
      same([answer.status, answer.object, answer.model], ["completed", "response", model], "envelope");
      same(
        answer.output.map((item) => item.type),
        ["message"],
        "items",
      );
    },

    async stream(model) {
      const { events, response } = await listen(model, suite.SHORT);
      const pieces = deltas(events, "response.output_text.delta");
      same(pieces.join(""), suite.SHORT_ANSWER, "text");
      holds(pieces.length > 1, `the text came in ${pieces.length} piece`);
      same([textOf(response), response.usage.output_tokens], [suite.SHORT_ANSWER, 5], "final response");
    },

    /** The SDK's own stream class puts the response together from the events, and is strict about them. */
    async stream_assembled(model) {
      const stream = client.responses.stream({ model, input: suite.SHORT });
      const response = await stream.finalResponse();
      same(textOf(response), suite.SHORT_ANSWER, "text");
    },

    async system(model) {
      same((await ask(model, suite.SYSTEM_ECHO, { instructions: suite.SYSTEM })).output_text, suite.SYSTEM, "system prompt");
    },

    async image(model) {
      const content = [
        { type: "input_text", text: suite.PICTURE },
        { type: "input_image", image_url: `data:image/png;base64,${suite.PNG_BASE64}`, detail: "auto" },
      ];
      same((await ask(model, [{ role: "user", content }])).output_text, suite.PNG_ANSWER, "text");
    },

    async usage(model) {
      const { usage } = await ask(model, suite.SHORT);
      same(usage.output_tokens, 5, "output tokens");
      holds(usage.input_tokens > 0, "no input tokens");
      same(usage.total_tokens, usage.input_tokens + 5, "total tokens");
    },

    async length(model) {
      const answer = await ask(model, suite.LONG, { max_output_tokens: suite.LONG_LIMIT });
      same([answer.status, answer.incomplete_details.reason], ["incomplete", "max_output_tokens"], "status");
      same(suite.words(answer.output_text), suite.LONG_LIMIT, "words");
    },

    async structured(model) {
      const format = { type: "json_schema", name: "place", schema: suite.PLACE_SCHEMA, strict: true };
      same(JSON.parse((await ask(model, suite.STRUCTURED, { text: { format } })).output_text), suite.PLACE, "JSON");
    },

    async thinking(model) {
      const answer = await ask(model, suite.WHY, { reasoning: REASONING });
      same(
        answer.output.map((item) => item.type),
        ["reasoning", "message"],
        "items",
      );
      same(answer.output[0].summary.map((part) => part.text).join(""), suite.thoughtAbout(suite.WHY), "thought");
      same(answer.output_text, suite.SHORT_ANSWER, "text");
      holds(answer.usage.output_tokens_details.reasoning_tokens > 0, "no reasoning tokens");
    },

    async thinking_stream(model) {
      const { events, response } = await listen(model, suite.WHY, { reasoning: REASONING });
      same(deltas(events, "response.reasoning_summary_text.delta").join(""), suite.thoughtAbout(suite.WHY), "thought");
      same(textOf(response), suite.SHORT_ANSWER, "text");
    },

    tools: (model) => roundTrip(model, suite.WEATHER, 1),
    parallel_tools: (model) => roundTrip(model, suite.WEATHER_BOTH, 2),
    thinking_tools: (model) =>
      roundTrip(model, suite.WEATHER, 1, { reasoning: REASONING, include: ["reasoning.encrypted_content"] }),

    async tools_stream(model) {
      const settings = { tools: TOOLS, store: false };
      const input = [{ role: "user", content: suite.WEATHER_BOTH }];
      const { events, response } = await listen(model, input, settings);
      const done = events.filter((event) => event.type === "response.function_call_arguments.done");
      same(
        done.map((event) => JSON.parse(event.arguments)),
        suite.expectedArguments(2),
        "streamed arguments",
      );
      input.push(...goOn(response, 2));
      same(textOf((await listen(model, input, settings)).response), suite.quoted(2), "text");
    },

    async bad_field(model) {
      await refusedWith(400, OpenAI.BadRequestError, () => ask(model, suite.SHORT, { max_output_tokens: -1 }));
    },
  };

  const once = {
    async stored() {
      const stored = client.responses;
      const made = await ask("responses-model", suite.SHORT);
      const again = await stored.retrieve(made.id);
      same([again.id, textOf(again)], [made.id, suite.SHORT_ANSWER], "retrieved");
      const items = await all(stored.inputItems.list(made.id));
      same(
        items.map((item) => item.content[0].text),
        [suite.SHORT],
        "input",
      );
      const after = await ask("responses-model", suite.SHORT, { previous_response_id: made.id });
      same([after.previous_response_id, textOf(after)], [made.id, suite.SHORT_ANSWER], "what goes on from it");
      await refusedWith(400, OpenAI.BadRequestError, () => stored.cancel(made.id));
      await stored.delete(made.id);
      await refusedWith(404, OpenAI.NotFoundError, () => stored.retrieve(made.id));
      const gone = () => ask("responses-model", suite.SHORT, { previous_response_id: "resp_none" });
      same((await refusedWith(400, OpenAI.BadRequestError, gone)).code, "previous_response_not_found", "code");
    },

    async unknown_model() {
      const error = await refusedWith(404, OpenAI.NotFoundError, () => ask(suite.UNKNOWN_MODEL, suite.SHORT));
      same(error.code, "model_not_found", "code");
    },
  };

  return { name: "node/openai-responses", cases, once };
}
