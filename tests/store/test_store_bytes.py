"""What is kept comes back byte for byte, and costs what is new."""

from __future__ import annotations

import itertools
import json
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import making
import pytest
from backends import BACKENDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewind_auto.core import redact
from rewind_auto.core.model import Ending, Fault, Head, Mode, Recording, Request
from rewind_auto.store.contract import Store

QUICK = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)  # surrogates too
MICROSECONDS = st.integers(0, 2**50)
# Secrets are what does not come back; they have tests of their own.
HEADERS = st.lists(
    st.tuples(
        st.binary(max_size=20).filter(lambda name: not redact._is_secret(name)), st.binary(max_size=30)
    ),
    max_size=5,
).map(tuple)
FAULTS = st.builds(Fault, ANY_TEXT, ANY_TEXT, ANY_TEXT, st.sampled_from(["send", "body"]))
HEADS = st.builds(
    Head,
    st.integers(0, 999),
    HEADERS,
    st.none() | st.binary(max_size=20),
    st.sampled_from(["HTTP/1.0", "HTTP/1.1", "HTTP/2", ""]),
    st.booleans(),
    st.booleans(),
)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    chunks = draw(st.lists(st.binary(max_size=40) | st.just(b"word " * 600), max_size=6))
    offsets = sorted(draw(st.lists(MICROSECONDS, min_size=len(chunks), max_size=len(chunks))))
    return Recording(
        Request("POST", making.URL, draw(HEADERS), draw(st.binary(max_size=2000)), "httpx2"),
        draw(st.none() | HEADS),
        b"".join(chunks),
        tuple((len(chunk), offset) for chunk, offset in zip(chunks, offsets, strict=True)),
        draw(MICROSECONDS),
        draw(MICROSECONDS),
        draw(st.sampled_from(Ending)),
        draw(st.none() | FAULTS),
    )


@contextmanager
def new_store(kind: type) -> Iterator[tuple[object, Store]]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        backend = kind(Path(directory) / "store")
        yield backend, backend.open()
        backend.close()


@pytest.mark.parametrize("kind", BACKENDS, ids=lambda kind: kind.name)
def test_a_recording_comes_back_as_it_was(kind):
    with new_store(kind) as (backend, store):
        uid, reader = making.session(store), backend.open()

        @QUICK
        @given(recordings())
        def check(kept):
            number = making.save(store, uid, "q", kept).step
            assert reader.recording(uid, number) == kept
            # What is served needs no request; all else is the same.
            replaying = making.session(store, Mode.REPLAY)
            claimed = store.claim_step(making.step(replaying), uid, number, making.Match.EXACT)
            served = claimed.recording
            assert replace(served, request=kept.request) == kept
            assert (served.request.method, served.request.url) == ("POST", making.URL)

        check()


# --- conversations

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
NUMBERS = st.sampled_from(
    ["0", "-0", "1e400", "-1.50", "0.1", "1E+2", "123456789012345678901234567890", "9" * 5000]
)
WHITESPACE = st.text(" \t\n\r", max_size=3)
KEYS = st.sampled_from(["role", "content", "messages", "input", "contents", "a", "ü", ""])


@st.composite
def written_json(draw: st.DrawFn, depth: int = 2) -> str:
    """JSON as somebody may have written it: any spacing, numbers of any size, keys more than once."""
    space = draw(WHITESPACE)
    kind = draw(st.sampled_from(["text", "number", "word", *["list", "object"] * bool(depth)]))
    if kind == "text":
        return json.dumps(draw(TEXTS), ensure_ascii=draw(st.booleans()))
    if kind == "number":
        return draw(NUMBERS)
    if kind == "word":
        return draw(st.sampled_from(["true", "false", "null", "NaN", "-Infinity", r'"\ud800"', r'"\/"']))
    parts = draw(st.lists(written_json(depth - 1), max_size=3))
    if kind == "list":
        return f"[{space}{f'{space},'.join(parts)}{space}]"
    fields = [f"{json.dumps(draw(KEYS))}{space}:{part}" for part in parts]
    return f"{{{space}{f',{space}'.join(fields)}{space}}}"


@st.composite
def messages(draw: st.DrawFn) -> str:
    """One element of a conversation; many are long enough to be worth sharing."""
    if draw(st.integers(0, 4)) == 0:
        return draw(written_json())
    text = draw(TEXTS) + "word " * draw(st.integers(0, 300))
    return json.dumps({"role": draw(st.sampled_from(["user", "assistant"])), "content": text})


@st.composite
def bodies(draw: st.DrawFn) -> list[bytes]:
    """The request bodies of a program whose conversations grow, shrink, branch and break."""
    key = draw(st.sampled_from(["messages", "contents", "input", "other"]))
    conversation = draw(st.lists(messages(), min_size=2, max_size=5))
    made = []
    for _ in range(draw(st.integers(1, 8))):
        turn = draw(st.sampled_from(["grow", "grow", "grow", "shrink", "branch", "insert", "same"]))
        if turn == "grow":
            conversation = [*conversation, *draw(st.lists(messages(), min_size=1, max_size=2))]
        elif turn == "shrink":
            conversation = conversation[: draw(st.integers(0, len(conversation)))]
        elif turn == "branch" and conversation:
            at = draw(st.integers(0, len(conversation) - 1))
            conversation = [*conversation[:at], draw(messages())]
        elif turn == "insert":
            conversation = [draw(messages()), *conversation]
        space, comma = draw(WHITESPACE), draw(st.sampled_from([",", ", ", " ,\n"]))
        array = f"{json.dumps(key)}{space}:{space}[{space}{comma.join(conversation)}{space}]"
        fields = [*draw(st.lists(written_json(1).map('"a":'.__add__), max_size=2)), array]
        fields += draw(st.lists(written_json(1).map('"b": '.__add__), max_size=2))
        body = f"{{{space}{comma.join(fields)}{space}}}{draw(WHITESPACE)}".encode("utf-8", "surrogatepass")
        damage = draw(st.sampled_from([*[None] * 6, "cut", "byte", "before", "after"]))
        at = draw(st.integers(0, len(body)))
        if damage == "cut":
            body = body[:at]
        elif damage == "byte":
            body = body[:at] + draw(st.binary(min_size=1, max_size=3)) + body[at:]
        elif damage == "before":
            body = b"\xef\xbb\xbf" + body
        elif damage == "after":
            body += draw(st.binary(max_size=3))
        made.append(body)
    return made


@pytest.mark.parametrize("kind", BACKENDS, ids=lambda kind: kind.name)
def test_request_bodies_come_back_byte_for_byte(kind):
    with new_store(kind) as (backend, store):
        uid, reader = making.session(store), backend.open()

        @QUICK
        @given(bodies())
        def check(sent):
            numbers = [making.save(store, uid, "q", making.recording(asked=body)).step for body in sent]
            assert [reader.recording(uid, number).request.body for number in numbers] == sent

        check()
        backend.check()


# --- what it costs

WORDS = [
    "".join(random.Random(number).choices("etaoinshrdlucmfw", k=random.Random(-number).randint(2, 9)))
    for number in range(1, 4000)
]


def prose(source: random.Random, words: int) -> str:
    return " ".join(source.choices(WORDS, k=words))


def size(backend) -> int:
    backend.close()  # and with it goes the log
    return len(backend.written())


def converse(words: int, *, streamed: bool = False) -> Iterator[tuple[bytes, list[bytes], int]]:
    """Turn after turn: the request, the pieces of the answer, and how many bytes of both are new."""
    said: list[dict[str, str]] = []
    source = random.Random(words)
    while True:
        said.append({"role": "user", "content": prose(source, words)})
        body = {"model": "gpt-5", "messages": said, "temperature": 0.2, "stream": streamed}
        answered = {"role": "assistant", "content": prose(source, words)}
        if streamed:
            deltas = [
                {"choices": [{"delta": {"content": f" {word}"}}]} for word in answered["content"].split()
            ]
            pieces = [f"data: {json.dumps(delta)}\n\n".encode() for delta in deltas]
        else:
            pieces = [json.dumps({"choices": [{"index": 0, "message": answered}]}).encode()]
        yield json.dumps(body).encode(), pieces, len(json.dumps(said[-1])) + sum(map(len, pieces))
        said.append(answered)


def hold(store, uid, turns, count):
    """Save so many turns. Returns the last request, and the bytes that were sent, and that were new."""
    sent = new = 0
    for _ in range(count):
        asked, pieces, fresh = next(turns)
        cuts = tuple((len(piece), 1000 * number) for number, piece in enumerate(pieces))
        kept = replace(making.recording(b"".join(pieces), asked=asked), cuts=cuts)
        making.save(store, uid, asked.decode(), kept)
        sent, new = sent + len(asked), new + fresh
    return asked, sent, new


@pytest.mark.parametrize("streamed", [False, True])
def test_a_conversation_costs_what_is_new(backend, streamed):
    """Two hundred turns, each sending all that was said before: what is kept is what each adds."""
    uid = making.session(backend.open())
    before = size(backend)
    asked, sent, new = hold(backend.open(), uid, converse(170, streamed=streamed), 200)
    grown = size(backend) - before
    assert sent > 40 * new or streamed  # or this would be no test
    assert grown <= 1.3 * new
    assert backend.open().recording(uid, 200).request.body == asked


def test_late_turns_cost_no_more_than_early_ones(backend):
    """The file grows by pages, and its indexes now and then by a few at once: so enough turns at a time."""
    uid, turns, sizes = making.session(backend.open()), converse(40), [size(backend)]
    for _ in range(4):
        hold(backend.open(), uid, turns, 240)
        sizes.append(size(backend))
    costs = [after - before for before, after in itertools.pairwise(sizes)]
    assert max(costs[1:]) <= 1.3 * costs[0]


def test_what_is_large_is_kept_once(backend):
    """The same image in other conversations, the same file in other forms."""
    store = backend.open()
    uid = making.session(store)
    image = random.Random(2).randbytes(60_000).hex()
    for number in range(20):
        content = [{"type": "image", "data": image}, {"type": "text", "text": f"question {number}"}]
        body = json.dumps({"model": "gpt-5", "messages": [{"role": "user", "content": content}]})
        making.save(store, uid, f"{number}", making.recording(asked=body.encode()))
        making.save(store, uid, f"{number}", making.recording(asked=body.encode()))
        upload = b"--boundary\r\n" + image.encode()
        making.save(store, uid, f"{number}", making.recording(asked=upload))
    assert size(backend) < 30 * len(image)
