"""Calls of two runs are told to be the same by what they ask."""

from __future__ import annotations

import json

from rewind_auto.core.align import Call, align, volatile
from rewind_auto.core.model import Request


def call(number, text, url="https://h/v1/chat/completions", outcome="ok", **more):
    body = {"messages": [{"role": "user", "content": text}], **more}
    request = Request("POST", url, (), json.dumps(body).encode())
    return Call(number, request.body + url.encode(), request, outcome)


def calls(texts, **more):
    return [call(number, text, **more) for number, text in enumerate(texts, start=1)]


def pairs(a, b):
    return [(p.a and p.a.number, p.b and p.b.number, p.state) for p in align(a, b)]


def test_equal_runs():
    assert pairs(calls("abc"), calls("abc")) == [(n, n, "same") for n in (1, 2, 3)]


def test_a_call_more_shifts_nothing():
    assert pairs(calls("abc"), calls("xabc")) == [
        (None, 1, "only_b"), (1, 2, "same"), (2, 3, "same"), (3, 4, "same"),
    ]  # fmt: skip
    assert pairs(calls("abcd"), calls("abd")) == [
        (1, 1, "same"), (2, 2, "same"), (3, None, "only_a"), (4, 3, "same"),
    ]  # fmt: skip


def test_a_changed_call_is_paired_with_what_it_was():
    assert pairs(calls(["one", "two", "three"]), calls(["one", "2", "three"])) == [
        (1, 1, "same"), (2, 2, "changed"), (3, 3, "same"),
    ]  # fmt: skip
    [pair] = align(calls(["two"]), calls(["2"]))
    assert [change.path for change in pair.changes] == ["messages[0].content"]


def test_calls_to_other_addresses_are_no_pair():
    assert pairs(calls("a"), calls("b", url="https://h/v1/embeddings")) == [
        (1, None, "only_a"),
        (None, 1, "only_b"),
    ]


def test_parallel_calls_in_another_order():
    assert sorted(pairs(calls("abcd"), calls("badc"))) == [
        (1, 2, "same"), (2, 1, "same"), (3, 4, "same"), (4, 3, "same"),
    ]  # fmt: skip


def test_an_answer_that_differs():
    assert pairs(calls("a", outcome=1), calls("a", outcome=2)) == [(1, 1, "changed")]


def test_volatile_paths():
    a = calls("abc", run="x1", seed=1)
    b = calls("abc", run="x2", seed=1)
    assert volatile(align(a, b)) == [("run", 3)]
    said = [{"role": "assistant", "content": "hi"}, {"role": "tool", "content": "at 14:02"}]
    again = [{"role": "assistant", "content": "hello"}, {"role": "tool", "content": "at 14:07"}]
    assert volatile(align([call(1, "a", history=said)], [call(1, "a", history=again)])) == [
        ("history[*].content", 1)
    ]
