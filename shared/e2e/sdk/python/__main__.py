"""Runs every case of the Python SDKs: `python . BASE_URL KEY [ONLY]`, where ONLY is a part of a case's line."""

import sys

import suite
from anthropic_messages import AnthropicMessages
from google_genai import GoogleGenai
from openai_chat import OpenaiChat
from openai_responses import OpenaiResponses

base_url, key = sys.argv[1].rstrip("/"), sys.argv[2]
only = sys.argv[3] if len(sys.argv) > 3 else ""
report = suite.Report()
for surface in (OpenaiChat, OpenaiResponses, AnthropicMessages, GoogleGenai):
    suite.run_surface(report, surface(base_url, key), only)
print(f"# pass {report.passed}")
print(f"# fail {report.failed}")
sys.exit(1 if report.failed else 0)
