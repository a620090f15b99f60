"""What a divergence is told as: the wording is part of what users get."""

from __future__ import annotations

import json
from textwrap import dedent

import pytest

from rewind_auto.core.diff import Change, compare, distance
from rewind_auto.core.divergence import Divergence, ignore_rule
from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.core.match import aligned, nearest
from rewind_auto.core.model import Fingerprint, Request, Step

URL = "https://api.openai.com/v1/chat/completions"
FINGERPRINT = Fingerprint(b"\1" * 16, b"\2" * 16)


def asked(body, url=URL, method="POST"):
    return Request(method, url, (), body if isinstance(body, bytes) else json.dumps(body).encode())


def chat(*messages, **more):
    return asked({"model": "gpt-5", "messages": list(messages), **more})


def user(text):
    return {"role": "user", "content": text}


def told(old, new):
    return [str(change) for change in compare(old, new)]


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        (chat(user("one")), chat(user("one")), []),
        (chat(user("one")), chat(user("two")), ['messages[0].content (role user): "one" → "two"']),
        (chat(temperature=0.1), chat(temperature=0.9), ["temperature: 0.1 → 0.9"]),
        (chat(), chat(temperature=0), ["temperature: added 0"]),
        (chat(temperature=0), chat(), ["temperature: removed 0"]),
        (asked({"model": "gpt-5"}), asked({"model": "gpt-4"}), ['model: "gpt-5" → "gpt-4"']),
        (
            chat(user("a")),
            chat(user("a"), user("b")),
            ['messages[1] (role user): added {"role": "user", "content": "b"}'],
        ),
        (
            chat(user("a"), {"role": "assistant", "content": "b"}),
            chat(user("a")),
            ['messages[1] (role assistant): removed {"role": "assistant", "content": "b"}'],
        ),
        (
            chat({"role": "tool", "tool_call_id": "call_1", "content": "18"}),
            chat({"role": "tool", "tool_call_id": "call_1", "content": "19"}),
            ['messages[0].content (role tool, tool_call_id call_1): "18" → "19"'],
        ),
        (
            chat(tools=[{"type": "function", "function": {"name": "weather", "strict": True}}]),
            chat(tools=[{"type": "function", "function": {"name": "weather", "strict": False}}]),
            ["tools[0].function.strict (tool weather): true → false"],
        ),
        (
            chat(tools=[]),
            chat(tools=[{"name": "search", "input_schema": {}}]),
            ['tools[0] (tool search): added {"name": "search", "input_schema": {}}'],
        ),
        (chat(a=1), chat(a="1"), ['a: 1 → "1"']),
        (chat(a=[1]), chat(a={"b": 1}), ['a: [1] → {"b": 1}']),
        (chat(user("größe ☃")), chat(user("ÜX")), ['messages[0].content (role user): "größe ☃" → "ÜX"']),
        (asked(b"", method="GET"), asked(b"", method="DELETE"), ["method: GET → DELETE"]),
        (asked({}), asked({}, url="https://h/v1/x?a=1"), ['url: "/v1/chat/completions" → "/v1/x?a=1"']),
        (asked(b"\xff1"), asked(b"\xff12"), ['body: "2 bytes" → "3 bytes, other content"']),
        (asked({}), asked(b"\xff"), ['body: "2 bytes" → "1 bytes, other content"']),
    ],
)
def test_changes(old, new, lines):
    assert told(old, new) == [line.replace("GET → DELETE", '"GET" → "DELETE"') for line in lines]


def test_long_texts_are_cut_to_where_they_differ():
    before, after = ("word " * 200 + end + " and so on" * 20 for end in ("Paris", "Tokyo"))
    [line] = told(chat(user(before)), chat(user(after)))
    assert "Paris" in line
    assert "Tokyo" in line
    assert len(line) < 220
    [line] = told(chat(user("x" * 500)), chat())
    assert line.endswith("…")
    assert len(line) < 120


def test_the_first_twenty_changes_are_enough():
    old, new = (chat(*(user(f"{side} {number}") for number in range(500))) for side in "ab")
    assert len(compare(old, new)) == 20
    assert compare(old, new)[0].path == "messages[0].content"


def test_deep_or_broken_bodies():
    deep = asked(b'{"a":' * 100_000)
    assert told(deep, asked({}))
    assert told(asked(b"{"), asked(b"{ ")) == ['body: "1 bytes" → "2 bytes, other content"']


def test_for_programs():
    [change] = compare(chat(user("one")), chat(user("two")))
    assert change.as_dict() == {"path": "messages[0].content", "old": "one", "new": "two"}


# --- the nearest one


def step(number, lane="", call_site=None, fingerprint=None):
    return Step("s", number, lane=lane, call_site=call_site, fingerprint=fingerprint)


def test_the_nearest_differs_least_and_of_equals_is_the_first():
    recorded = [
        (step(1), chat(user("hello"), temperature=0)),
        (step(2), chat(user("hello"), user("more"))),
        (step(3), asked({"model": "gpt-5"}, url="https://h/v1/other")),
        (step(4), chat(user("hello"), user("moro"))),
    ]
    assert nearest(chat(user("hello"), user("mora")), recorded)[0].step == 2
    assert nearest(chat(user("hello"), temperature=1), recorded)[0].step == 1
    assert nearest(asked(b"\xff", url="https://h/v1/other"), recorded)[0].step == 3
    assert nearest(chat(), []) is None


def test_the_one_in_its_place():
    recorded = [
        (step(1, "a"), chat(user("one"))),
        (step(2, "b"), chat(user("two"))),
        (step(3, "a"), chat(user("three"))),
        (step(4, "a"), asked({"model": "gpt-5"}, url="https://h/v1/other")),
    ]
    assert aligned(chat(user("changed")), "a", recorded)[0].step == 1
    assert aligned(chat(user("changed")), "b", recorded)[0].step == 2
    assert aligned(chat(user("three")), "a", recorded)[0].step == 3
    assert aligned(chat(user("two")), "new lane", recorded)[0].step == 2
    assert aligned(asked({}, url="https://h/v1/other?x=1"), "a", recorded)[0].step == 4
    assert aligned(asked({}, url="https://h/v1/third"), "a", recorded) is None


def test_distances():
    one = chat(user("one"))
    assert distance(one, one) == 0
    assert distance(one, chat(user("two"))) == 1
    assert distance(one, chat(user("two"), temperature=1)) == 2
    assert distance(one, chat(user("two"), temperature=1)) < distance(one, asked(b"{}", url="https://h/x"))


# --- the rule to paste


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (chat(temperature=1), chat(temperature=2), "REWIND_IGNORE='temperature'"),
        (chat(user("a"), seed=1), chat(user("b"), seed=2), "REWIND_IGNORE='messages[0].content,seed'"),
        (chat(), chat(seed=1), "REWIND_IGNORE='seed'"),
        (chat(user("a")), chat(user("a"), user("b")), None),
        (asked({}), asked({}, url="https://h/other"), None),
        (asked({}), asked({}, method="PUT"), None),
        (asked(b"\xff"), asked(b"\xfe"), None),
        (chat(), chat(), None),
        (chat(*map(user, "abcdefg")), chat(*map(user, "hijklmn")), None),
    ],
)
def test_ignore_rules(old, new, rule):
    assert ignore_rule(compare(old, new)) == rule


@pytest.mark.parametrize("more", [{"temperature": 0.5}, {"a b": 1}, {"größe": 2}, {"x": {"y": [{"z": 1}]}}])
def test_a_rule_makes_the_two_the_same(more):
    """Pasted as it is told."""
    from rewind_auto.core.canonical import Canonicalizer

    old, new = (
        chat(user("a"), **more),
        chat(user("a"), **json.loads(json.dumps(more).replace("1", "7").replace("2", "8").replace("5", "9"))),
    )
    rule = ignore_rule(compare(old, new))
    paths = tuple(rule.removeprefix("REWIND_IGNORE='").removesuffix("'").split(","))
    by = Canonicalizer(paths)
    assert by.canonical(old) == by.canonical(new)
    assert Canonicalizer().canonical(old) != Canonicalizer().canonical(new)


@pytest.mark.parametrize("name", ["a.b", "a,b", "a[0]", "it's", ""])
def test_no_rule_for_a_name_that_no_path_can_name(name):
    assert ignore_rule(compare(chat(**{name: 1}), chat(**{name: 2}))) is None


# --- the whole of it


def message(request, near=None, at=None, **more):
    near = near and (step(2, call_site=at), near)
    error = Divergence(request, FINGERPRINT, 3, "nightly", near, **more).error()
    assert isinstance(error, RewindReplayDivergenceError)
    assert not isinstance(error, Exception)
    return str(error)


def test_a_changed_prompt():
    said = message(chat(user("And Tokyo?"), temperature=0.9), chat(user("And Paris?"), temperature=0.1))
    assert said == dedent(
        """\
        strict replay: step 3 has no recorded answer in session nightly; nothing was sent
          asked: POST https://api.openai.com/v1/chat/completions
          nearest: recorded step 2; what differs (recorded → now):
            messages[0].content (role user): "And Paris?" → "And Tokyo?"
            temperature: 0.1 → 0.9
          if that may vary: REWIND_IGNORE='messages[0].content,temperature'"""
    )


def test_many_changes():
    said = message(chat(**dict.fromkeys("abcdefghi", 1)), chat(**dict.fromkeys("abcdefghi", 2)))
    assert said.splitlines()[3:] == [*(f"    {name}: 2 → 1" for name in "abcdef"), "    … and 3 more"]


def test_what_follows_from_the_first_change():
    old = [user("a"), user("b"), user("c"), user("d")]
    new = [user("a"), user("B"), user("C"), user("D")]
    said = message(chat(*new, temperature=1), chat(*old, temperature=0)).splitlines()[3:6]
    assert said == [
        '    messages[1].content (role user): "b" → "B"',
        "    temperature: 0 → 1",
        "    and after that, perhaps because of it: 2 in later messages",
    ]


def test_a_message_that_was_put_in_is_one_change():
    said = message(chat(user("a"), user("new"), user("b"), user("c")), chat(user("a"), user("b"), user("c")))
    assert said.splitlines()[3:] == [
        '    messages[1] (role user): added {"role": "user", "content": "new"}',
    ]


def test_where_and_what_now():
    said = message(chat(), chat(), at="agent.py:7", call_site="agent.py:9", cause=2, fork="abc").splitlines()
    assert said[1].endswith("/chat/completions, at agent.py:9")
    assert said[2:] == [
        "  nearest: recorded step 2, at agent.py:7; its request is the same",
        "  this may follow from step 2, which diverged before it",
        "  to go on from here with live calls: rewind-run --fork abc COMMAND",
    ]


def test_an_answer_that_was_used_already():
    assert message(chat(), chat(), spent=True) == dedent(
        """\
        strict replay: step 3 has no recorded answer in session nightly; nothing was sent
          asked: POST https://api.openai.com/v1/chat/completions
          an equal request was recorded, but each of its answers is already used in this run
          nearest: recorded step 2; its request is the same"""
    )


def test_more_calls_than_were_recorded():
    assert "every recorded step is already used: this run makes more calls" in message(
        chat(), chat(), exhausted=True
    )


def test_nothing_was_recorded():
    assert message(chat()).count("\n") == 1


def test_another_reason():
    assert "\n  a protocol upgrade cannot be replayed\n" in message(
        chat(), chat(), why="a protocol upgrade cannot be replayed"
    )


def test_what_a_program_can_read_of_it():
    near = (step(2, call_site="a.py:1", fingerprint=Fingerprint(b"\3" * 16, b"\4" * 16)), chat(user("a")))
    divergence = Divergence(
        chat(user("b")), FINGERPRINT, 3, "nightly", near, call_site="a.py:2", fork="abc", cause=1
    )
    error = divergence.error()
    assert (error.step, error.source_step) == (3, 2)
    assert (error.fingerprint, error.source_fingerprint) == ("02" * 16, "04" * 16)
    assert error.diff == ({"path": "messages[0].content", "old": "a", "new": "b"},)
    assert (error.call_site, error.source_call_site) == ("a.py:2", "a.py:1")
    assert (error.cause, error.ignore, error.fork) == (1, "REWIND_IGNORE='messages[0].content'", "abc")
    assert json.loads(json.dumps(divergence.facts()))["diff"] == list(error.diff)
    alone = Divergence(chat(), FINGERPRINT, 3, "nightly").error()
    assert (alone.source_step, alone.source_fingerprint, alone.diff) == (None, None, ())


def test_a_change_from_nothing_to_null():
    assert str(Change("a", None, 1)) == "a: null → 1"
    assert told(chat(a=None), chat(a=1)) == ["a: null → 1"]
    assert told(chat(a=1), chat(a=None)) == ["a: 1 → null"]
    assert told(chat(), chat(a=None)) == ["a: added null"]
