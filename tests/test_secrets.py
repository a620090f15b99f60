"""No credential is in anything that is written: store, spans, logs, and what is shown of them."""

from __future__ import annotations

import base64
import gzip
import json
import os
import secrets
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from servers import Server, answer, chunked, reply

from rewind_auto.store import codec

ROOT = Path(__file__).parents[1]
PROGRAM = Path(__file__).with_name("secrets_program.py")
MARK = "ordinary words"  # what is no secret, and is to be found wherever content is kept


def secrets_program_headers():
    """Names of the headers that the program sends with a secret each."""
    for line in PROGRAM.read_text().partition("HEADERS = {")[2].partition("}\n")[0].splitlines():
        if line.strip():
            yield line.split('"')[1]


PLACES = {
    # Only the request's own credentials are known by their value; elsewhere a secret has to look like one.
    "key-shaped": "sk-canary-{}",
    "bearer in text": "canary.text.{}",
    "path": "123456789:AA{}0123456789a",
    "dsn": "canary.of.{}",  # with a slash it would be written another way
    **dict.fromkeys(
        [
            *("bearer", "custom header", "cookie", "query", "field", "password", "azure", "x-api-key"),
            *("x-goog-api-key", "user information", "basic", "token in query", "in an error", "set-cookie"),
            *("argument of a tool call", "command line", "openai key", "anthropic key", "gemini key"),
            *(
                "entra",
                "auth token",
                "aws key",
                "aws secret",
                "aws session",
                "bedrock key",
                "cohere",
                "mistral",
            ),
            *(
                "ollama",
                "form",
                "client secret",
                "issued",
                "part",
                "graphql",
                "json in json",
                "echoed",
            ),
            *secrets_program_headers(),
        ],
        "canary/{}+",
    ),
}


@pytest.fixture(scope="module")
def canaries():
    return {place: shape.format(secrets.token_hex(12)) for place, shape in PLACES.items()}


@pytest.fixture
def server(canaries):
    """Three providers, some of them indiscreet."""
    message = {"role": "assistant", "content": "sure thing"}
    done = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-5"}
    done["choices"] = [{"index": 0, "finish_reason": "stop", "message": message}]
    done["usage"] = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    piece = {
        **done,
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {"content": "sure"}}],
    }
    event = f"data: {json.dumps(piece)}\n\n".encode()
    said = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "stop_reason": "end_turn",
    }
    said |= {"content": [{"type": "text", "text": "sure"}], "usage": {"input_tokens": 1, "output_tokens": 1}}
    part = {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "sure"}]}, "finishReason": "STOP"}]
    }

    def chat(seen):
        asked = json.loads(seen.body)
        key = (seen.header("authorization") or b"").partition(b" ")[2].decode()
        error = {"error": {"message": f"Incorrect API key provided: {key}", "type": "invalid", "code": key}}
        if asked["model"] == "refused-plain":
            return answer(error, 401, X_Echo=f"you sent {key}")
        if asked["model"] == "refused-zipped":
            zipped = gzip.compress(json.dumps(error).encode())
            return reply(zipped, 401, [("Content-Type", "application/json"), ("Content-Encoding", "gzip")])
        if asked.get("stream"):
            return chunked([event, event, b"data: [DONE]\n\n"])
        return answer(done, Set_Cookie=f"__cf_bm={canaries['set-cookie']}; path=/; HttpOnly")

    with Server() as running:
        running.on("/v1/chat/completions", chat)
        running.on("/openai/deployments/gpt-5/chat/completions", answer(done))
        running.on("/v1/messages", answer(said))
        running.on("/v1/models/gemini-x:generateContent", answer(part))
        running.on("/v1/x", answer({"ok": True}))
        running.on("/oauth/token", answer({"access_token": canaries["issued"], "token_type": "Bearer"}))
        running.on(f"/v1/bot{canaries['path']}/send", answer({"ok": True}))
        key = canaries["echoed"]
        zipped = gzip.compress(json.dumps({"you": key, "once more": json.dumps(key)}).encode())
        running.on("/v1/echoed", reply(zipped, 200, [("Content-Encoding", "gzip")]))
        running.on(
            "/v2/chat", answer({"id": "c", "finish_reason": "COMPLETE", "message": {"role": "assistant"}})
        )
        running.on("/api/chat", answer({"model": "o", "message": message, "done": True}))
        for model in ("claude-x",):
            running.on(f"/model/{model}/invoke", answer(said))
        running.on("/v1/cookies", answer({}, Set_Cookie=f"id={canaries['set-cookie']}; Path=/"))
        yield running


@pytest.fixture
def collector():
    with Server() as running:
        running.on("/v1/traces", reply(b"", 200, [("Content-Type", "application/x-protobuf")]))
        yield running


@pytest.fixture
def start(server, collector, canaries, store_path, tmp_path):
    """Run a command of ours with everything switched on; what it wrote to stdout and stderr."""

    def run(module, *words, code=0, **variables):
        environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "HOME": str(tmp_path),
            "REWIND_LOG": "debug",
            "REWIND_STORE": str(store_path),
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
            "CANARIES": json.dumps(canaries),
            "OPENAI_API_KEY": canaries["openai key"],
            "ANTHROPIC_API_KEY": canaries["anthropic key"],
            "GEMINI_API_KEY": canaries["gemini key"],
            **variables,
        }
        command = [sys.executable, "-m", f"rewind_auto.cli.{module}", *words]
        done = subprocess.run(command, env=environ, capture_output=True, cwd=tmp_path, timeout=100)
        assert done.returncode == code, done
        return done.stdout + done.stderr

    return run


def program(server, collector, canaries, *mode, word="one"):
    """The words of rewind-run for the program."""
    options = [*mode, "--hosts", "127.0.0.1", "--otlp", collector.url]
    flags = [f"--api-key={canaries['command line']}", "--token", canaries["command line"]]
    return [*options, sys.executable, str(PROGRAM), server.url, word, *flags]


def spellings(secret):
    """As a secret may be written: as it is, escaped for a URL or for JSON, or within base64."""
    yield secret.encode()
    yield quote(secret, safe="").encode()
    yield json.dumps(secret)[1:-1].replace("/", "\\/").encode()
    for lead in ("", "user:", "u:", "x"):
        encoded = base64.b64encode((lead + secret).encode())
        yield encoded[2 : len(encoded) - 4]
    yield base64.urlsafe_b64encode(secret.encode())[:-4]
    yield secret[8:-2].encode()  # a good part of it


def leaks(written, canaries):
    """Which secret is where."""
    return sorted(
        {
            (where, place)
            for where, data in written.items()
            for place, secret in canaries.items()
            for spelling in spellings(secret)
            if spelling in data
        }
    )


def unpacked(path):
    """All that is in a store, with every compression undone."""
    with closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [repr(row).encode() for name in tables for row in db.execute(f"SELECT * FROM {name}")]
        blobs = [codec.unpack(*row) for row in db.execute("SELECT packed, data FROM blobs")]
        docs = [
            json.dumps(codec.load_doc(doc)).encode()
            for (doc,) in db.execute("SELECT doc FROM steps WHERE doc NOT NULL")
        ]
    zipped = [gzip.decompress(blob) for blob in blobs if blob[:2] == b"\x1f\x8b"]
    return b"\n".join([*rows, *blobs, *docs, *zipped])


def files(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_nothing_that_is_written_has_a_secret_in_it(start, server, collector, canaries, store_path, tmp_path):
    written = {}
    copies = tmp_path / "copies"
    recording = program(server, collector, canaries, "--record", "--name", "secretive")
    written["recording: output"] = start("run", *recording, COPIES=str(copies))
    arrived = b"".join(seen.head + seen.raw for seen in server.seen)
    spans_recorded = len(collector.seen)
    written |= {f"while it ran: {name}": data for name, data in files(copies).items()}
    assert {path.name for path in copies.iterdir()} == {"rewind.db", "rewind.db-wal", "rewind.db-shm"}
    server.stop()
    replaying = program(server, collector, canaries, "--replay", "secretive")
    written["replay: output"] = start("run", *replaying)
    diverging = program(server, collector, canaries, "--replay", "secretive", word="two")
    written["divergence: output"] = start("run", *diverging, code=86, PARTS="openai")
    assert b"ordinary words two" in written["divergence: output"]
    for words in (
        *(("sessions", "--json"), ("show", "last")),
        *(("show", ref, "--json", "--content") for ref in ("secretive", "last")),
        ("show", "secretive", "--content"),
        *(("export", "--all", "--format", how) for how in ("jsonl", "har")),
        *(("diff", "secretive", "last", *how) for how in ((), ("--json",), ("--all",))),
        ("scrub", "--all", "--json"),
        ("stats",),
    ):
        written[f"rewind-auto {' '.join(words)}"] = start("main", *words)
    written |= {f"spans {number}": seen.head + seen.raw for number, seen in enumerate(collector.seen)}
    written |= files(store_path.parent)
    written["store, unpacked"] = unpacked(store_path)
    assert leaks(written, canaries) == []
    # The secrets were where they should be, and the search would have seen them had they been kept.
    everywhere = {place: secret for place, secret in canaries.items() if place not in UNSENT}
    assert {place for _, place in leaks({"": arrived}, everywhere)} == set(everywhere)
    assert spans_recorded < len(collector.seen)
    spans = b"".join(seen.raw for seen in collector.seen)
    shown = written["rewind-auto show secretive --json --content"]
    for kept in (spans, shown, written["store, unpacked"]):
        assert MARK.encode() in kept
    assert b"[redacted]" in spans
    assert shown.count(b"[redacted]") > 20


# The first are never asked for; the others go to the command line, and into the program itself.
UNSENT = {"openai key", "anthropic key", "gemini key", "command line", "in an error", "aws secret"}


def test_the_search_finds_what_is_there(canaries):
    for place, secret in canaries.items():
        basic = base64.b64encode(f"user:{secret}".encode())
        for data in (
            secret.encode(),
            basic,
            quote(secret, safe="").encode(),
            json.dumps({"a": secret}).encode(),
        ):
            assert leaks({"x": b"before " + data + b" after"}, {place: secret}) == [("x", place)]
