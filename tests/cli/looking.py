"""``rewind-auto`` in a process of its own, and a store with something of everything to look at."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

from rewind_auto.core.model import (
    Decision,
    Ending,
    Fault,
    Fingerprint,
    Head,
    Kind,
    Match,
    Mode,
    Recording,
    Request,
    Session,
    Step,
)
from rewind_auto.store import open_store

PRICES = str(Path(__file__).with_name("prices.toml"))
TRIP, AGAIN = "a1b2c3d4" * 4, "e5f6a7b8" * 4
START = 1_800_000_000.0625
TRACE, SPAN = "0123456789abcdef0123456789abcdef", "fedcba9876543210"
CHAT, MODELS = "https://api.openai.com/v1/chat/completions", "https://api.openai.com/v1/models"
SPEECH = "https://api.openai.com/v1/audio/speech"
JSON_HEAD = ((b"Content-Type", b"application/json"),)
SSE_HEAD = ((b"Content-Type", b"text/event-stream; charset=utf-8"),)
NOTE = "no recorded answer\n  messages[1].content: one → two"


def look(environ, *args: str, stdout=subprocess.PIPE, **variables: str | None):
    """Run ``rewind-auto`` in the launcher's environment; None takes a variable away."""
    plain = {"TZ": "UTC", "COLUMNS": "100", "PYTHONIOENCODING": "utf-8", "REWIND_PRICES": PRICES}
    merged = {name: text for name, text in {**environ, **plain, **variables}.items() if text is not None}
    return subprocess.run(
        [sys.executable, "-m", "rewind_auto.cli.main", *args],
        env=merged,
        stdout=stdout,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def printed(done) -> str:
    """What a command printed that went well."""
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def request(prompt: str, *, url: str = CHAT, method: str = "POST", stream: bool = False) -> Request:
    headers = ((b"Host", b"api.openai.com"), (b"Authorization", b"Bearer sk-0123456789abcdef0123"))
    body = {"model": "gpt-5.4-mini", "stream": stream, "messages": [{"role": "user", "content": prompt}]}
    return Request(method, url, headers, json.dumps(body).encode() if method == "POST" else b"", "httpx2")


def answer(text: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({"object": "chat.completion", "choices": [choice]}).encode()


def events(*deltas: object, finish: str | None = None) -> tuple[bytes, ...]:
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    if finish:
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    done = (b"data: [DONE]\n\n",) if finish else ()
    return (*(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks), *done)


def recorded(asked: Request, status: int, headers, *pieces: bytes, ending=Ending.EOF) -> Recording:
    cuts = tuple((len(piece), 4_000 + 30_500 * number) for number, piece in enumerate(pieces))
    head = Head(status, headers, b"OK" if status == 200 else b"Too Many Requests")
    end = cuts[-1][1] + 100 if cuts else 5_000
    return Recording(asked, head, b"".join(pieces), cuts, 3_900, end, ending)


def step(session: str, prompt: str, **known) -> Step:
    fingerprint = Fingerprint(digest(f"exact {prompt}"), digest(f"canonical {prompt}"))
    chat = {"operation": "chat", "model": "gpt-5.4-mini"} if known.get("kind", Kind.LLM) is Kind.LLM else {}
    usual = {"method": "POST", "url": CHAT, "library": "httpx2", "provider": "openai", "lane": "main"}
    return Step(session, 0, **{"fingerprint": fingerprint, "started_at": START, **usual, **chat, **known})


def told(kept: Recording, **known) -> dict:
    """What the runtime makes of a recording's ending."""
    first = kept.cuts[0][1] / 1000 if kept.cuts else None
    seen = {"status": kept.head.status if kept.head else None, "complete": kept.complete}
    times = {"duration_ms": kept.end_us / 1000, "first_chunk_ms": first, "chunks": len(kept.cuts)}
    return {**seen, **times, **known}


def fill(path: Path) -> None:
    """A session with every kind of step, and a replay of it that diverged."""
    with closing(open_store(str(path))) as store, patch("time.time", return_value=START + 3.5):
        store.begin(
            Session(
                TRIP,
                "trip",
                started_at=START,
                command=("python", "my agent.py", "Lima"),
                session_by="trace",
                pid=2**22 + 1,
            )
        )
        *others, last = steps()
        for made, kept in others:
            store.prepare(made, kept)()
        store.reserve(TRIP)  # still going on when the program was killed: not to be seen
        store.prepare(*last)()
        store.finish(TRIP, "completed")
    started = START + 60
    with closing(open_store(str(path))) as store, patch("time.time", return_value=started + 0.05):
        store.begin(
            Session(
                AGAIN, "trip", Mode.REPLAY, parent=TRIP, started_at=started, pid=2**22 + 1, command=("x",)
            )
        )
        hit = step(
            AGAIN, "one", started_at=started, call_site="agent.py:7", trace_id=TRACE[::-1], span_id=SPAN
        )
        assert store.claim(hit, TRIP, digest("exact one"), Match.EXACT, lane="main")
        detail = {"diff": [{"path": "messages[1].content", "old": "one", "new": "two"}], "source_step": 1}
        blocked = step(AGAIN, "two", started_at=started, decision=Decision.BLOCKED, note=NOTE, detail=detail)
        store.prepare(blocked, Recording(request("two"), ending=Ending.CLOSED))()
        store.finish(AGAIN, "diverged")


def steps() -> list[tuple[Step, Recording | None]]:
    lima = recorded(request("one"), 200, JSON_HEAD, answer("Lima is the capital.\nIt has 10 M people."))
    function = {"name": "get_weather", "arguments": '{"city": "Lima", "days": 2}'}
    call = {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}
    tools = recorded(
        request("tools", stream=True),
        200,
        SSE_HEAD,
        *events(call, finish="tool_calls"),
        ending=Ending.TERMINAL,
    )
    busy = recorded(
        request("busy"),
        429,
        JSON_HEAD,
        b'{"error": {"message": "Rate limit reached.", "code": "rate_limit"}}',
    )
    fault = Fault("httpx2", "ConnectTimeout", "timed out", "send")
    late = Recording(request("late"), end_us=5_000_000, ending=Ending.FAULT, fault=fault)
    left = recorded(
        request("left", stream=True), 200, SSE_HEAD, *events({"content": "Once"}), ending=Ending.CLOSED
    )
    listed = recorded(
        request("", url=MODELS, method="GET"),
        200,
        (*JSON_HEAD, (b"Content-Encoding", b"gzip")),
        gzip.compress(b'{"data": []}', mtime=0),
    )
    sound = recorded(
        request("say", url=SPEECH), 200, ((b"Content-Type", b"audio/mpeg"),), b"\xff\xfb\x90\x00"
    )
    usage = {"input_tokens": 1250, "output_tokens": 16}
    return [
        (
            step(
                TRIP, "one", usage=usage, trace_id=TRACE, span_id=SPAN, call_site="agent.py:7", **told(lima)
            ),
            lima,
        ),
        (
            step(TRIP, "tools", stream=True, usage={"input_tokens": 30, "output_tokens": 8}, **told(tools)),
            tools,
        ),
        (step(TRIP, "busy", **told(busy)), busy),
        (step(TRIP, "late", **told(late, error="ConnectTimeout: timed out")), late),
        (step(TRIP, "left", stream=True, lane="left", **told(left)), left),
        (step(TRIP, "", kind=Kind.HTTP, url=MODELS, method="GET", **told(listed)), listed),
        (step(TRIP, "say", operation="generate_content", model="tts-1", url=SPEECH, **told(sound)), sound),
        (step(TRIP, "huge", decision=Decision.BYPASS, note="larger than 64 bytes", status=200), None),
    ]
