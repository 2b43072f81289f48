"""What every case asks, expects and reports, whatever the SDK.

The answers are those of the provider simulator: a directive in the prompt says how long they are, and the words are always the same.
"""

import struct
import traceback
import zlib
from base64 import b64encode
from pathlib import Path

MODELS = ["chat-model", "responses-model", "messages-model", "gemini-model"]
UNKNOWN_MODEL = "no-such-model"

SHORT = "count the drops [sim: tokens=5]"
SHORT_ANSWER = "water flows through the gate"
LONG = "tell me all of it [sim: tokens=100]"
LONG_LIMIT = 20
SYSTEM = "You are terse."
SYSTEM_ECHO = "[sim: echo=system]"
PICTURE = "what is in the picture?"
WHY = "why is the sky blue [sim: tokens=5]"
STRUCTURED = "describe a place as JSON"
WEATHER = "what is the weather in Rome?"
WEATHER_BOTH = "what is the weather in both Rome and Oslo?"

TOOL = "get_weather"
TOOL_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "the name of the city"}},
    "required": ["city"],
    "additionalProperties": False,
}
PLACE_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
PLACE = {"city": "sample 1", "days": 1}
RESULTS = ["sunny, 21 degrees", "rain, 4 degrees"]


def thought_about(prompt):
    """What the simulator thinks of a prompt: it repeats its first twelve words."""
    return f'The user said: "{" ".join(prompt.split()[:12])}". I know what to answer.'


def quoted(count):
    """What the simulator answers to so many tool results."""
    return "\n".join(f"{TOOL} said: {result}" for result in RESULTS[:count])


def expected_arguments(count):
    return [{"city": f"sample {place + 1}"} for place in range(count)]


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def picture():
    """A PNG of one grey dot, made here so that its length is known."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    parts = [_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(b"\x00\x80", 9)), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


PNG = picture()
PNG_BASE64 = b64encode(PNG).decode()
PNG_ANSWER = f"I received image/png of {len(PNG)} bytes."


def place_of(error):
    """The innermost line of a case that an error went through."""
    here = Path(__file__)
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    ours = [(file, line) for file, line in frames if file.parent == here.parent and file.name != here.name]
    return f" ({ours[-1][0].name}:{ours[-1][1]})" if ours else ""


class Report:
    """Counts cases and prints a line for each."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def run(self, sdk, name, model, case):
        try:
            case()
        except Exception as error:  # a case may fail in any way its SDK can
            self.failed += 1
            print(f"not ok - {sdk} {name} {model}", flush=True)
            text = f"{type(error).__name__}{place_of(error)}: {str(error).strip()}"
            print("\n".join(f"#   {line}" for line in text.splitlines()[:12]), flush=True)
        else:
            self.passed += 1
            print(f"ok - {sdk} {name} {model}", flush=True)


def same(got, expected, what):
    """Fails unless both are equal, and says what was compared."""
    if got != expected:
        raise AssertionError(f"{what}: got {got!r}, expected {expected!r}")


def holds(claim, what):
    if not claim:
        raise AssertionError(what)


def refused_with(status, kind, call, status_of=lambda error: error.status_code):
    """Fails unless the call raises this exception with this status."""
    try:
        call()
    except kind as error:
        same(status_of(error), status, "status")
        same(type(error).__name__, kind.__name__, "exception")
        return error
    raise AssertionError(f"nothing was raised, expected {kind.__name__}")


def run_surface(report, surface, only):
    """Runs the cases of one surface: its methods named `case_…` for each model, those named `once_…` a single time."""
    for name in [name for name in dir(surface) if name.startswith("case_")]:
        for model in MODELS:
            case = name.removeprefix("case_")
            if not only or only in f"{surface.name} {case} {model}":
                report.run(surface.name, case, model, lambda name=name, model=model: getattr(surface, name)(model))
    for name in [name for name in dir(surface) if name.startswith("once_")]:
        case = name.removeprefix("once_")
        if not only or only in f"{surface.name} {case} {UNKNOWN_MODEL}":
            report.run(surface.name, case, UNKNOWN_MODEL, getattr(surface, name))
