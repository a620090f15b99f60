from __future__ import annotations

from struct import pack
from zlib import crc32

import pytest
from bedrock_sdk import chunk, event, exception, frame, header, texts
from botocore.eventstream import EventStreamBuffer

from rewind_auto.core.event_stream import chunks, cleaned, frames, last_frame

BODY = (
    event("messageStart", {"role": "assistant"})
    + event("contentBlockDelta", {"delta": {"text": "Grüezi"}})
    + frame(b"", b"")
    + exception("throttlingException", "Slow down")
)
EVERY_KIND = b"".join(
    header(f"h{kind}", kind, value)
    for kind, value in enumerate(
        [
            b"",
            b"",
            b"\x01",
            b"\x00\x02",
            b"\x00\x00\x00\x03",
            b"\x00" * 8,
            b"\x00\x02\xff\x00",
            pack("!H", 4) + b"text",
            b"\x00" * 8,
            b"\x11" * 16,
        ]
    )
)


def theirs(body: bytes) -> list[tuple[dict[str, str], bytes]]:
    """What botocore reads."""
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    return [
        ({name: value for name, value in one.headers.items() if isinstance(value, str)}, one.payload)
        for one in buffer
    ]


@pytest.mark.parametrize("body", [BODY, frame(EVERY_KIND, b"x"), b""])
def test_it_is_read_as_botocore_reads_it(body: bytes) -> None:
    ours = list(frames(body))
    assert [(one.headers, one.payload) for one in ours] == theirs(body)
    assert [one.end for one in ours][-1:] == [len(body)][: len(ours)]
    assert last_frame(body) == (ours[-1] if ours else None)


def test_headers_with_texts_are_kept_and_the_others_skipped() -> None:
    [one] = frames(frame(EVERY_KIND + texts({"last": "ü"}), b"x"))
    assert one.headers == {"h7": "text", "last": "ü"}


def test_an_event_and_an_error_say_what_they_are() -> None:
    seen = [(one.event, one.error) for one in frames(BODY)]
    assert seen == [
        ("messageStart", None),
        ("contentBlockDelta", None),
        ("", None),
        ("", "throttlingException"),
    ]
    unmodeled = texts({":message-type": "error", ":error-code": "InternalError", ":error-message": "m"})
    nameless = texts({":message-type": "error"})
    assert [one.error for one in frames(frame(unmodeled, b"") + frame(nameless, b""))] == [
        "InternalError",
        "error",
    ]


def test_a_body_that_is_cut_gives_the_frames_that_came_whole() -> None:
    ends = [one.end for one in frames(BODY)]
    for length in range(len(BODY) + 1):
        whole = [end for end in ends if end <= length]
        assert [one.end for one in frames(BODY[:length])] == whole
        last = last_frame(BODY[:length])
        assert (last.end if last else 0) == max(whole, default=0)


def test_a_damaged_frame_ends_the_reading() -> None:
    starts = [0, *(one.end for one in frames(BODY))]
    for at in range(len(BODY)):
        damaged = BODY[:at] + bytes([BODY[at] ^ 0xFF]) + BODY[at + 1 :]
        before = [end for end in starts[1:] if end <= at]
        assert [one.end for one in frames(damaged)] == before
        last = last_frame(damaged)  # it looks at nothing but the last one and the lengths
        assert last is None or last.end in starts


def test_a_prelude_that_is_damaged_ends_it_though_the_rest_is_sound() -> None:
    prelude = pack("!III", 17, 0, 0)
    body = prelude + b"x"
    assert list(frames(body + pack("!I", crc32(body)))) == []


@pytest.mark.parametrize(
    ("headers", "payload", "read"),
    [
        (header("h", 6, pack("!H", 65_000) + bytes(65_000)) * 2, b"", 1),
        (header("h", 6, pack("!H", 65_000) + bytes(65_000)) * 3, b"", 0),
        (b"", bytes(24 * 1024 * 1024), 1),
        (b"", bytes(24 * 1024 * 1024 + 1), 0),
    ],
    ids=["headers", "too many headers", "payload", "too much payload"],
)
def test_what_is_larger_than_amazon_allows_is_no_frame(headers: bytes, payload: bytes, read: int) -> None:
    assert len(list(frames(frame(headers, payload)))) == read


@pytest.mark.parametrize(
    ("total", "headers"),
    [
        (0xFFFFFFFF, 0),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0, 0),
        (15, 0),
        (16, 0xFFFFFFFF),
        (16, 1),
        (100, 85),
    ],
)
def test_lengths_that_lie_are_not_believed(total: int, headers: int) -> None:
    prelude = pack("!II", total, headers)
    body = prelude + pack("!I", crc32(prelude)) + b"\x00" * 100
    assert list(frames(body)) == []
    assert last_frame(body) is None


@pytest.mark.parametrize(
    "headers",
    [
        b"\x04name",  # no type
        b"\x05name",
        b"\xffname",  # a name that is longer than the block
        header("n", 10, b""),  # a type that there is not
        header("n", 7, b"\x00"),  # half a length
        header("n", 7, pack("!H", 9) + b"short"),
        header("n", 9, b"\x00" * 15),
    ],
)
def test_headers_that_are_none_end_the_reading(headers: bytes) -> None:
    sound = event("messageStart", {})
    assert len(list(frames(sound + frame(headers, b"x") + sound))) == 1
    assert last_frame(sound + frame(headers, b"x")) is None


SECRET = b"the secret/words"


def without(data: bytes) -> bytes:
    return data.replace(SECRET, b"*" * len(SECRET))


@pytest.mark.parametrize(
    "body",
    [
        event("contentBlockDelta", {"delta": {"text": "It is the secret/words, see."}}),
        exception("throttlingException", "No more for the secret/words"),
        frame(texts({":error-message": "the secret/words"}), b""),
        chunk({"generation": "It is the secret/words, see."}),
        chunk({"generation": "x"}) + chunk({"generation": "the secret/words", "stop_reason": "stop"}),
    ],
)
def test_what_is_taken_out_of_frames_leaves_them_sound(body: bytes) -> None:
    around = BODY + body + BODY
    assert SECRET in around + chunks(around)
    clean = cleaned(around, without)
    assert SECRET not in clean + chunks(clean)
    assert b"*" * len(SECRET) in clean + chunks(clean)
    assert [one.end for one in frames(clean)] == [one.end for one in frames(around)]
    assert len(theirs(clean)) == len(theirs(around))
    assert clean.startswith(BODY)
    assert clean.endswith(BODY)


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_what_is_no_whole_frame_is_cleaned_as_it_is(cut: int) -> None:
    part = (event("contentBlockDelta", {"delta": {"text": "the secret/words"}}) + bytes(40))[: -cut - 40]
    clean = cleaned(BODY + part, without)
    assert clean == BODY + without(part)
    assert SECRET not in clean


@pytest.mark.parametrize("data", ["a", "eA=", "eA==eA==", "\u20ac", "e A=="])
def test_base64_that_is_odd_is_left_alone(data: str) -> None:
    body = event("chunk", {"bytes": data})
    assert cleaned(body, without) == body
    assert isinstance(chunks(body), bytes)
