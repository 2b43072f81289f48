"""The package `openai`, Chat Completions."""

import json

import openai

import suite
from suite import holds, same

TOOLS = [{"type": "function", "function": {"name": suite.TOOL, "description": "the weather in a city", "parameters": suite.TOOL_SCHEMA}}]


class OpenaiChat:
    name = "python/openai-chat"

    def __init__(self, base_url, key):
        self.client = openai.OpenAI(base_url=f"{base_url}/v1", api_key=key, max_retries=0)

    def ask(self, model, messages, **more):
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        return self.client.chat.completions.create(model=model, messages=messages, **more)

    def listen(self, model, messages, **more):
        """The parts of a stream: text, thoughts, calls by index, finish reason, usage."""
        heard = {"text": [], "thought": "", "calls": {}, "finish": None, "usage": None, "model": set()}
        for chunk in self.ask(model, messages, stream=True, stream_options={"include_usage": True}, **more):
            heard["model"].add(chunk.model)
            if chunk.usage:
                heard["usage"] = chunk.usage
            for choice in chunk.choices:
                delta = choice.delta
                if delta.content:
                    heard["text"].append(delta.content)
                heard["thought"] += getattr(delta, "reasoning_content", None) or ""
                for call in delta.tool_calls or []:
                    known = heard["calls"].setdefault(call.index, {"id": "", "name": "", "arguments": ""})
                    known["id"] += call.id or ""
                    known["name"] += call.function.name or ""
                    known["arguments"] += call.function.arguments or ""
                heard["finish"] = choice.finish_reason or heard["finish"]
        return heard

    def case_plain(self, model):
        answer = self.ask(model, suite.SHORT)
        same(answer.choices[0].message.content, suite.SHORT_ANSWER, "text")
        same((answer.choices[0].finish_reason, answer.object, answer.model), ("stop", "chat.completion", model), "envelope")

    def case_stream(self, model):
        heard = self.listen(model, suite.SHORT)
        same("".join(heard["text"]), suite.SHORT_ANSWER, "text")
        holds(len(heard["text"]) > 1, f"the text came in {len(heard['text'])} piece")
        same((heard["finish"], heard["model"]), ("stop", {model}), "envelope")
        same(heard["usage"].completion_tokens, 5, "completion tokens")

    def case_system(self, model):
        messages = [{"role": "system", "content": suite.SYSTEM}, {"role": "user", "content": suite.SYSTEM_ECHO}]
        same(self.ask(model, messages).choices[0].message.content, suite.SYSTEM, "system prompt")

    def case_image(self, model):
        url = f"data:image/png;base64,{suite.PNG_BASE64}"
        content = [{"type": "text", "text": suite.PICTURE}, {"type": "image_url", "image_url": {"url": url}}]
        same(self.ask(model, [{"role": "user", "content": content}]).choices[0].message.content, suite.PNG_ANSWER, "text")

    def case_usage(self, model):
        usage = self.ask(model, suite.SHORT).usage
        same(usage.completion_tokens, 5, "completion tokens")
        holds(usage.prompt_tokens > 0, "no prompt tokens")
        same(usage.total_tokens, usage.prompt_tokens + 5, "total tokens")

    def case_length(self, model):
        answer = self.ask(model, suite.LONG, max_completion_tokens=suite.LONG_LIMIT)
        same(answer.choices[0].finish_reason, "length", "finish reason")
        same(len(answer.choices[0].message.content.split()), suite.LONG_LIMIT, "words")

    def case_structured(self, model):
        schema = {"name": "place", "schema": suite.PLACE_SCHEMA, "strict": True}
        answer = self.ask(model, suite.STRUCTURED, response_format={"type": "json_schema", "json_schema": schema})
        same(json.loads(answer.choices[0].message.content), suite.PLACE, "JSON")
        same(answer.choices[0].finish_reason, "stop", "finish reason")

    def case_thinking(self, model):
        answer = self.ask(model, suite.WHY, reasoning_effort="medium")
        message = answer.choices[0].message
        same(getattr(message, "reasoning_content", None), suite.thought_about(suite.WHY), "thought")
        same(message.content, suite.SHORT_ANSWER, "text")
        holds(answer.usage.completion_tokens_details.reasoning_tokens > 0, "no reasoning tokens")

    def case_thinking_stream(self, model):
        heard = self.listen(model, suite.WHY, reasoning_effort="medium")
        same(heard["thought"], suite.thought_about(suite.WHY), "thought")
        same("".join(heard["text"]), suite.SHORT_ANSWER, "text")

    def round_trip(self, model, prompt, count, **more):
        messages = [{"role": "user", "content": prompt}]
        answer = self.ask(model, messages, tools=TOOLS, **more)
        message, calls = answer.choices[0].message, answer.choices[0].message.tool_calls
        same(answer.choices[0].finish_reason, "tool_calls", "finish reason")
        same([call.function.name for call in calls], [suite.TOOL] * count, "tools")
        same([json.loads(call.function.arguments) for call in calls], suite.expected_arguments(count), "arguments")
        same(len({call.id for call in calls}), count, "different ids")
        messages.append(message.model_dump(exclude_none=True))
        for call, result in zip(calls, suite.RESULTS):
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
        answer = self.ask(model, messages, tools=TOOLS, **more)
        same(answer.choices[0].message.content, suite.quoted(count), "text")
        same(answer.choices[0].finish_reason, "stop", "finish reason")

    def case_tools(self, model):
        self.round_trip(model, suite.WEATHER, 1)

    def case_parallel_tools(self, model):
        self.round_trip(model, suite.WEATHER_BOTH, 2)

    def case_thinking_tools(self, model):
        self.round_trip(model, suite.WEATHER, 1, reasoning_effort="medium")

    def case_tools_stream(self, model):
        messages = [{"role": "user", "content": suite.WEATHER_BOTH}]
        heard = self.listen(model, messages, tools=TOOLS)
        calls = [heard["calls"][index] for index in sorted(heard["calls"])]
        same((heard["finish"], sorted(heard["calls"])), ("tool_calls", [0, 1]), "finish reason and indices")
        same([call["name"] for call in calls], [suite.TOOL] * 2, "tools")
        same([json.loads(call["arguments"]) for call in calls], suite.expected_arguments(2), "arguments")
        asked = [
            {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}} for call in calls
        ]
        messages.append({"role": "assistant", "content": None, "tool_calls": asked})
        for call, result in zip(calls, suite.RESULTS):
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
        same("".join(self.listen(model, messages, tools=TOOLS)["text"]), suite.quoted(2), "text")

    def case_bad_field(self, model):
        suite.refused_with(400, openai.BadRequestError, lambda: self.ask(model, suite.SHORT, max_completion_tokens=-1))

    def once_unknown_model(self):
        error = suite.refused_with(404, openai.NotFoundError, lambda: self.ask(suite.UNKNOWN_MODEL, suite.SHORT))
        same(error.code, "model_not_found", "code")
