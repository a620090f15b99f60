"""Hosts that are no LLM's: not read, not wrapped, not written down."""

from __future__ import annotations

import threading

import pytest
from drivers import HTTPX_DRIVERS, MANNERS
from servers import answer, chunked
from trial import differences

from rewind_auto.core.model import Kind


class Predicate:
    """A user's predicates, from one function."""

    def __init__(self, is_llm_call):
        self.is_llm_call = is_llm_call

    def is_tool_call(self, _):
        return False


@pytest.fixture(autouse=True)
def nobody_is_an_llm(trial):
    trial.options["llm_hosts"] = ("llm.example",)


def asking(driver, server, **options):
    async def scenario():
        async with driver.client() as client:
            made = {name: make() for name, make in options.items()}
            return [
                await driver.exchange(client, "POST", f"{server.url}/v1/x", m, **made) for m in MANNERS[:1]
            ]

    return scenario


@pytest.mark.parametrize("mode", ["record", "replay"])
@pytest.mark.parametrize("manner", MANNERS)
def test_are_left_alone(trial, server, driver, manner, mode):
    """In a replay too: it is the LLM that is not there, not the rest of the world."""
    server.on("/v1/x", chunked([b"one\n", b"two\n"], pause=0.001))

    async def scenario():
        async with driver.client() as client:
            return await driver.exchange(client, "POST", f"{server.url}/v1/x", manner, content=b"{}")

    plain, sent = trial.plain(scenario)
    trial._forget()
    with trial.agent(mode, "a" * 32, source="never-needed"):
        assert differences(plain, driver.run(scenario())) == []
    assert trial._sent() == sent
    assert not trial.store.exists()


@pytest.mark.parametrize("mode", ["record", "replay"])
@pytest.mark.parametrize("driver", HTTPX_DRIVERS, ids=repr)
def test_the_transport_is_the_clients_own(trial, driver, mode):
    """Nothing of ours is in the way of such a request: no wrapper, no tee."""

    async def scenario():
        async with driver.client() as client:
            foreign, ours = (
                driver.module.URL(f"http://{host}/v1/x") for host in ("localhost", "llm.example")
            )
            assert client._transport_for_url(foreign) is client._transport
            assert client._transport_for_url(ours) is not client._transport

    with trial.agent(mode, "a" * 32, source="never-needed"):
        driver.run(scenario())


@pytest.mark.parametrize("mode", ["record", "replay"])
def test_an_upload_is_not_read_by_us(trial, server, driver, mode):
    """The server tells when it has the first part, and only then is there a second."""
    arrived = threading.Event()

    def converse(connection):
        data = b""
        while b"first" not in data:
            data += connection.recv(65536)
        arrived.set()
        while not data.endswith(b"0\r\n\r\n"):
            data += connection.recv(65536)
        connection.sendall(answer("both")[0])

    server.converse = converse

    class Parts:
        def __iter__(self):
            yield b"first"
            assert arrived.wait(5), "somebody read the upload ahead"
            yield b"second"

    scenario = asking(driver, server, content=lambda: driver.upload(Parts()))
    with trial.agent(mode, "a" * 32, source="never-needed"):
        [got] = driver.run(scenario())
    assert got.body == b'"both"'


def test_named_with_its_port(trial, server, driver):
    server.on("/v1/x", answer(1))
    trial.options["llm_hosts"] = (f"127.0.0.1:{server.port}",)
    trial.record(asking(driver, server))
    assert len(trial.steps()) == 1
    trial.options["llm_hosts"] = (f"127.0.0.1:{server.port - 1}",)
    trial.record(asking(driver, server))
    assert trial.store.exists()
    assert server.seen
    with trial._reading() as store:
        assert [session.steps for session in store.sessions()] == [1]


# --- predicates


def test_a_predicate_adds_a_host(trial, server, driver):
    server.on("/v1/x", answer(1))
    seen = []
    trial.predicates = Predicate(lambda request: seen.append(request) or request.url.endswith("/v1/x"))
    [step] = trial.check(asking(driver, server, content=lambda: b'{"model":"m"}'))
    assert step.kind in (Kind.LLM, Kind.HTTP)
    assert {request.body for request in seen} == {b'{"model":"m"}'}
    assert {request.method for request in seen} == {"POST"}


def test_a_predicate_that_says_no(trial, server, driver):
    server.on("/v1/x", answer(1))
    trial.predicates = Predicate(lambda _: False)
    plain, sent = trial.plain(asking(driver, server))
    assert trial.record(asking(driver, server)) == (plain, sent)
    assert not trial.store.exists()


def test_a_predicate_that_raises_says_no(trial, server, driver, capsys, monkeypatch):
    from rewind_auto.core import guard

    monkeypatch.setattr(guard, "_seen", set())
    server.on("/v1/x", answer(1), answer(2))

    def broken(request):
        raise ZeroDivisionError("whoops")

    trial.predicates = Predicate(broken)

    async def scenario():
        return [await asking(driver, server)() for _ in range(2)]

    plain, sent = trial.plain(scenario)
    assert trial.record(scenario) == (plain, sent)
    told = capsys.readouterr().err
    assert told.count("ZeroDivisionError: whoops") == 1
    assert "counts as false" in told


@pytest.mark.parametrize("mode", ["record", "replay"])
def test_an_upload_that_a_predicate_declines(trial, server, driver, mode):
    """Sent whole, whoever has looked at it."""
    server.on("/v1/x", answer(1))
    trial.predicates = Predicate(lambda _: False)
    server.forget()
    with trial.agent(mode, "a" * 32, source="never-needed"):
        [got] = driver.run(asking(driver, server, content=lambda: driver.upload([b"a", b"b"]))())
    assert got.body == b"1"
    assert [seen.body for seen in server.seen] == [b"ab"]
