"""The package `google-genai`."""

import json

from google import genai
from google.genai import errors, types

import suite
from suite import holds, same

TOOLS = [
    types.Tool(
        function_declarations=[
            types.FunctionDeclaration(
                name=suite.TOOL, description="the weather in a city", parameters_json_schema=suite.TOOL_SCHEMA
            )
        ]
    )
]
THINKING = types.ThinkingConfig(thinking_budget=1024, include_thoughts=True)


class GoogleGenai:
    name = "python/google-genai"

    def __init__(self, base_url, key):
        options = types.HttpOptions(base_url=base_url, retry_options=types.HttpRetryOptions(attempts=1))
        self.client = genai.Client(api_key=key, http_options=options)

    def config(self, **more):
        manual = types.AutomaticFunctionCallingConfig(disable=True)
        return types.GenerateContentConfig(automatic_function_calling=manual, **more)

    def ask(self, model, contents, **more):
        return self.client.models.generate_content(model=model, contents=contents, config=self.config(**more))

    def listen(self, model, contents, **more):
        """The chunks of a stream; exactly one of them has a finish reason."""
        chunks = list(self.client.models.generate_content_stream(model=model, contents=contents, config=self.config(**more)))
        finishes = [chunk.candidates[0].finish_reason for chunk in chunks if chunk.candidates]
        same(len([finish for finish in finishes if finish]), 1, "finish reasons")
        return chunks

    def parts_of(self, answers):
        parts = []
        for answer in answers:
            for candidate in answer.candidates or []:
                parts += (candidate.content and candidate.content.parts) or []
        return parts

    def text_of(self, answers, thought=False):
        return "".join(part.text for part in self.parts_of(answers) if part.text and bool(part.thought) == thought)

    def case_plain(self, model):
        answer = self.ask(model, suite.SHORT)
        same(answer.text, suite.SHORT_ANSWER, "text")
        same(answer.candidates[0].finish_reason, types.FinishReason.STOP, "finish reason")
        same(answer.candidates[0].content.role, "model", "role")

    def case_stream(self, model):
        chunks = self.listen(model, suite.SHORT)
        same(self.text_of(chunks), suite.SHORT_ANSWER, "text")
        holds(len([chunk for chunk in chunks if self.text_of([chunk])]) > 1, "the text came in one piece")
        same(chunks[-1].candidates[0].finish_reason, types.FinishReason.STOP, "finish reason")
        same(chunks[-1].usage_metadata.candidates_token_count, 5, "candidates tokens")

    def case_system(self, model):
        same(self.ask(model, suite.SYSTEM_ECHO, system_instruction=suite.SYSTEM).text, suite.SYSTEM, "system prompt")

    def case_image(self, model):
        picture = types.Part.from_bytes(data=suite.PNG, mime_type="image/png")
        same(self.ask(model, [picture, suite.PICTURE]).text, suite.PNG_ANSWER, "text")

    def case_usage(self, model):
        usage = self.ask(model, suite.SHORT).usage_metadata
        same(usage.candidates_token_count, 5, "candidates tokens")
        holds(usage.prompt_token_count > 0, "no prompt tokens")
        same(usage.total_token_count, usage.prompt_token_count + 5, "total tokens")

    def case_length(self, model):
        answer = self.ask(model, suite.LONG, max_output_tokens=suite.LONG_LIMIT)
        same(answer.candidates[0].finish_reason, types.FinishReason.MAX_TOKENS, "finish reason")
        same(len(self.text_of([answer]).split()), suite.LONG_LIMIT, "words")

    def case_structured(self, model):
        form = {"response_mime_type": "application/json", "response_json_schema": suite.PLACE_SCHEMA}
        same(json.loads(self.ask(model, suite.STRUCTURED, **form).text), suite.PLACE, "JSON")

    def case_structured_openapi(self, model):
        properties = {"city": {"type": "STRING"}, "days": {"type": "INTEGER"}}
        schema = {"type": "OBJECT", "properties": properties, "required": ["city", "days"]}
        form = {"response_mime_type": "application/json", "response_schema": schema}
        same(json.loads(self.ask(model, suite.STRUCTURED, **form).text), suite.PLACE, "JSON")

    def case_thinking(self, model):
        answer = self.ask(model, suite.WHY, thinking_config=THINKING)
        same(self.text_of([answer], thought=True), suite.thought_about(suite.WHY), "thought")
        same(self.text_of([answer]), suite.SHORT_ANSWER, "text")
        holds((answer.usage_metadata.thoughts_token_count or 0) > 0, "no thoughts tokens")

    def case_thinking_stream(self, model):
        chunks = self.listen(model, suite.WHY, thinking_config=THINKING)
        same(self.text_of(chunks, thought=True), suite.thought_about(suite.WHY), "thought")
        same(self.text_of(chunks), suite.SHORT_ANSWER, "text")

    def check_calls(self, parts, count):
        calls = [part.function_call for part in parts if part.function_call]
        same([call.name for call in calls], [suite.TOOL] * count, "tools")
        same([call.args for call in calls], suite.expected_arguments(count), "arguments")
        results = [
            types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"result": result}))
            for call, result in zip(calls, suite.RESULTS)
        ]
        return [types.Content(role="model", parts=parts), types.Content(role="user", parts=results)]

    def round_trip(self, model, prompt, count, **more):
        contents = [types.Content(role="user", parts=[types.Part(text=prompt)])]
        answer = self.ask(model, contents, tools=TOOLS, **more)
        same(answer.candidates[0].finish_reason, types.FinishReason.STOP, "finish reason")
        contents += self.check_calls(self.parts_of([answer]), count)
        same(self.text_of([self.ask(model, contents, tools=TOOLS, **more)]), suite.quoted(count), "text")

    def case_tools(self, model):
        self.round_trip(model, suite.WEATHER, 1)

    def case_parallel_tools(self, model):
        self.round_trip(model, suite.WEATHER_BOTH, 2)

    def case_thinking_tools(self, model):
        self.round_trip(model, suite.WEATHER, 1, thinking_config=THINKING)

    def case_tools_stream(self, model):
        contents = [types.Content(role="user", parts=[types.Part(text=suite.WEATHER_BOTH)])]
        said = [part for part in self.parts_of(self.listen(model, contents, tools=TOOLS)) if part.function_call or part.text]
        contents += self.check_calls(said, 2)
        same(self.text_of(self.listen(model, contents, tools=TOOLS)), suite.quoted(2), "text")

    def case_count_tokens(self, model):
        count = self.client.models.count_tokens(model=model, contents="one two three")
        holds(count.total_tokens > 0, "no tokens")

    def case_bad_field(self, model):
        suite.refused_with(
            400, errors.ClientError, lambda: self.ask(model, suite.SHORT, max_output_tokens=-1), lambda error: error.code
        )

    def once_unknown_model(self):
        error = suite.refused_with(
            404, errors.ClientError, lambda: self.ask(suite.UNKNOWN_MODEL, suite.SHORT), lambda error: error.code
        )
        same(error.status, "NOT_FOUND", "status")
