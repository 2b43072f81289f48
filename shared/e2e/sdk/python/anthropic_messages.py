"""The package `anthropic`, Messages."""

import json

import anthropic

import suite
from suite import holds, same

TOOLS = [{"name": suite.TOOL, "description": "the weather in a city", "input_schema": suite.TOOL_SCHEMA}]
THINKING = {"type": "enabled", "budget_tokens": 1024}


class AnthropicMessages:
    name = "python/anthropic"

    def __init__(self, base_url, key):
        self.client = anthropic.Anthropic(base_url=base_url, api_key=key, max_retries=0)

    def ask(self, model, messages, **more):
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        return self.client.messages.create(**{"model": model, "max_tokens": 4096, "messages": messages, **more})

    def listen(self, model, messages, **more):
        """The events of a stream and the message the SDK makes of them."""
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        with self.client.messages.stream(**{"model": model, "max_tokens": 4096, "messages": messages, **more}) as stream:
            events = list(stream)
            return events, stream.get_final_message()

    def text_of(self, message):
        return "".join(block.text for block in message.content if block.type == "text")

    def case_plain(self, model):
        message = self.ask(model, suite.SHORT)
        same([block.type for block in message.content], ["text"], "blocks")
        same(message.content[0].text, suite.SHORT_ANSWER, "text")
        same((message.stop_reason, message.type, message.model), ("end_turn", "message", model), "envelope")

    def case_stream(self, model):
        events, message = self.listen(model, suite.SHORT)
        deltas = [event.text for event in events if event.type == "text"]
        same("".join(deltas), suite.SHORT_ANSWER, "text")
        holds(len(deltas) > 1, f"the text came in {len(deltas)} piece")
        same((self.text_of(message), message.stop_reason), (suite.SHORT_ANSWER, "end_turn"), "final message")
        same(message.usage.output_tokens, 5, "output tokens")
        holds(message.usage.input_tokens > 0, "no input tokens")

    def case_system(self, model):
        same(self.text_of(self.ask(model, suite.SYSTEM_ECHO, system=suite.SYSTEM)), suite.SYSTEM, "system prompt")

    def case_image(self, model):
        source = {"type": "base64", "media_type": "image/png", "data": suite.PNG_BASE64}
        content = [{"type": "image", "source": source}, {"type": "text", "text": suite.PICTURE}]
        same(self.text_of(self.ask(model, [{"role": "user", "content": content}])), suite.PNG_ANSWER, "text")

    def case_usage(self, model):
        usage = self.ask(model, suite.SHORT).usage
        same(usage.output_tokens, 5, "output tokens")
        holds(usage.input_tokens > 0, "no input tokens")

    def case_length(self, model):
        message = self.ask(model, suite.LONG, max_tokens=suite.LONG_LIMIT)
        same(message.stop_reason, "max_tokens", "stop reason")
        same(len(self.text_of(message).split()), suite.LONG_LIMIT, "words")

    def case_structured(self, model):
        form = {"format": {"type": "json_schema", "schema": suite.PLACE_SCHEMA}}
        message = self.ask(model, suite.STRUCTURED, output_config=form)
        same(json.loads(self.text_of(message)), suite.PLACE, "JSON")
        same(message.stop_reason, "end_turn", "stop reason")

    def case_thinking(self, model):
        message = self.ask(model, suite.WHY, thinking=THINKING)
        same([block.type for block in message.content], ["thinking", "text"], "blocks")
        same(message.content[0].thinking, suite.thought_about(suite.WHY), "thought")
        holds(message.content[0].signature, "no signature")
        same(message.content[1].text, suite.SHORT_ANSWER, "text")

    def case_thinking_stream(self, model):
        events, message = self.listen(model, suite.WHY, thinking=THINKING)
        same([block.type for block in message.content], ["thinking", "text"], "blocks")
        same("".join(event.thinking for event in events if event.type == "thinking"), suite.thought_about(suite.WHY), "thought")
        same(self.text_of(message), suite.SHORT_ANSWER, "text")
        holds(message.content[0].signature, "no signature")

    def check_calls(self, message, count):
        calls = [block for block in message.content if block.type == "tool_use"]
        same(message.stop_reason, "tool_use", "stop reason")
        same([call.name for call in calls], [suite.TOOL] * count, "tools")
        same([call.input for call in calls], suite.expected_arguments(count), "arguments")
        same(len({call.id for call in calls}), count, "different ids")
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": result} for call, result in zip(calls, suite.RESULTS)
        ]
        content = [block.model_dump(exclude_none=True) for block in message.content]
        return [{"role": "assistant", "content": content}, {"role": "user", "content": results}]

    def round_trip(self, model, prompt, count, **more):
        messages = [{"role": "user", "content": prompt}]
        messages += self.check_calls(self.ask(model, messages, tools=TOOLS, **more), count)
        message = self.ask(model, messages, tools=TOOLS, **more)
        same(self.text_of(message), suite.quoted(count), "text")
        same(message.stop_reason, "end_turn", "stop reason")

    def case_tools(self, model):
        self.round_trip(model, suite.WEATHER, 1)

    def case_parallel_tools(self, model):
        self.round_trip(model, suite.WEATHER_BOTH, 2)

    def case_thinking_tools(self, model):
        self.round_trip(model, suite.WEATHER, 1, thinking=THINKING)

    def case_tools_stream(self, model):
        messages = [{"role": "user", "content": suite.WEATHER_BOTH}]
        events, message = self.listen(model, messages, tools=TOOLS)
        starts = [event.index for event in events if event.type == "content_block_start"]
        same(starts, list(range(len(message.content))), "block indices")
        messages += self.check_calls(message, 2)
        _, message = self.listen(model, messages, tools=TOOLS)
        same(self.text_of(message), suite.quoted(2), "text")

    def case_count_tokens(self, model):
        count = self.client.messages.count_tokens(model=model, messages=[{"role": "user", "content": "one two three"}])
        holds(count.input_tokens > 0, "no input tokens")

    def case_bad_field(self, model):
        suite.refused_with(400, anthropic.BadRequestError, lambda: self.ask(model, suite.SHORT, max_tokens=-1))

    def once_unknown_model(self):
        error = suite.refused_with(404, anthropic.NotFoundError, lambda: self.ask(suite.UNKNOWN_MODEL, suite.SHORT))
        same(error.body["error"]["type"], "not_found_error", "type")
