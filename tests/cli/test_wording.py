"""How ``rewind-auto`` puts times, tool calls and providers' complaints."""

from __future__ import annotations

import pytest
from looking import JSON_HEAD, answer, recorded, request

from rewind_auto.cli import answers, output


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, ""),
        (0.0, "0.0 ms"),
        (0.00994, "9.9 ms"),
        (0.00996, "10 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (9.99, "9.99 s"),
        (9.996, "10.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (200.4, "3 min 20 s"),
        (3599.6, "1 h 00 min"),
        (90_061.0, "25 h 01 min"),
    ],
)
def test_durations(seconds, said) -> None:
    assert output.duration(seconds) == said


@pytest.mark.parametrize(
    ("usd", "said"),
    [
        (None, ""),
        (0.0, "$0"),
        (1e-8, "$0.000000010"),
        (0.00021, "$0.00021"),
        (0.00266, "$0.0027"),
        (0.0123, "$0.012"),
        (0.75, "$0.750"),
        (1.0, "$1.00"),
        (12_345.678, "$12,345.68"),
    ],
)
def test_money(usd, said) -> None:
    assert output.money(usd) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0"),
        (9_999, "9,999"),
        (10_000, "10.0 k"),
        (99_949, "99.9 k"),
        (99_950, "100 k"),
        (999_499, "999 k"),
        (999_500, "1.00 M"),
        (12_345_678, "12.3 M"),
        (5_000_000_000_000, "5,000 G"),
    ],
)
def test_rough_counts(number, said) -> None:
    assert output.rough(number) == said


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (None, None),
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (1_800_000_000.999999, "2027-01-15T08:00:00.999999Z"),
        (1_799_999_999.9999998, "2027-01-15T08:00:00.000000Z"),
    ],
)
def test_times(at, said) -> None:
    assert output.iso(at) == said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "f()"),
        (None, "f()"),
        ({"a": 1, "b": [True, None], "c": "é"}, 'f(a=1, b=[true, null], c="é")'),
        ({"text": "x" * 60, "n": 2}, f'f(text="{"x" * 38}…, n=2)'),
        ("not JSON", 'f("not JSON")'),
        ({"a": "\x9b2J\u202e"}, 'f(a="\ufffd2J\ufffd")'),
    ],
)
def test_tool_calls(arguments, said) -> None:
    assert answers.tool_call({"type": "tool_call", "name": "f", "arguments": arguments}) == said


def test_tool_calls_in_full() -> None:
    part = {"type": "tool_call", "name": "f", "arguments": {"text": "x" * 60}}
    assert answers.tool_call(part, cut=False) == f'f(text="{"x" * 60}")'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "Too fast.", "type": "rate_limit"}}', "Too fast."),
        (b'{"type": "error", "error": {"type": "overloaded_error", "message": "Busy."}}', "Busy."),
        (b'[{"error": {"code": 429, "message": "Quota."}}]', "Quota."),
        (b'{"error": "model is not there"}', "model is not there"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'{"error": {"code": 7}}', '{"error": {"code": 7}}'),
        (b"\n<html>\n<b>Bad Gateway</b>", "<html>"),
        (b"\xff\x1b[2J", "\ufffd\ufffd[2J"),
        (b"", ""),
    ],
)
def test_complaints(body, said) -> None:
    assert answers.complaint(recorded(request("x"), 500, JSON_HEAD, body)) == said


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("https://api.openai.com", "Hello."),
        ("http://127.0.0.1:8000", "Hello."),
        ("http://[::1]:8000", "Hello."),
        ("http://not_a host", ""),
        ("http://", ""),
    ],
)
def test_answers_of_any_host_are_read_by_their_shape(host, text) -> None:
    kept = recorded(request("x", url=f"{host}/v1/chat/completions"), 200, JSON_HEAD, answer("Hello."))
    assert answers.read(kept).text == text
