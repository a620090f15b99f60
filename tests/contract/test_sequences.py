"""Several calls of one program: which recorded answer is whose."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from drivers import ASYNC_DRIVERS, MANNERS, TRIO_DRIVERS
from servers import HANG, answer, chunked, reply

from rewind_auto.core import guard
from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.core.model import Decision, Ending, Mode

TOO_MANY = reply(b"slow down", 429, [("Retry-After", "30")], reason="Too Many Requests")


def asking(driver, server, *bodies, path="/v1/x", **client_options):
    """One request after the other over one client."""

    async def scenario():
        async with driver.client(**client_options) as client:
            url = f"{server.url}{path}"
            return [await driver.exchange(client, "POST", url, content=body) for body in bodies]

    return scenario


def test_equal_requests_get_their_answers_in_order(trial, server, driver):
    server.on("/v1/x", *(answer(number) for number in range(6)))
    steps = trial.check(asking(driver, server, *[b'{"same":true}'] * 6))
    assert [step.step for step in steps] == [1, 2, 3, 4, 5, 6]
    assert [trial.recording(number).body for number in range(1, 7)] == [b"%d" % n for n in range(6)]


def test_equal_requests_among_others(trial, server, driver):
    server.on("/v1/x", *(answer(number) for number in range(7)))
    trial.check(asking(driver, server, b"a", b"b", b"a", b"c", b"b", b"a", b"a"))


def test_asked_in_another_order(trial, server, driver):
    server.on("/v1/x", lambda seen: answer(seen.body.decode()))
    trial.record(asking(driver, server, b"a", b"b", b"c"))
    replayed = trial.replay(asking(driver, server, b"c", b"a", b"b"))
    assert [got.body for got in replayed] == [b'"c"', b'"a"', b'"b"']


def test_over_many_clients(trial, server, driver):
    server.on("/v1/x", *(answer(number) for number in range(3)))

    async def scenario():
        seen = []
        for _ in range(3):
            async with driver.client() as client:
                seen.append(await driver.exchange(client, "GET", f"{server.url}/v1/x"))
        return seen

    trial.check(scenario)
    assert trial.replay(scenario)


def test_streams_that_are_open_at_once(trial, server, driver):
    """Read in turns, and finished in another order than they were begun in."""
    server.on("/v1/x", lambda seen: chunked([seen.body + b"1", seen.body + b"2"]))

    async def scenario():
        async with driver.client() as client:
            url = f"{server.url}/v1/x"
            async with (
                driver.opened(client, "POST", url, content=b"a") as first,
                driver.opened(client, "POST", url, content=b"b") as second,
            ):
                return [await second(), await first(), await first(), await second(), await second()]

    steps = trial.check(scenario)
    assert [trial.recording(step.step).request.body for step in steps] == [b"a", b"b"]


def test_asked_more_often_than_recorded(trial, server, driver):
    server.on("/v1/x", answer(1))
    trial.record(asking(driver, server, b"a", b"b"))
    with pytest.raises(RewindReplayDivergenceError, match="each of its answers is already used") as caught:
        trial.replay(asking(driver, server, b"a", b"a"))
    assert caught.value.step == 2


def test_never_asked_for(trial, server, driver):
    server.on("/v1/x", answer(1))
    trial.record(asking(driver, server, b"a", b"b"))
    trial.replay(asking(driver, server, b"a"), clean=False)
    with trial._reading() as store:
        verdict = store.verdict(trial.replaying)
    assert [step.step for step in verdict.unused] == [2]
    assert verdict.blocked == []


@pytest.fixture
def giving_up(server, monkeypatch):
    """A program whose second call is cancelled when the first is answered: at once, in a replay."""
    monkeypatch.setattr(guard, "_seen", set())  # each test has its own first line
    begun = threading.Event()

    def first(_):
        begun.wait(10)
        return answer(1)

    def second(_):
        begun.set()
        return [HANG]

    server.on("/v1/first", first)
    server.on("/v1/second", second)
    server.on("/v1/third", answer(3))

    def made(driver, third=b"third"):
        async def scenario():
            async with driver.client() as client:

                async def ask(path, body):
                    return await driver.exchange(client, "POST", f"{server.url}/v1/{path}", content=body)

                async def later():
                    await asyncio.sleep(0.05)
                    await ask("second", b"second")

                task = asyncio.create_task(later())
                seen = [await ask("first", b"first")]
                task.cancel()
                await asyncio.wait([task])
                return [*seen, await ask("third", third)]

        return scenario

    return made


@pytest.mark.parametrize("order", ["any", "recorded"])
@pytest.mark.parametrize("driver", ASYNC_DRIVERS, ids=repr)
def test_cancelled_before_an_answer_came(trial, driver, giving_up, order, capfd):
    recorded, _ = trial.record(giving_up(driver))
    assert trial.endings() == [Ending.EOF, Ending.CANCELLED, Ending.EOF]
    trial.options["order"] = order
    assert trial.replay(giving_up(driver)) == recorded
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("driver", ASYNC_DRIVERS, ids=repr)
def test_cancelled_before_an_answer_came_and_before_the_cut_of_a_fork(trial, driver, giving_up, capfd):
    trial.record(giving_up(driver))
    _, steps = trial.run_as(Mode.FORK, giving_up(driver, b"changed"), source=f"{trial.session}@3")
    assert [step.decision for step in steps] == [Decision.HIT, Decision.RECORD]
    assert capfd.readouterr().err == ""


def test_something_else_is_asked(trial, server, driver):
    """Nothing is sent, `except Exception` does not catch it, and it is on the record."""
    server.on("/v1/x", answer(1))
    trial.record(asking(driver, server, b'{"model":"a","messages":[{"role":"user","content":"one"}]}'))

    async def scenario():
        async with driver.client() as client:
            body = b'{"model":"a","messages":[{"role":"user","content":"two"}]}'
            with pytest.raises(RewindReplayDivergenceError) as caught:
                await driver.exchange(client, "POST", f"{server.url}/v1/x", content=body)
            return caught.value

    error = trial.replay(scenario, clean=False)
    assert not isinstance(error, Exception)
    assert (error.step, error.source_step) == (1, 1)
    assert error.diff == ({"path": "messages[0].content", "old": "one", "new": "two"},)
    assert '"one" → "two"' in str(error)
    assert [step.decision for step in trial.steps(trial.replaying)] == [Decision.BLOCKED]


def test_answers_are_tied_to_their_address(trial, server, driver):
    server.on("/v1/x", answer("x"))
    trial.record(asking(driver, server, b"a"))
    with pytest.raises(RewindReplayDivergenceError):
        trial.replay(asking(driver, server, b"a", path="/v1/y"))
    with pytest.raises(RewindReplayDivergenceError):
        trial.replay(asking(driver, server, b"a", path="/v1/x?q=1"))


def test_refused_and_tried_again(trial, server, driver):
    """429, 429, 200, the program waiting as long as it is told."""
    server.on("/v1/x", TOO_MANY, TOO_MANY, answer("done"))
    waits = []

    async def scenario():
        waits.clear()
        async with driver.client() as client:
            while True:
                got = await driver.exchange(client, "POST", f"{server.url}/v1/x", content=b"{}")
                headers = {_text(name).lower(): _text(value) for name, value in got.response["headers"]}
                if got.response["status"] != 429:
                    return got, len(waits)
                waits.append(float(headers["retry-after"]))

    trial.record(scenario)
    assert waits == [30, 30]
    started = time.perf_counter()
    trial.check(scenario)
    assert waits == [0, 0]
    assert time.perf_counter() - started < 5


def _text(name):
    return name.decode() if isinstance(name, bytes) else name


def test_a_recording_can_be_replayed_again_and_again(trial, server, driver):
    server.on("/v1/x", *(answer(number) for number in range(3)))
    scenario = asking(driver, server, b"a", b"a", b"a")
    first = trial.record(scenario)[0]
    for _ in range(3):
        assert trial.replay(scenario) == first


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("driver", TRIO_DRIVERS, ids=repr)
def test_on_another_event_loop(trial, server, driver, manner):
    server.on("/v1/x", chunked([b"one\n", b"two\n"], pause=0.002), TOO_MANY)

    async def scenario():
        async with driver.client() as client:
            url = f"{server.url}/v1/x"
            upload = driver.upload([b"a", b"b"])
            return [
                await driver.exchange(client, "POST", url, manner, content=upload),
                await driver.exchange(client, "POST", url, manner, content=b"{}"),
            ]

    assert len(trial.check(scenario)) == 2
    trial.options["speed"] = 1.0  # pauses of ours are on that loop too
    trial.replay(scenario)
