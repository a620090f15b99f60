"""Retry delays: an SDK must not sleep in a replay, and must do what it did."""

from __future__ import annotations

import pytest

from rewind_auto.core.model import Head
from rewind_auto.core.serve import asks_to_wait, without_waiting


def head(*pairs):
    return Head(429, ((b"Content-Type", b"text/plain"), *pairs), b"Too Many Requests")


def served(*pairs, retried=True):
    return without_waiting(head(*pairs), retried=retried).headers[1:]


@pytest.mark.parametrize(
    "value", [b"30", b"0", b"0.25", b"120", b"Wed, 21 Oct 2026 07:28:00 GMT", b"soon", b"", b"-1"]
)
@pytest.mark.parametrize("name", [b"retry-after", b"Retry-After", b"RETRY-AFTER"])
def test_seconds_and_dates(name, value):
    assert served((name, value)) == ((name, b"0"), (b"retry-after-ms", b"1"))
    assert served((name, value), retried=False) == ((name, b"0"), (b"retry-after-ms", b"1"))


def test_milliseconds():
    assert served((b"Retry-After-Ms", b"2500")) == ((b"retry-after-ms", b"1"),)
    both = served((b"retry-after", b"3"), (b"x", b"y"), (b"retry-after-ms", b"2500"))
    assert both == ((b"retry-after", b"0"), (b"x", b"y"), (b"retry-after-ms", b"1"))


@pytest.mark.parametrize(
    "pairs", [[(b"retry-after", b"121")], [(b"retry-after-ms", b"120001")], [(b"retry-after", b"inf")]]
)
def test_delays_too_long_for_an_sdk_stay_so_unless_it_did_try_again(pairs):
    assert served(*pairs, retried=False) == tuple(pairs)
    assert (b"retry-after-ms", b"1") in served(*pairs, retried=True)


def test_no_delay():
    plain = head((b"x-retry-after-all", b"1"))
    assert without_waiting(plain, retried=True) is plain
    assert not asks_to_wait(plain)
    assert asks_to_wait(head((b"Retry-After", b"1")))
    assert asks_to_wait(head((b"retry-after-MS", b"1")))


def test_all_else_stays():
    before = Head(503, ((b"Retry-After", b"5"),), b"Busy", "HTTP/2", wire=False, whole=True)
    after = without_waiting(before, retried=True)
    assert (after.status, after.reason, after.http_version, after.wire, after.whole) == (
        503,
        b"Busy",
        "HTTP/2",
        False,
        True,
    )
    assert before.headers == ((b"Retry-After", b"5"),)
