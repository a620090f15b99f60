"""Serving a recorded body: its chunks, its times, its end."""

from __future__ import annotations

import time
from itertools import islice

import pytest

from rewind_auto.core.model import Ending, Fault, Head, Recording, Request
from rewind_auto.core.playback import Playback


def playback(speed=0.0, ending=Ending.EOF, head=True, fault=None):
    cuts = ((3, 100_000), (0, 100_000), (3, 200_000), (5, 600_000))
    return Playback(
        Recording(
            Request("POST", "https://h/x", (), b""),
            Head(200, ()) if head else None,
            b"onetwothree",
            cuts,
            50_000,
            900_000,
            ending,
            fault,
        ),
        speed,
    )


def test_chunks_at_their_boundaries_at_once():
    served = playback()
    assert served.head_pause == 0
    assert list(served) == [(0, b"one"), (0, b""), (0, b"two"), (0, b"three")]
    assert served.end_pause == 0
    assert list(served) == []


def test_all_iterators_share_one_position():
    """SDKs read on with a second one after the last event."""
    served = playback()
    assert [data for _, data in islice(iter(served), 2)] == [b"one", b""]
    first, second = iter(served), iter(served)
    assert [next(first)[1], next(second)[1]] == [b"two", b"three"]
    assert list(first) == list(second) == []


@pytest.mark.parametrize("speed", [1, 2, 1000, 0.5])
def test_in_recorded_time(speed):
    served = playback(speed)
    pauses = [served.head_pause, *(pause for pause, _ in served), served.end_pause]
    wanted = [at / 1e6 / speed for at in (50_000, 100_000, 100_000, 200_000, 600_000, 900_000)]
    for pause, want in zip(pauses, wanted, strict=True):
        # Less what has gone by since; nobody waits here.
        assert max(0, want - 0.05) <= pause <= want


def test_time_that_went_by_is_not_waited_for_again():
    served = playback(speed=2)
    time.sleep(0.11)
    pauses = [pause for pause, _ in served]
    assert pauses[:3] == [0, 0, 0]  # due after 50 and 100 ms
    assert 0.1 < pauses[3] < 0.2


@pytest.mark.parametrize(
    ("ending", "truncated"),
    [
        (Ending.EOF, False),
        (Ending.TERMINAL, False),
        (Ending.FAULT, False),
        (Ending.CLOSED, True),
        (Ending.CANCELLED, True),
    ],
)
def test_whether_there_may_have_been_more(ending, truncated):
    assert playback(ending=ending).truncated is truncated


def test_the_fault_that_ended_it():
    fault = Fault("httpx", "ReadError", "reset", "body")
    assert playback(ending=Ending.FAULT, fault=fault).fault is fault
    assert playback().fault is None


def test_a_cancelled_call_stays_pending_for_longer_than_it_did():
    """So that the program's own time-out, or cancellation, comes again, at any speed."""
    for speed in (0, 1, 100):
        assert playback(speed, Ending.CANCELLED).end_pause >= 0.9 + 1
        assert playback(speed, Ending.CANCELLED, head=False).head_pause >= 0.9 + 1
        assert playback(speed, Ending.CANCELLED).head_pause <= 0.05
