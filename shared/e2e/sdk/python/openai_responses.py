"""The package `openai`, Responses."""

import json

import openai

import suite
from suite import holds, same

TOOLS = [
    {"type": "function", "name": suite.TOOL, "description": "the weather in a city", "parameters": suite.TOOL_SCHEMA, "strict": True}
]


class OpenaiResponses:
    name = "python/openai-responses"

    def __init__(self, base_url, key):
        self.client = openai.OpenAI(base_url=f"{base_url}/v1", api_key=key, max_retries=0)

    def ask(self, model, given, **more):
        return self.client.responses.create(model=model, input=given, **more)

    def listen(self, model, given, **more):
        """The events of a stream, their numbers checked, and the response it ends with."""
        events = list(self.ask(model, given, stream=True, **more))
        same([event.sequence_number for event in events], list(range(len(events))), "sequence numbers")
        same([event.type for event in events[:2]], ["response.created", "response.in_progress"], "first events")
        same(events[-1].type, "response.completed", "last event")
        same(events[-1].response.id, events[0].response.id, "response id")
        return events, events[-1].response

    def case_plain(self, model):
        answer = self.ask(model, suite.SHORT)
        same(answer.output_text, suite.SHORT_ANSWER, "text")
        same((answer.status, answer.object, answer.model), ("completed", "response", model), "envelope")
        same([item.type for item in answer.output], ["message"], "items")

    def case_stream(self, model):
        events, response = self.listen(model, suite.SHORT)
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        same("".join(deltas), suite.SHORT_ANSWER, "text")
        holds(len(deltas) > 1, f"the text came in {len(deltas)} piece")
        same(response.output_text, suite.SHORT_ANSWER, "final text")
        same(response.usage.output_tokens, 5, "output tokens")

    def case_system(self, model):
        same(self.ask(model, suite.SYSTEM_ECHO, instructions=suite.SYSTEM).output_text, suite.SYSTEM, "system prompt")

    def case_image(self, model):
        url = f"data:image/png;base64,{suite.PNG_BASE64}"
        content = [{"type": "input_text", "text": suite.PICTURE}, {"type": "input_image", "image_url": url, "detail": "auto"}]
        same(self.ask(model, [{"role": "user", "content": content}]).output_text, suite.PNG_ANSWER, "text")

    def case_usage(self, model):
        usage = self.ask(model, suite.SHORT).usage
        same(usage.output_tokens, 5, "output tokens")
        holds(usage.input_tokens > 0, "no input tokens")
        same(usage.total_tokens, usage.input_tokens + 5, "total tokens")

    def case_length(self, model):
        answer = self.ask(model, suite.LONG, max_output_tokens=suite.LONG_LIMIT)
        same((answer.status, answer.incomplete_details.reason), ("incomplete", "max_output_tokens"), "status")
        same(len(answer.output_text.split()), suite.LONG_LIMIT, "words")

    def case_structured(self, model):
        form = {"format": {"type": "json_schema", "name": "place", "schema": suite.PLACE_SCHEMA, "strict": True}}
        same(json.loads(self.ask(model, suite.STRUCTURED, text=form).output_text), suite.PLACE, "JSON")

    def case_thinking(self, model):
        answer = self.ask(model, suite.WHY, reasoning={"effort": "medium", "summary": "auto"})
        same([item.type for item in answer.output], ["reasoning", "message"], "items")
        same("".join(part.text for part in answer.output[0].summary), suite.thought_about(suite.WHY), "thought")
        same(answer.output_text, suite.SHORT_ANSWER, "text")
        holds(answer.usage.output_tokens_details.reasoning_tokens > 0, "no reasoning tokens")

    def case_thinking_stream(self, model):
        events, response = self.listen(model, suite.WHY, reasoning={"effort": "medium", "summary": "auto"})
        deltas = [event.delta for event in events if event.type == "response.reasoning_summary_text.delta"]
        same("".join(deltas), suite.thought_about(suite.WHY), "thought")
        same(response.output_text, suite.SHORT_ANSWER, "text")

    def check_calls(self, response, count):
        calls = [item for item in response.output if item.type == "function_call"]
        same([call.name for call in calls], [suite.TOOL] * count, "tools")
        same([json.loads(call.arguments) for call in calls], suite.expected_arguments(count), "arguments")
        same(len({call.call_id for call in calls}), count, "different ids")
        outputs = [
            {"type": "function_call_output", "call_id": call.call_id, "output": result} for call, result in zip(calls, suite.RESULTS)
        ]
        return [item.model_dump(exclude_none=True) for item in response.output] + outputs

    def round_trip(self, model, prompt, count, **more):
        more = {"tools": TOOLS, "store": False, **more}
        given = [{"role": "user", "content": prompt}]
        given += self.check_calls(self.ask(model, given, **more), count)
        same(self.ask(model, given, **more).output_text, suite.quoted(count), "text")

    def case_tools(self, model):
        self.round_trip(model, suite.WEATHER, 1)

    def case_parallel_tools(self, model):
        self.round_trip(model, suite.WEATHER_BOTH, 2)

    def case_thinking_tools(self, model):
        reasoning = {"effort": "medium", "summary": "auto"}
        self.round_trip(model, suite.WEATHER, 1, reasoning=reasoning, include=["reasoning.encrypted_content"])

    def case_tools_stream(self, model):
        given = [{"role": "user", "content": suite.WEATHER_BOTH}]
        events, response = self.listen(model, given, tools=TOOLS, store=False)
        done = [event.arguments for event in events if event.type == "response.function_call_arguments.done"]
        same([json.loads(arguments) for arguments in done], suite.expected_arguments(2), "streamed arguments")
        given += self.check_calls(response, 2)
        _, response = self.listen(model, given, tools=TOOLS, store=False)
        same(response.output_text, suite.quoted(2), "text")

    def case_bad_field(self, model):
        suite.refused_with(400, openai.BadRequestError, lambda: self.ask(model, suite.SHORT, max_output_tokens=-1))

    def once_stored(self):
        """A stored response is its maker's to fetch, to go on from and to delete."""
        stored = self.client.responses
        made = self.ask("responses-model", suite.SHORT)
        again = stored.retrieve(made.id)
        same((again.id, again.output_text), (made.id, suite.SHORT_ANSWER), "retrieved")
        same([item.content[0].text for item in stored.input_items.list(made.id)], [suite.SHORT], "input")
        after = self.ask("responses-model", suite.SHORT, previous_response_id=made.id)
        same((after.previous_response_id, after.output_text), (made.id, suite.SHORT_ANSWER), "what goes on from it")
        suite.refused_with(400, openai.BadRequestError, lambda: stored.cancel(made.id))
        stored.delete(made.id)
        suite.refused_with(404, openai.NotFoundError, lambda: stored.retrieve(made.id))
        error = suite.refused_with(
            400, openai.BadRequestError, lambda: self.ask("responses-model", suite.SHORT, previous_response_id="resp_none")
        )
        same(error.code, "previous_response_not_found", "code")

    def once_unknown_model(self):
        error = suite.refused_with(404, openai.NotFoundError, lambda: self.ask(suite.UNKNOWN_MODEL, suite.SHORT))
        same(error.code, "model_not_found", "code")
