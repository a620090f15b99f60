"""What is large: memory stays within a bound of what the program takes by itself."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
import tracemalloc
import zlib
from functools import cache
from pathlib import Path

import brotli
import pytest
import zstandard
from servers import head, reply

from rewind_auto.core.decode import READABLE, decode
from rewind_auto.core.model import Decision, Head
from rewind_auto.store import open_store

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the system does not tell how far memory went up"
)

MB = 1 << 20
BOUND = 32  # megabytes over plain
CLIENTS = [
    ("httpx", "sync"), ("httpx", "async"), ("httpx2", "sync"), ("httpx2", "async"),
    ("requests", "sync"), ("aiohttp", "async"),
]  # fmt: skip
JSON = ("Content-Type", "application/json")


def sending(megabytes):
    """An answer of so many megabytes, in chunks."""

    def act(connection: socket.socket) -> None:
        connection.sendall(head(200, [JSON, ("Transfer-Encoding", "chunked")]))
        for number in range(megabytes * 16):
            connection.sendall(b"10000\r\n%b\r\n" % (b"%08d" % number * 8192))
        connection.sendall(b"0\r\n\r\n")

    return [act]


def taking(length):
    """Takes an upload of so many bytes, at least, and answers."""

    def converse(connection: socket.socket) -> None:
        with connection.makefile("rb") as reader:
            large = b"/large" in reader.readline()
            while reader.readline() not in (b"\r\n", b""):
                pass
            left = length if large else 2
            while left > 0 and (piece := reader.read1(MB)):
                left -= len(piece)
            body = b"taken" if large else b"{}"
            connection.sendall(
                head(200, [JSON, ("Content-Length", str(len(body))), ("Connection", "close")]) + body
            )
            while large and reader.read1(MB):
                pass

    return converse


def bypassed(store_path):
    """The note of the one step that was let pass."""
    store = open_store(str(store_path))
    try:
        steps = [step for session in store.sessions() for step in store.steps(session.id)]
        [step] = [step for step in steps if step.decision is Decision.BYPASS]
        assert store.recording(step.session, step.step) is None
    finally:
        store.close()
    return step.note


@pytest.mark.slow
@pytest.mark.parametrize("doing", ["streamed", "buffered"])
@pytest.mark.parametrize(("library", "kind"), CLIENTS)
def test_an_answer_of_200_mb(server, large, store_path, library, kind, doing):
    server.on("/small", reply(b"{}"))
    server.on("/large", sending(200))
    digest, plain = large("plain", library, kind, doing)
    assert plain < 5 or doing == "buffered"
    again, recorded = large("record", library, kind, doing)
    assert again == digest
    assert recorded <= plain + BOUND
    assert bypassed(store_path) == f"larger than {16 * MB} bytes"


@pytest.mark.slow
@pytest.mark.parametrize(("library", "kind"), CLIENTS)
def test_an_upload_of_200_mb(server, large, store_path, library, kind):
    server.converse = taking(200 * MB)
    digest, plain = large("plain", library, kind, "buffered", 200)
    again, recorded = large("record", library, kind, "buffered", 200)
    assert again == digest
    assert recorded <= plain + BOUND
    assert bypassed(store_path) == f"larger than {16 * MB} bytes"


@pytest.mark.slow
@pytest.mark.parametrize(("library", "kind"), CLIENTS)
def test_the_largest_answer_that_is_recorded(server, large, library, kind):
    """Recorded and replayed: it is held a few times over, while it is written and when it is read back."""
    server.on("/small", reply(b"{}"))
    server.on("/large", sending(15))
    digest, plain = large("plain", library, kind, "streamed")
    again, recorded = large("record", library, kind, "streamed")
    server.stop()
    replayed_digest, replayed = large("replay", library, kind, "streamed")
    assert again == replayed_digest == digest
    assert recorded <= plain + 6 * 16
    assert replayed <= plain + 4 * 16


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate"])
def test_a_small_body_that_unpacks_to_much_is_read_no_further_than_needed(coding):
    zeros = bytes(4 * READABLE)
    body = {
        "gzip": lambda: gzip.compress(zeros, 1),
        "deflate": lambda: zlib.compress(zeros, 1),
        "br": lambda: brotli.compress(zeros, quality=1),
        "zstd": lambda: zstandard.compress(zeros),
    }[coding]()
    coded = Head(200, ((b"Content-Encoding", coding.encode()),))
    tracemalloc.start()
    try:
        read = decode(coded, body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(read) == READABLE
    assert peak < 2.5 * READABLE


@pytest.mark.slow
@pytest.mark.parametrize(("library", "kind"), CLIENTS[2:])
def test_an_answer_that_unpacks_to_a_gigabyte(server, large, library, kind):
    """The program does not read it all; what we make of it is bounded, while recording and in ``show``."""
    body = _gigabyte()
    server.on("/small", reply(b"{}"))
    server.on("/large", reply(body, headers=[JSON, ("Content-Encoding", "gzip")]))
    digest, plain = large("plain", library, kind, "streamed")
    again, recorded = large("record", library, kind, "streamed", REWIND_OTLP="http://127.0.0.1:9")
    assert again == digest
    assert recorded <= plain + 3 * BOUND
    shown = subprocess.run(
        [sys.executable, "-c", _SHOW, "show", "last", "--json", "--content"], capture_output=True, timeout=120
    )
    *_, peak = shown.stderr.split()
    assert shown.returncode == 0, shown
    assert int(peak) < 500
    [step] = [step for step in json.loads(shown.stdout)["steps"] if step["url"].endswith("/large")]
    if step["decision"] == "record":
        assert step["response_cut"]
        assert len(step["response"]) == READABLE
    else:  # handed over with its coding removed, it is too large
        assert library in ("requests", "aiohttp")


@cache
def _gigabyte() -> bytes:
    return gzip.compress(b"[" + b" " * (1 << 30), 1)


# `rewind-auto` with what it took, in megabytes, at the end of stderr.
_SHOW = """
import re, sys
from rewind_auto.cli.main import main
try:
    sys.exit(main())
finally:
    print(int(re.search("VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) >> 10, file=sys.stderr)
"""
