"""``rewind-auto show``."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from looking import (
    AGAIN,
    CHAT,
    MODELS,
    NOTE,
    SPAN,
    SPEECH,
    TRACE,
    TRIP,
    answer,
    digest,
    fill,
    look,
    printed,
    request,
)
from test_sessions import AGAIN_JSON, TRIP_JSON


def described(step: int, prompt: str, **known) -> dict:
    usual = {
        "step": step,
        "kind": "llm",
        "decision": "record",
        "match": None,
        "source": None,
        "library": "httpx2",
        "provider": "openai",
        "operation": "chat",
        "model": "gpt-5.4-mini",
        "method": "POST",
        "url": CHAT,
        "status": 200,
        "error": None,
        "stream": False,
        "complete": True,
        "chunks": 1,
        "usage": None,
        "cost_usd": None,
        "started_at": "2027-01-15T08:00:00.062500Z",
        "duration_ms": 4.1,
        "first_chunk_ms": 4.0,
        "trace_id": None,
        "span_id": None,
        "fingerprint": digest(f"canonical {prompt}").hex(),
        "call_site": None,
        "lane": "main",
        "note": None,
        "detail": {},
    }
    assert not known.keys() - usual.keys()
    return {**usual, **known}


NOTHING_CAME = {"status": None, "complete": False, "chunks": 0, "first_chunk_ms": None}
FIRST = {
    "usage": {"input_tokens": 1250, "output_tokens": 16},
    "cost_usd": 0.00266,  # at 2 and 10 USD per million
    "call_site": "agent.py:7",
}
TRIP_STEPS = [
    described(1, "one", trace_id=TRACE, span_id=SPAN, **FIRST),
    described(
        2,
        "tools",
        stream=True,
        chunks=3,
        duration_ms=65.1,
        usage={"input_tokens": 30, "output_tokens": 8},
        cost_usd=0.00014,
    ),
    described(3, "busy", status=429),
    described(4, "late", error="ConnectTimeout: timed out", **{**NOTHING_CAME, "duration_ms": 5000.0}),
    described(5, "left", stream=True, complete=False, lane="left"),
    described(6, "", kind="http", url=MODELS, method="GET", operation=None, model=None),
    described(7, "say", url=SPEECH, operation="generate_content", model="tts-1"),
    described(
        9,
        "huge",
        decision="bypass",
        note="larger than 64 bytes",
        **{**NOTHING_CAME, "status": 200, "duration_ms": None},
    ),
]
AGAIN_STEPS = [
    described(
        1,
        "one",
        decision="hit",
        match="exact",
        source={"session": TRIP, "step": 1},
        started_at="2027-01-15T08:01:00.062500Z",
        trace_id=TRACE[::-1],
        span_id=SPAN,
        duration_ms=None,
        first_chunk_ms=None,
        **FIRST,
    ),
    described(
        2,
        "two",
        decision="blocked",
        started_at="2027-01-15T08:01:00.062500Z",
        note=NOTE,
        detail={"diff": [{"path": "messages[1].content", "old": "one", "new": "two"}], "source_step": 1},
        **{**NOTHING_CAME, "duration_ms": None},
    ),
]
TRIP_SHOWN = """\
trip  a1b2c3d4  record  completed
2027-01-15 08:00:00  3.50 s
$ python 'my agent.py' Lima

#  decision  call                       tokens      cost    time  first chunk  status
1  record    chat gpt-5.4-mini       1250 → 16   $0.0027  4.1 ms               200
             Lima is the capital.
2  record    chat gpt-5.4-mini          30 → 8  $0.00014   65 ms       4.0 ms  200
             get_weather(city="Lima", days=2)
3  record    chat gpt-5.4-mini                            4.1 ms               429
             Rate limit reached.
4  record    chat gpt-5.4-mini                            5.00 s               error
             ConnectTimeout: timed out
5  record    chat gpt-5.4-mini                            4.1 ms       4.0 ms  200
             Once
             closed by the program after 1 chunk
6  record    GET /v1/models                               4.1 ms               200
7  record    generate_content tts-1                       4.1 ms               200
9  bypass    chat gpt-5.4-mini                                                 200
             larger than 64 bytes

8 steps: 7 record, 1 bypass · spent 1,280 → 24 tokens, $0.0028, 5.09 s of waiting
"""
AGAIN_SHOWN = """\
trip  e5f6a7b8  replay  of trip a1b2c3d4  diverged
2027-01-15 08:01:00  50 ms
$ x

#  decision  call                  tokens     cost  status
1  hit       chat gpt-5.4-mini  1250 → 16  $0.0027  200     ← a1b2c3d4 #1
             Lima is the capital.
2  blocked   chat gpt-5.4-mini
             no recorded answer
               messages[1].content: one → two

2 steps: 1 hit, 1 blocked · saved 1,250 → 16 tokens, $0.0027, 4.1 ms of waiting
"""
TOOLS_IN_FULL = """\
step 2 of trip a1b2c3d4 ────────────────────────────────────────────────────────────────────────────
decision     record
call         openai chat gpt-5.4-mini
library      httpx2
started      2027-01-15 08:00:00
time         65 ms, first of 3 chunks after 4.0 ms
tokens       30 input tokens, 8 output tokens
cost         $0.00014
fingerprint  57b0007401864f954bda46a7a3da3a6c

request
POST https://api.openai.com/v1/chat/completions
Host: api.openai.com
Authorization: Bearer [redacted]

{
  "model": "gpt-5.4-mini",
  "stream": true,
  "messages": [
    {
      "role": "user",
      "content": "tools"
    }
  ]
}

response
HTTP/1.1 200 OK
Content-Type: text/event-stream; charset=utf-8

    4.0 ms data: {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "call_1", \
"type": "function", "function": {"name": "get_weather", \
"arguments": "{\\"city\\": \\"Lima\\", \\"days\\": 2}"}}]}, "finish_reason": null}]}
   34.5 ms data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
   65.0 ms data: [DONE]

answer
get_weather(city="Lima", days=2)

"""
BLOCKED_IN_FULL = """\
step 2 of trip e5f6a7b8 ────────────────────────────────────────────────────────────────────────────
decision     blocked
call         openai chat gpt-5.4-mini
library      httpx2
started      2027-01-15 08:01:00
fingerprint  f5053e897c81140b8ed5fc916b586d70
note         no recorded answer
               messages[1].content: one → two

request
POST https://api.openai.com/v1/chat/completions
Host: api.openai.com
Authorization: Bearer [redacted]

{
  "model": "gpt-5.4-mini",
  "stream": false,
  "messages": [
    {
      "role": "user",
      "content": "two"
    }
  ]
}

response
none

"""


@pytest.fixture
def look_at(environ, store_path):
    """What ``rewind-auto show`` prints of the store with everything in it."""
    fill(store_path)
    return lambda *args, **variables: printed(look(environ, "show", *args, **variables))


class TestJson:
    def test_a_recording(self, look_at) -> None:
        assert json.loads(look_at(TRIP, "--json")) == {"session": TRIP_JSON, "steps": TRIP_STEPS}

    def test_a_replay(self, look_at) -> None:
        assert json.loads(look_at("last", "--json")) == {"session": AGAIN_JSON, "steps": AGAIN_STEPS}

    def test_one_step(self, look_at) -> None:
        assert json.loads(look_at("a1b2", "--json", "--step", "3"))["steps"] == TRIP_STEPS[2:3]

    def test_content(self, look_at) -> None:
        shown = json.loads(look_at(TRIP, "--json", "--content"))
        added = [{k: v for k, v in step.items() if k not in TRIP_STEPS[0]} for step in shown["steps"]]
        assert [
            {k: v for k, v in step.items() if k in TRIP_STEPS[0]} for step in shown["steps"]
        ] == TRIP_STEPS
        assert added[0] == {
            "request_headers": [["Host", "api.openai.com"], ["Authorization", "Bearer [redacted]"]],
            "request": request("one").body.decode(),
            "request_encoding": "utf-8",
            "response_headers": [["Content-Type", "application/json"]],
            "response": answer("Lima is the capital.\nIt has 10 M people.").decode(),
            "response_encoding": "utf-8",
        }
        # A transport error, a body with a coding, one that is no text, and a step that keeps nothing.
        answered = [(step["response"], step["response_encoding"]) for step in added]
        assert answered[3] == (None, None)
        assert answered[5] == ('{"data": []}', "utf-8")
        assert answered[6] == ("//uQAA==", "base64")
        assert set(added[7].values()) == {None}
        assert added[5]["request"] == ""

    def test_a_hit_has_the_content_of_its_recording(self, look_at) -> None:
        recorded = json.loads(look_at(TRIP, "--json", "--content", "--step", "1"))["steps"][0]
        hit = json.loads(look_at(AGAIN, "--json", "--content", "--step", "1"))["steps"][0]
        for name in ("request", "request_headers", "response", "response_headers", "response_encoding"):
            assert hit[name] == recorded[name]


class TestForPeople:
    def test_a_recording(self, look_at) -> None:
        assert look_at(TRIP) == TRIP_SHOWN

    def test_a_replay(self, look_at) -> None:
        assert look_at("last") == AGAIN_SHOWN

    def test_one_step(self, look_at) -> None:
        assert look_at(TRIP, "--step", "2") == TOOLS_IN_FULL
        assert look_at("last", "--step", "2") == BLOCKED_IN_FULL

    def test_content_is_every_step_in_full(self, look_at) -> None:
        shown = look_at(TRIP, "--content")
        assert TOOLS_IN_FULL in shown
        assert shown.count("\nrequest\n") == 7
        assert '{\n  "data": []\n}' in shown
        assert "4 bytes, not text" in shown

    def test_narrow(self, look_at) -> None:
        lines = look_at(TRIP, COLUMNS="40").splitlines()
        assert max(map(len, lines)) == 40
        assert lines[5].endswith("…")

    def test_piped_without_columns(self, look_at) -> None:
        assert look_at(TRIP, COLUMNS=None) == TRIP_SHOWN


@pytest.mark.parametrize("ref", ["last", AGAIN, "e5f6", "trip", f"trace:{TRACE[::-1]}"])
def test_refs(look_at, ref) -> None:
    assert json.loads(look_at(ref, "--json"))["session"]["id"] == AGAIN


def test_costs_are_listed_ones_and_load_no_http_client(store_path, environ) -> None:
    fill(store_path)
    code = """
import atexit, sys
from rewind_auto.cli.main import main
atexit.register(lambda: print(sorted({"genai_prices", "httpx2"} & sys.modules.keys()), file=sys.stderr))
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "show", TRIP, "--json"], env=environ, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"['genai_prices']\n")
    assert json.loads(done.stdout)["steps"][0]["cost_usd"] > 0
