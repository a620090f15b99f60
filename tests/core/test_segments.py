"""Cutting request bodies at their messages."""

from __future__ import annotations

import json
import time

import pytest

from rewind_auto.core.segments import split

LONG = "word " * 300


def chat(*contents, key="messages", **more):
    return json.dumps(
        {"model": "gpt-5", key: [{"role": "user", "content": text} for text in contents], **more}
    ).encode()


def joined(cut):
    return b"".join(segment.data for segment in cut.segments) + cut.tail


@pytest.mark.parametrize("key", ["messages", "contents", "input"])
def test_one_segment_for_each_message(key):
    body = chat("first " + LONG, "second", "third", key=key, temperature=0.5)
    cut = split(body)
    assert joined(cut) == body
    assert [b"first" in cut.segments[0].data, b"second" in cut.segments[1].data] == [True, True]
    assert len(cut.segments) == 3
    assert cut.tail == b'], "temperature": 0.5}'


def test_prefixes_that_are_shared_have_equal_digests():
    short, longer = split(chat(LONG, "a")), split(chat(LONG, "a", "b"))
    assert [one.prefix for one in short.segments] == [one.prefix for one in longer.segments[:2]]
    other = split(chat(LONG, "x", "b"))
    assert other.segments[0].prefix == short.segments[0].prefix
    assert other.segments[1].prefix != short.segments[1].prefix
    # The third message is the same, what came before it is not.
    assert other.segments[2].data == longer.segments[2].data
    assert other.segments[2].prefix != longer.segments[2].prefix
    model = split(chat(LONG, "a").replace(b"gpt-5", b"gpt-6"))
    assert model.segments[0].prefix != short.segments[0].prefix


def test_only_the_first_conversation_at_the_top():
    nested = json.dumps({"a": {"messages": [LONG]}, "metadata": LONG}).encode()
    assert split(nested).segments == ()
    both = json.dumps({"input": [LONG, "a"], "messages": ["b", "c"]}).encode()
    assert len(split(both).segments) == 2
    assert split(json.dumps({"input": LONG}).encode()).segments == ()
    after = json.dumps({"input": LONG, "messages": ["b", "c"]}).encode()
    assert len(split(after).segments) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        chat("short"),
        b"[" + LONG.encode() + b"]",
        LONG.encode(),
        chat(LONG)[:-3],
        chat(LONG)[:1040],
        b'{"messages":[' + b'"\xff\xfe",' + b'"a",' * 400 + b'"a"]}',
        b'{"messages":[' + b"[" * 5000 + b"]" * 5000 + b"]}",
        b'{"messages":[' + b'"a",' * 400,
        b'{"messages":[' + b'"a" ' * 400 + b"]}",
        b'{"messages"' + b" " * 2000,
        b'{"messages":[]}' + b" " * 2000,
        b"{" + b" " * 2000 + b"}",
        b'{"a" "b"' + b" " * 2000 + b"}",
        b'{"messages":[' + b"9" * 5000 + b"," + b"1e999]}",
        b'{"messages":["\\ud800", NaN, ' + b'"a", ' * 400 + b"{}]}",
        b'{"\\u006dessages":["' + LONG.encode() + b'", 1]}',
        '{"messages":["☃", "𝄞", "'.encode() + LONG.encode() + b'"]}',
    ],
    ids=lambda body: repr(body[:16]),
)
def test_whatever_it_is_it_can_be_put_together_again(body):
    assert joined(split(body)) == body


def test_escaped_names_and_characters_beyond_ascii():
    assert len(split(b'{"\\u006dessages":["' + LONG.encode() + b'", 1]}').segments) == 2
    body = '{"messages":["☃", "𝄞", "'.encode() + LONG.encode() + b'"]}'
    assert [segment.data.decode()[-2] for segment in split(body).segments] == ["☃", "𝄞", " "]


def test_a_large_body_is_cut_in_little_time():
    body = chat(*[LONG] * 3000)
    started = time.process_time()
    assert len(split(body).segments) == 3000
    assert time.process_time() - started < 1
