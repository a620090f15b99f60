from __future__ import annotations

from itertools import pairwise

import pytest
from anthropic._streaming import SSEDecoder as AnthropicDecoder
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder as OpenAIDecoder

from rewind_auto.core.sse import events, last_events


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", []),
        (b"\n\n", []),
        (b"data: a\n\n", [(b"", b"a")]),
        (b"data:a\n\n", [(b"", b"a")]),
        (b"data:  a \n\n", [(b"", b" a ")]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", [(b"", b"a"), (b"", b"b"), (b"", b"c")]),
        (b"data: a\ndata: b\n\n", [(b"", b"a\nb")]),
        (b"data\ndata: b\ndata\n\n", [(b"", b"\nb\n")]),
        (b"event: x\ndata: a\n\ndata: b\n\n", [(b"x", b"a"), (b"", b"b")]),
        (b"data: a\nevent:x\n\n", [(b"x", b"a")]),
        (b"event: x\nevent\ndata: a\n\n", [(b"", b"a")]),
        (b"event: x\n\ndata: a\n\n", [(b"", b"a")]),
        (b": comment\n:\n\ndata: a\n\n", [(b"", b"a")]),
        (b"id: 1\nretry: 5\nother: x\ndata: a\n\n", [(b"", b"a")]),
        (b"dataset: x\n data: y\nDATA: z\n\n", []),
        (b"\xef\xbb\xbfdata: a\n\n", [(b"", b"a")]),
        (b"data: \xef\xbb\xbf\n\n", [(b"", b"\xef\xbb\xbf")]),
        ("data: \u2028\x85\x0b\x0c\n\n".encode(), [(b"", "\u2028\x85\x0b\x0c".encode())]),
        (b"data: a\n\ndata: b\ndata: c", [(b"", b"a"), (b"", b"b\nc")]),
        (b"data: a\n\nevent: x", [(b"", b"a")]),
    ],
)
def test_events(body: bytes, expected: list[tuple[bytes, bytes]]) -> None:
    assert list(events(body)) == expected
    assert last_events(body) == expected


LINES = st.sampled_from(
    ["data: a", "data:b", "data", "data: ", "event: x", "event", ": c", "id: 1", "x", " data: y", "", ""]
)
ENDS = st.sampled_from(["\n", "\r\n"])


@given(st.lists(LINES, max_size=12), ENDS)
def test_the_sdks_see_the_same_events(lines: list[str], end: str) -> None:
    # Both hand out an event without data too, which the standard does not; and drop an unfinished last one.
    body = end.join([*lines, "", ""]).encode()
    openai = [(e.event or "", e.data) for e in OpenAIDecoder().iter_bytes(iter([body]))]
    anthropic = [(e.event or "", e.data) for e in AnthropicDecoder().iter_bytes(iter([body]))]
    ours = [(name.decode(), data.decode()) for name, data in events(body)]
    assert [e for e in ours if e[1]] == [e for e in openai if e[1]] == [e for e in anthropic if e[1]]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 100, 5000, 300_000])
def test_the_last_events_are_whole_events_however_large(end: bytes, size: int) -> None:
    blank = end * 2
    body = b"".join(b"data: %d%s" % (n, blank) for n in range(3000))
    body += b"event: big%sdata: %s%sdata: end%s" % (end, b"x" * size, end, blank)

    found = last_events(body)

    assert found[-1] == (b"big", b"x" * size + b"\nend")
    assert sum(len(data) for _, data in found) <= 8 * max(size, 4096)
    for (_, data), (_, after) in pairwise(found[:-1]):
        assert int(after) == int(data) + 1


def test_the_rest_of_an_event_is_not_taken_for_one() -> None:
    body = b"data: {\n" + b"data: [DONE]\n" * 10_000 + b"data: }\n\n: alive\n\n"
    assert last_events(body) == list(events(body))
    assert len(last_events(body)) == 1
