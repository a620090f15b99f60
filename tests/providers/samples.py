"""Streams of every shape that ends, for tests that go through all of them."""

from __future__ import annotations

import json

from events import sse
from test_wire_anthropic import EVENTS as ANTHROPIC_EVENTS
from test_wire_anthropic import STREAM as ANTHROPIC
from test_wire_gemini import STEPS
from test_wire_openai_chat import STREAM as CHAT
from test_wire_openai_responses import EVENTS as RESPONSES_EVENTS
from test_wire_openai_responses import STREAM as RESPONSES

# Only the last event is asked, and it says nothing of other candidates.
GEMINI_STEPS = [step for step in STEPS if step["candidates"][0]["index"] == 0]
STREAMS = {
    "openai-chat": CHAT,
    "openai-responses": RESPONSES,
    "openai-images": sse([{"type": "image_generation.completed", "b64_json": "A"}], named=True),
    "openai-audio": sse([{"type": "transcript.text.done", "text": "Hi"}], named=True),
    "anthropic": ANTHROPIC,
    "gemini": sse(GEMINI_STEPS),
    "ollama": b'{"message": {"content": "Hi"}, "done": false}\n{"done": true, "done_reason": "stop"}\n',
}
EVENTS = {
    "openai-responses": RESPONSES_EVENTS,
    "anthropic": ANTHROPIC_EVENTS,
    "gemini": GEMINI_STEPS,
}
GEMINI_ARRAY = json.dumps(GEMINI_STEPS, indent=1).encode()
