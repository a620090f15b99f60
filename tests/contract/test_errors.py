"""Errors of the transport: raised, recorded, and raised again as the client's own."""

from __future__ import annotations

import time

import pytest
from drivers import HTTPX_DRIVERS
from servers import HANG, Server, answer, chunked
from trial import differences

from rewind_auto.core.model import Ending


@pytest.fixture(params=["buffered", "raw", "lines"])
def manner(request):
    return request.param


def asking(driver, url, manner, **options):
    async def scenario():
        async with driver.client() as client:
            return await driver.exchange(client, "POST", url, manner, content=b"{}", **options)

    return scenario


def check(trial, driver, scenario, error, status=None):
    plain, _ = trial.plain(scenario)
    assert issubclass(plain.error["type"], driver.errors[error])
    [step] = trial.check(scenario)
    assert driver.names(step.error, plain.error)
    assert step.status == status
    assert not step.complete
    assert trial.endings() == [Ending.FAULT]


def test_refused(trial, driver, manner):
    with Server() as gone:
        pass
    check(trial, driver, asking(driver, f"{gone.url}/v1/x", manner), "refused")


def test_read_timeout_before_the_head(trial, server, driver, manner):
    server.on("/v1/x", [HANG])
    scenario = asking(driver, f"{server.url}/v1/x", manner, timeout=0.05)
    check(trial, driver, scenario, "timeout of the answer")


def test_read_timeout_midway(trial, server, driver, manner):
    server.on("/v1/x", chunked([b"one\n", b"two\n"], end=[HANG]))
    scenario = asking(driver, f"{server.url}/v1/x", manner, timeout=0.15)
    check(trial, driver, scenario, "timeout of the body", 200)
    assert trial.recording().body == b"one\ntwo\n"


def test_timeout_of_the_connection(trial, server, driver, manner):
    """A server that takes the connection and then does not speak TLS."""
    server.converse = lambda connection: server.perform(HANG, connection)
    scenario = asking(driver, f"{server.url.replace('http:', 'https:')}/v1/x", manner, timeout=0.05)
    check(trial, driver, scenario, "timeout of the connection")


def test_a_port_that_is_none(trial, driver):
    """The libraries take any number for a port, and leave it to the system to refuse."""
    scenario = asking(driver, "http://127.0.0.1:123456/v1/x", "buffered")
    plain, _ = trial.plain(scenario)
    recorded, _ = trial.record(scenario)
    assert differences(plain, recorded) == []
    for step in trial.steps():  # some refuse it before they ask for a connection
        assert driver.names(step.error, plain.error)


def test_no_protocol_of_ours(trial, driver):
    plain, _ = trial.plain(asking(driver, "gopher://127.0.0.1/v1/x", "buffered"))
    assert plain.error["text"]
    trial.check(asking(driver, "gopher://127.0.0.1/v1/x", "buffered"))


@pytest.mark.parametrize("driver", HTTPX_DRIVERS, ids=repr)
def test_a_request_that_cannot_be_sent(trial, server, driver):
    """A protocol error found while the request is written. Some releases let h11's own through."""
    server.on("/v1/x", answer(1))

    async def scenario():
        headers = {"Content-Length": "7"}
        async with driver.client() as client:
            return await driver.exchange(client, "POST", f"{server.url}/v1/x", content=b"{}", headers=headers)

    trial.check(scenario)
    assert trial.endings() == [Ending.FAULT]


def test_tried_again_by_the_program(trial, server, driver):
    """An error, then an answer to the same request: in that order again."""
    server.on("/v1/x", [HANG], [HANG], answer("at last"))

    async def scenario():
        seen = []
        async with driver.client() as client:
            for _ in range(3):
                url = f"{server.url}/v1/x"
                seen.append(await driver.exchange(client, "POST", url, content=b"{}", timeout=0.15))
        return seen

    plain, _ = trial.plain(scenario)
    assert [bool(got.error) for got in plain] == [True, True, False]
    assert [bool(step.error) for step in trial.check(scenario)] == [True, True, False]


def test_recorded_timeouts_do_not_take_their_time_again(trial, server, driver):
    server.on("/v1/x", [HANG])
    scenario = asking(driver, f"{server.url}/v1/x", "buffered", timeout=0.6)
    trial.record(scenario)
    started = time.perf_counter()
    trial.replay(scenario)
    assert time.perf_counter() - started < 0.5
