"""The tee: what it makes of the events of a call."""

from __future__ import annotations

import pytest

from rewind_auto.core.exchange import Exchange
from rewind_auto.core.model import Ending, Fault, Head, Request

REQUEST = Request("POST", "https://h/x", (), b"asked")
HEAD = Head(200, ())


def exchange(limit=1000, ended=lambda *_: False, request=REQUEST):
    return Exchange(request, limit=limit, ended=ended)


def test_a_whole_answer():
    tee = exchange()
    tee.head(HEAD)
    chunks = [b"one", b"", b"two", b"three"]
    for chunk in chunks:
        tee.chunk(chunk)
    kept = tee.finish(Ending.EOF)
    assert (kept.request, kept.head, kept.body) == (REQUEST, HEAD, b"onetwothree")
    assert [length for length, _ in kept.cuts] == [3, 0, 3, 5]
    times = [kept.head_us, *(at for _, at in kept.cuts), kept.end_us]
    assert times == sorted(times)
    assert kept.complete


def test_it_is_over_once():
    tee = exchange()
    tee.head(HEAD)
    assert tee.finish(Ending.EOF) is not None
    assert tee.finish(Ending.FAULT) is None
    assert tee.finished


def test_chunks_are_kept_as_they_are_and_not_copied():
    tee, chunk = exchange(limit=10**7), bytes(10**6)
    tee.head(HEAD)
    tee.chunk(chunk)
    assert tee._chunks[0] is chunk


@pytest.mark.parametrize("ending", Ending)
@pytest.mark.parametrize("last", [True, False])
def test_closed_after_the_last_event_is_complete(ending, last):
    """Only then is the body looked at."""
    asked = []
    tee = exchange(ended=lambda head, body: asked.append((head, body)) or last)
    tee.head(HEAD)
    tee.chunk(b"data: [DONE]")
    kept = tee.finish(ending)
    early = ending in (Ending.CLOSED, Ending.CANCELLED)
    assert asked == [(HEAD, b"data: [DONE]")] * early
    assert kept.ending is (Ending.TERMINAL if early and last else ending)
    assert kept.complete == (kept.ending in (Ending.EOF, Ending.TERMINAL))


def test_no_response_came():
    tee, fault = exchange(ended=lambda *_: 1 / 0), Fault("httpx", "ConnectError", "refused", "send")
    kept = tee.finish(Ending.FAULT, fault)
    assert (kept.head, kept.body, kept.cuts, kept.fault, kept.head_us) == (None, b"", (), fault, 0)
    assert not kept.complete
    closed = exchange(ended=lambda *_: 1 / 0).finish(Ending.CLOSED)
    assert (closed.ending, closed.complete) == (Ending.CLOSED, False)


def test_an_upload_that_is_known_once_it_is_sent():
    tee = exchange(request=Request("POST", "https://h/x", (), b""))
    assert not tee.streamed_upload
    tee.uploaded(b"parts")
    tee.head(HEAD)
    assert tee.streamed_upload
    assert tee.finish(Ending.EOF).request.body == b"parts"


# --- what is too large


@pytest.mark.parametrize("sizes", [(1,), (5, 90), (95,), (0, 95)])
def test_just_small_enough(sizes):
    tee = exchange(limit=100)
    tee.head(HEAD)
    for size in sizes:
        tee.chunk(b"x" * size)
    assert not tee.oversized
    assert len(tee.finish(Ending.EOF).body) == sum(sizes)


@pytest.mark.parametrize("sizes", [(96,), (95, 1), (50, 50, 50), (1000, 1)])
def test_a_body_that_is_too_large_is_let_go(sizes):
    tee = exchange(limit=100)
    tee.head(HEAD)
    for size in sizes:
        tee.chunk(b"x" * size)
    assert tee.oversized
    assert tee._chunks == []
    tee.chunk(b"")
    kept = tee.finish(Ending.EOF)
    assert (kept.body, kept.cuts, kept.head) == (b"", (), HEAD)


def test_a_request_that_is_too_large():
    tee = exchange(limit=4)
    assert tee.oversized
    tee.head(HEAD)
    tee.chunk(b"x")
    assert tee.finish(Ending.EOF).body == b""
    streamed = exchange(limit=10, request=Request("POST", "https://h/x", (), b""))
    assert not streamed.oversized
    streamed.uploaded(b"x" * 11)
    assert streamed.oversized
