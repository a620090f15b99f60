"""A program that stops early: closes, breaks off, is cancelled or interrupted."""

from __future__ import annotations

import asyncio
import gc
import signal
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
    server.on("/v1/chat/completions", chunked(LINES, pause=0.002))
    [step] = trial.check(asking(driver, server, manner, take))
    assert trial.endings() == [Ending.CLOSED]
    assert not step.complete
    assert step.chunks == take  # and nothing was read ahead


@pytest.mark.parametrize("manner", STREAMED)
def test_more_than_was_recorded_is_a_divergence(trial, server, driver, manner):
    server.on("/v1/chat/completions", chunked(LINES))
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
    server.on("/v1/chat/completions", sse("1", "2", end=[HANG]))
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
        client = driver.Client(verify=False, trust_env=False)
        request = client.build_request("GET", f"{server.url}/v1/x")
        response = await driver.call(client.send, request, stream=True)
        await driver.gather(driver.pieces(response, "raw"), [], 1)
        held.append((client, response))
        return response.status_code

    trial.check(scenario)
    [ending] = trial.endings()
    # An event loop that ends closes what is left of the stream itself, and httpx2 hands that on as a cancellation.
    assert ending is Ending.CLOSED or (driver.asynchronous and ending is Ending.CANCELLED)
    held.clear()
    gc.collect()


def test_client_closed_while_a_stream_is_open(trial, server, driver):
    server.on("/v1/x", chunked(LINES[:2], end=[HANG]))

    async def scenario():
        got = Got()
        async with driver.client() as client:
            request = client.build_request("GET", f"{server.url}/v1/x")
            response = await driver.call(client.send, request, stream=True)
            await driver.gather(driver.pieces(response, "raw"), got.pieces, 2)
        await driver.call(driver.method(response, "close"))
        got.response = driver.look(response)
        return got

    trial.check(scenario)
    assert trial.endings() == [Ending.CLOSED]


# --- interrupted

CANCELLABLE = [*ASYNC_DRIVERS, *TRIO_DRIVERS]


def cancelled(driver, server, manner="raw", *, within=0.08):
    """The scenario of a program with a time limit of its own, on any event loop."""

    async def scenario():
        got = None
        pieces = []
        async with driver.client() as client:
            with anyio.move_on_after(within) as limit:
                async with client.stream(
                    "POST", f"{server.url}/v1/chat/completions", content=CHAT
                ) as response:
                    got = response
                    await driver.gather(driver.pieces(response, manner), pieces)
        return limit.cancelled_caught, pieces, got and driver.look(got)

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
    [step] = trial.check(cancelled(driver, server))
    assert trial.endings() == [Ending.CANCELLED]
    assert step.status is None


@pytest.mark.parametrize("driver", ASYNC_DRIVERS, ids=repr)
@pytest.mark.parametrize("acts", [[HANG], chunked(LINES, end=[HANG])], ids=["head", "body"])
def test_task_cancelled(trial, server, driver, acts):
    server.on("/v1/chat/completions", acts)

    async def scenario():
        async with driver.client() as client:
            call = driver.exchange(client, "POST", f"{server.url}/v1/chat/completions", "raw", content=CHAT)
            task = asyncio.create_task(call)
            await asyncio.sleep(0.08)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return task.cancelled()

    trial.check(scenario)
    assert trial.endings() == [Ending.CANCELLED]


@pytest.mark.parametrize("driver", ASYNC_DRIVERS, ids=repr)
def test_timeout_of_asyncio(trial, server, driver):
    server.on("/v1/chat/completions", chunked(LINES, end=[HANG]))

    async def scenario():
        async with driver.client() as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.08):
                    await driver.exchange(client, "POST", f"{server.url}/v1/chat/completions", content=CHAT)

    trial.check(scenario)
    assert trial.endings() == [Ending.CANCELLED]


@pytest.mark.parametrize("driver", ASYNC_DRIVERS, ids=repr)
def test_first_of_several_wins(trial, server, driver):
    """`as_completed` and the cancelling of the rest: the losers are stored as cancelled, the winner whole."""
    server.on("/v1/x", lambda seen: chunked([b"won"]) if seen.body == b"2" else [HANG])

    async def scenario():
        async with driver.client() as client:
            calls = [
                asyncio.create_task(
                    driver.exchange(client, "POST", f"{server.url}/v1/x", content=str(i).encode())
                )
                for i in range(4)
            ]
            await asyncio.sleep(0.03)  # for the losers to be under way
            done, rest = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
            return [task.result() for task in done], len(rest)

    trial.check(scenario)
    assert sorted(trial.endings()) == [Ending.CANCELLED] * 3 + [Ending.EOF]


@contextmanager
def interrupt_after(seconds):
    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("driver", SYNC_DRIVERS, ids=repr)
@pytest.mark.parametrize("acts", [[HANG], chunked(LINES, end=[HANG])], ids=["head", "body"])
def test_interrupted(trial, server, driver, acts):
    server.on("/v1/x", acts)

    async def scenario():
        pieces = []
        async with driver.client() as client:
            with pytest.raises(KeyboardInterrupt), interrupt_after(0.08):
                async with driver.within(client.stream("GET", f"{server.url}/v1/x")) as response:
                    await driver.gather(driver.pieces(response, "raw"), pieces)
        return pieces

    trial.check(scenario)
    assert trial.endings() == [Ending.CANCELLED]


def test_every_driver_is_here():
    assert {driver.id for driver in DRIVERS} == {"httpx-sync", "httpx2-sync", "httpx-async", "httpx2-async"}
