"""A program that stops early: closes, breaks off, is cancelled or interrupted."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from contextlib import contextmanager

import anyio
import pytest
from drivers import ASYNC_DRIVERS, DRIVERS, MANNERS, SYNC_DRIVERS, TRIO_DRIVERS, Got
from servers import HANG, chunked, sse

from rewind_auto import RewindReplayDivergenceError
from rewind_auto.core.model import Ending

LINES = [f"line {number}\n".encode() for number in range(6)]
STREAMED = [manner for manner in MANNERS if manner != "buffered"]
CHAT = b'{"model":"gpt-5","stream":true,"messages":[{"role":"user","content":"hi"}]}'


def asking(driver, server, manner, take=None):
    async def scenario():
        async with driver.client() as client:
            return await driver.exchange(
                client, "POST", f"{server.url}/v1/chat/completions", manner, take=take, content=CHAT
            )

    return scenario


@pytest.mark.parametrize("take", [0, 1, 3])
@pytest.mark.parametrize("manner", STREAMED)
def test_closed_before_the_end(trial, server, driver, manner, take):
    server.on("/v1/chat/completions", chunked(LINES, pause=0.005))
    [step] = trial.check(asking(driver, server, manner, take))
    assert trial.endings() == [Ending.CLOSED]
    assert not step.complete
    assert step.chunks == take  # and nothing was read ahead


@pytest.mark.parametrize("manner", STREAMED)
def test_more_than_was_recorded_is_a_divergence(trial, server, driver, manner):
    server.on("/v1/chat/completions", chunked(LINES, pause=0.005))
    trial.record(asking(driver, server, manner, 2))
    with pytest.raises(
        RewindReplayDivergenceError, match="more of its answer than recorded step 1 has"
    ) as caught:
        trial.replay(asking(driver, server, manner), clean=False)
    assert caught.value.source_step == 1
    with trial._reading() as store:
        [blocked] = store.verdict(trial.replaying).blocked
    assert "more of its answer" in blocked.note


@pytest.mark.parametrize("manner", STREAMED)
def test_closed_after_the_terminal_event_is_complete(trial, server, driver, manner):
    """SDKs stop reading at ``[DONE]``; the connection then still has its last chunk to come."""
    server.on("/v1/chat/completions", sse("1", "2", pause=0.005, end=[HANG]))
    taken = {"lines": 5}.get(manner, 3)
    [step] = trial.check(asking(driver, server, manner, taken))
    assert trial.endings() == [Ending.TERMINAL]
    assert step.complete
    # What comes after it was never read, and is nothing.
    again = trial.replay(asking(driver, server, manner))
    assert again.error is None
    assert again.body.strip()[-6:] in ("[DONE]", b"[DONE]")


def test_opened_and_forgotten(trial, server, driver):
    """Neither read nor closed: kept, as the truncated thing it is, when the agent ends."""
    server.on("/v1/x", chunked(LINES))
    held = []

    async def scenario():
        manager = driver.client()
        client = await manager.__aenter__()
        response = await driver.send(client, "GET", f"{server.url}/v1/x", stream=True)
        await driver.gather(driver.pieces(response, "raw"), [], 1)
        held.append((manager, client, response))
        return driver.look(response)["status"]

    trial.check(scenario)
    [ending] = trial.endings()
    # An event loop that ends closes what is left open, which httpx2 hands on as a cancellation.
    assert ending is Ending.CLOSED or (driver.asynchronous and ending is Ending.CANCELLED)
    held.clear()
    gc.collect()


@pytest.mark.parametrize("driver", SYNC_DRIVERS, ids=repr)
def test_left_in_the_middle_and_dropped(trial, server, driver):
    """As by `break`: what was read is let go of when the next call begins, not kept until the end."""
    server.on("/v1/chat/completions", sse("1", "2", pause=0.005, end=[HANG]))
    server.on("/v1/x", chunked(LINES))

    async def scenario():
        async with driver.client() as client:
            url = f"{server.url}/v1/chat/completions"
            response = await driver.send(client, "POST", url, stream=True, content=CHAT)
            await driver.gather(driver.pieces(response, "raw"), [], 3)
            del response
            gc.collect()
            return await driver.exchange(client, "GET", f"{server.url}/v1/x")

    session = "a" * 32
    with trial.agent("record", session) as agent:
        driver.run(scenario())
        assert [step.complete for step in agent.runtime().store.steps(session)] == [True, True]
        assert not agent.runtime().open


def test_client_closed_while_a_stream_is_open(trial, server, driver):
    server.on("/v1/x", chunked(LINES[:2], end=[HANG]))

    async def scenario():
        got = Got()
        async with driver.client() as client:
            response = await driver.send(client, "GET", f"{server.url}/v1/x", stream=True)
            await driver.gather(driver.pieces(response, "raw"), got.pieces, 2)
        await driver.close(response)
        got.response = driver.look(response)
        return got

    trial.check(scenario)
    assert trial.endings() == [Ending.CLOSED]


# --- interrupted

CANCELLABLE = [*ASYNC_DRIVERS, *TRIO_DRIVERS]
SOON = 0.05  # seconds after the last thing that comes; then nothing does


class Pieces(list):
    """Calls ``full`` when all lines have come."""

    def __init__(self, full):
        super().__init__()
        self.full = full

    def append(self, piece):
        super().append(piece)
        if len(self) == len(LINES):
            self.full()


def cancelled(driver, server, manner="raw", *, within=5):
    """The scenario of a program with a time limit of its own, on any event loop."""

    async def scenario():
        got = None
        async with driver.client() as client:
            with anyio.move_on_after(within) as limit:
                pieces = Pieces(lambda: setattr(limit, "deadline", anyio.current_time() + SOON))
                url = f"{server.url}/v1/chat/completions"
                async with driver.streaming(client, "POST", url, content=CHAT) as response:
                    got = response
                    await driver.gather(driver.pieces(response, manner), pieces)
        return limit.cancelled_caught, list(pieces), got and driver.look(got)

    return scenario


@pytest.mark.parametrize("manner", ["raw", "lines"])
@pytest.mark.parametrize("driver", CANCELLABLE, ids=repr)
def test_cancelled_in_the_body(trial, server, driver, manner):
    server.on("/v1/chat/completions", chunked(LINES, end=[HANG]))
    [step] = trial.check(cancelled(driver, server, manner))
    assert trial.endings() == [Ending.CANCELLED]
    assert step.error == "cancelled"
    assert not step.complete


@pytest.mark.parametrize("driver", CANCELLABLE, ids=repr)
def test_cancelled_before_the_head(trial, server, driver):
    server.on("/v1/chat/completions", [HANG])
    [step] = trial.check(cancelled(driver, server, within=6 * SOON))
    assert trial.endings() == [Ending.CANCELLED]
    assert step.status is None


@pytest.mark.parametrize("driver", ASYNC_DRIVERS, ids=repr)
@pytest.mark.parametrize("acts", [[HANG], chunked(LINES, end=[HANG])], ids=["head", "body"])
def test_task_cancelled(trial, server, driver, acts):
    server.on("/v1/chat/completions", acts)

    async def scenario():
        all_there = asyncio.Event()
        pieces = Pieces(all_there.set)

        async def work(client):
            url = f"{server.url}/v1/chat/completions"
            async with driver.streaming(client, "POST", url, content=CHAT) as response:
                await driver.gather(driver.pieces(response, "raw"), pieces)

        async with driver.client() as client:
            task = asyncio.create_task(work(client))
            if len(acts) > 1:
                await all_there.wait()
            await asyncio.sleep(SOON if len(acts) > 1 else 6 * SOON)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return task.cancelled(), list(pieces)

    trial.check(scenario)
    assert trial.endings() == [Ending.CANCELLED]


@pytest.mark.parametrize("driver", ASYNC_DRIVERS, ids=repr)
def test_timeout_of_asyncio(trial, server, driver):
    server.on("/v1/chat/completions", chunked(LINES, end=[HANG]))

    async def scenario():
        async with driver.client() as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(4 * SOON):
                    await driver.exchange(client, "POST", f"{server.url}/v1/chat/completions", content=CHAT)

    trial.check(scenario)
    assert trial.endings() == [Ending.CANCELLED]


@pytest.mark.parametrize("driver", ASYNC_DRIVERS, ids=repr)
def test_first_of_several_wins(trial, server, driver):
    """The losers, cancelled, are stored as that; the winner whole."""
    server.on("/v1/x", lambda seen: [_until(server, 4), *chunked([b"won"])] if seen.body == b"2" else [HANG])

    async def scenario():
        async with driver.client() as client:
            calls = [
                asyncio.create_task(driver.exchange(client, "POST", f"{server.url}/v1/x", content=b"%d" % i))
                for i in range(4)
            ]
            done, rest = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
            return [task.result() for task in done], len(rest)

    trial.check(scenario)
    assert sorted(trial.endings()) == [Ending.CANCELLED] * 3 + [Ending.EOF]


def _until(server, seen):
    """Nothing to send, once so many requests have come."""
    until = time.monotonic() + 5
    while len(server.seen) < seen and time.monotonic() < until:
        time.sleep(0.002)
    return b""


@contextmanager
def interruptible():
    """Gives a function that interrupts the program some seconds after it is called."""

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("driver", SYNC_DRIVERS, ids=repr)
@pytest.mark.parametrize("acts", [[HANG], chunked(LINES, end=[HANG])], ids=["head", "body"])
def test_interrupted(trial, server, driver, acts):
    server.on("/v1/x", acts)

    async def scenario():
        with interruptible() as interrupt:
            pieces = Pieces(lambda: interrupt(SOON))

            async def work(client):
                async with driver.streaming(client, "GET", f"{server.url}/v1/x") as response:
                    await driver.gather(driver.pieces(response, "raw"), pieces)

            async with driver.client() as client:
                interrupt(8 * SOON if len(acts) == 1 else 5)
                with pytest.raises(KeyboardInterrupt):
                    await work(client)
        return list(pieces)

    trial.check(scenario)
    assert trial.endings() == [Ending.CANCELLED]


def test_every_driver_is_here():
    assert {driver.id for driver in DRIVERS} == {
        *("httpx-sync", "httpx2-sync", "httpx-async", "httpx2-async"),
        *("requests", "aiohttp"),
    }
