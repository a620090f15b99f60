"""A session recorded with one library, replayed into another: the request is what counts."""

from __future__ import annotations

import gzip
import uuid

import brotli
import pytest
from drivers import DRIVERS, HTTPX_ASYNC, HTTPX_SYNC, AiohttpDriver, RequestsDriver
from servers import CUT, HANG, Server, answer, chunked, head, reply

from rewind_auto.core.model import Decision

TEXT = "Grüße, 世界 🦜\n".encode() * 40
TYPE = ("Content-Type", "text/plain; charset=utf-8")
PAIRS = [(one, two) for one in DRIVERS for two in DRIVERS if one is not two]


def packed(coding):
    body = {"gzip": gzip.compress, "br": brotli.compress}[coding](TEXT)
    return [body[at : at + 30] for at in range(0, len(body), 30)]


ANSWERS = {
    "json": answer({"id": 1}),
    "chunked": chunked([b"one\n", b"two\n", b"three\n"], [TYPE], pause=0.002),
    "gzip": reply(b"".join(packed("gzip")), headers=[TYPE, ("Content-Encoding", "gzip")]),
    "gzip-chunked": chunked(packed("gzip"), [TYPE, ("Content-Encoding", "gzip")]),
    "br-chunked": chunked(packed("br"), [TYPE, ("Content-Encoding", "br")]),
    "no-content": reply(status=204, reason="No Content"),
    "error": answer({"error": {"message": "no"}}, 429, Retry_After="1"),
    "until-the-end": [head(200, [TYPE, ("Connection", "close")]), TEXT, CUT],
}


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0].id}-to-{pair[1].id}")
def pair(request):
    return request.param


@pytest.fixture
def driver(pair):
    return pair[0]


def asking(driver, server, manner, **options):
    async def scenario():
        async with driver.client(**options) as client:
            return await driver.exchange(client, "POST", f"{server.url}/v1/x", manner, content=b'{"a":1}')

    return scenario


def in_the_other(trial, pair, server, manner, **options):
    """What the second library gets of a recording made with the first, and what it got live."""
    first, second = pair
    live = second.run(asking(second, server, manner, **options)())
    server.forget()
    trial.record(asking(first, server, manner, **options))
    trial.driver = second
    replayed = trial.replay(asking(second, server, manner, **options))
    assert [step.library for step in trial.steps(trial.replaying)] == [second.library]
    return live, replayed


@pytest.mark.parametrize("manner", ["buffered", "bytes", "lines"])
@pytest.mark.parametrize("name", ANSWERS)
def test_the_same_answer(trial, pair, server, name, manner):
    server.on("/v1/x", ANSWERS[name])
    live, replayed = in_the_other(trial, pair, server, manner)
    assert replayed.error is None
    assert replayed.body == live.body
    assert replayed.response["status"] == live.response["status"]
    assert replayed.response["reason"] == live.response["reason"]
    assert replayed.response["class"] is live.response["class"]
    told = headers(replayed)
    if "content-encoding" in told:
        assert told["content-encoding"] == headers(live)["content-encoding"]
    if "content-length" in told and "content-encoding" not in told:
        assert int(told["content-length"]) == len(live.body)
    assert told.get("content-type") == headers(live).get("content-type")


def headers(got):
    text = lambda value: value.decode() if isinstance(value, bytes) else value  # noqa: E731
    return {text(name).lower(): text(value) for name, value in got.response["headers"]}


@pytest.mark.parametrize("manner", ["buffered", "bytes"])
@pytest.mark.parametrize("trouble", ["refused", "no answer", "timeout", "broken", "timeout of the body"])
def test_the_same_trouble(trial, pair, server, trouble, manner):
    """As an error of the library that replays it, of the kind that this library has for it."""
    acts = {
        "no answer": [CUT],
        "timeout": [HANG],
        "broken": chunked([b"one\n"], end=[0.01, CUT]),
        "timeout of the body": chunked([b"one\n"], end=[HANG]),
    }
    server.on("/v1/x", acts.get(trouble, []))
    if trouble == "refused":
        with Server() as gone:
            pass
        trial.served, server = [], gone
    live, replayed = in_the_other(trial, pair, server, manner, timeout=0.15)
    assert live.error
    known = {
        "refused": pair[1].errors["refused"],
        "timeout": pair[1].errors["timeout of the answer"],
        "timeout of the body": pair[1].errors["timeout of the body"],
    }
    assert issubclass(replayed.error["type"], known.get(trouble, live.error["type"].__mro__[-4]))


@pytest.mark.parametrize(
    "pair", [(HTTPX_ASYNC[1], AiohttpDriver()), (HTTPX_SYNC[0], RequestsDriver())], ids=str
)
def test_chunks_stay_chunks(trial, pair, server):
    """Taken apart and decoded piece by piece, not all at once."""
    server.on("/v1/x", chunked(packed("gzip"), [TYPE, ("Content-Encoding", "gzip")], pause=0.002))
    _, replayed = in_the_other(trial, pair, server, "bytes")
    assert len(replayed.pieces) > 1


def test_four_libraries_in_one_session(server, store_path):
    """Each call knows which library made it, and any of them may make it again."""
    from trial import Trial

    server.on("/v1/x", lambda seen: answer(seen.body.decode()))
    drivers = [*HTTPX_SYNC, RequestsDriver(), AiohttpDriver()]
    trial = Trial(drivers[0], store_path, server)

    def calls(turn):
        async def one(driver, number):
            async with driver.client() as client:
                return await driver.exchange(client, "POST", f"{server.url}/v1/x", content=b"%d" % number)

        return [d.run(one(d, n)).body for n, d in enumerate(drivers[turn:] + drivers[:turn])]

    def run(mode, turn, **options):
        with trial.agent(mode, uuid.uuid4().hex, **options) as agent:
            for driver in drivers[1:]:
                driver.install(agent)
            try:
                bodies = calls(turn)
            finally:
                for driver in drivers[1:]:
                    driver.uninstall()
            return bodies, list(agent.runtime().store.steps(agent.settings.session_id))

    recorded, steps = run("record", 0)
    assert [step.library for step in steps] == ["httpx", "httpx2", "requests", "aiohttp"]
    server.stop()
    replayed, steps = run("replay", 2, source=steps[0].session)
    assert replayed == recorded
    assert {step.decision for step in steps} == {Decision.HIT}
