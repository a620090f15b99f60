"""Putting the adapter in and taking it out."""

from __future__ import annotations

import httpx
import httpx2
import pytest
from drivers import HTTPX_DRIVERS
from servers import answer

from rewind_auto.adapters import httpx as adapter
from rewind_auto.core.model import Mode


@pytest.fixture(params=HTTPX_DRIVERS, ids=repr)
def driver(request):
    return request.param


SEAMS = [(module, name) for module in (httpx, httpx2) for name in ("Client", "AsyncClient")]


def seams():
    return [getattr(module, name).__dict__["_transport_for_url"] for module, name in SEAMS]


@pytest.fixture(autouse=True)
def nothing_is_left():
    before = seams()
    yield
    assert seams() == before


def test_everything_is_put_back(trial):
    before = seams()
    with trial.agent(Mode.RECORD, "a" * 32):
        assert seams() != before
        assert adapter.is_installed(trial.driver.module)
    assert [now is then for now, then in zip(seams(), before, strict=True)] == [True] * 4
    assert not adapter.is_installed(trial.driver.module)


def test_twice_is_once(trial, server, driver):
    server.on("/v1/x", answer(1))

    async def scenario():
        async with driver.client() as client:
            return await driver.exchange(client, "GET", f"{server.url}/v1/x")

    with trial.agent(Mode.RECORD, "a" * 32) as agent:
        once = seams()
        driver.install(agent)
        assert seams() == once
        driver.run(scenario())
        driver.uninstall()
        assert not adapter.is_installed(driver.module)
        driver.run(scenario())
        assert len(agent.runtime().store.steps("a" * 32)) == 1
    assert len(server.seen) == 2


def test_a_transport_that_others_look_at(trial, driver):
    """Debuggers and mocking libraries ask a client for its transport too, and for what only that one has."""

    class Named(driver.HTTPTransport):
        own_name = "mine"

    async def scenario():
        async with driver.client(transport=Named()) as client:
            return client._transport_for_url(driver.module.URL("http://127.0.0.1/")).own_name

    assert trial.record(scenario)[0] == trial.plain(scenario)[0] == "mine"


def test_one_family_does_not_touch_the_other(trial):
    other = httpx if trial.driver.module is httpx2 else httpx2
    with trial.agent(Mode.RECORD, "a" * 32):
        assert not adapter.is_installed(other)


def test_both_families_at_once(trial, server, driver):
    """Each replays what it recorded, and either what the other did: the request is what counts."""
    server.on("/v1/x", answer(1), answer(2))
    other = httpx if driver.module is httpx2 else httpx2

    async def scenario():
        async with driver.client() as client:
            mine = await driver.exchange(client, "POST", f"{server.url}/v1/x", content=b"mine")
        with other.Client(trust_env=False) as client:
            response = client.post(f"{server.url}/v1/x", content=b"other")
        return mine, response.content, list(response.headers.raw), type(response)

    with trial.agent(Mode.RECORD, "a" * 32) as agent:
        adapter.install(other, agent)
        recorded = driver.run(scenario())
        adapter.uninstall(other)
        steps = agent.runtime().store.steps("a" * 32)
    assert [step.library for step in steps] == [driver.module.__name__, other.__name__]
    server.stop()
    with trial.agent(Mode.REPLAY, "b" * 32, source="a" * 32) as agent:
        adapter.install(other, agent)
        replayed = driver.run(scenario())
        adapter.uninstall(other)
    assert replayed == recorded


def test_recorded_by_one_family_and_replayed_by_the_other(trial, server, driver):
    server.on("/v1/x", answer({"a": 1}))
    other = httpx if driver.module is httpx2 else httpx2

    async def scenario():
        async with driver.client() as client:
            return await driver.exchange(client, "POST", f"{server.url}/v1/x", content=b"{}")

    recorded, _ = trial.record(scenario)
    server.stop()
    with trial.agent(Mode.REPLAY, "b" * 32, source=trial.session) as agent:
        adapter.install(other, agent)
        with other.Client(trust_env=False) as client:
            response = client.post(f"{server.url}/v1/x", content=b"{}")
        adapter.uninstall(other)
    assert (response.content, type(response)) == (recorded.body, other.Response)


def test_without_the_seam_the_transports_are_wrapped(trial, server, driver, monkeypatch):
    """A release that has renamed the private method: default transports are covered all the same."""
    cls, original = driver.Client, driver.Client.__dict__["_transport_for_url"]
    monkeypatch.setattr(cls, "_another_name", original, raising=False)
    monkeypatch.delattr(cls, "_transport_for_url")

    # The client itself still finds its transport, by whatever name.
    monkeypatch.setattr(cls, "__getattr__", _renamed, raising=False)
    server.on("/v1/x", answer(1))

    async def scenario():
        async with driver.client() as client:
            return await driver.exchange(client, "POST", f"{server.url}/v1/x", content=b"{}")

    trial.check(scenario)
    assert len(server.seen) == 1
    monkeypatch.undo()


def _renamed(client, name):
    if name == "_transport_for_url":
        return client._another_name
    raise AttributeError(name)
