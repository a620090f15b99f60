"""Known failures of recorders with what a program sends; the rows are those of ``docs/limits.md``."""

from __future__ import annotations

import json
import threading

import pytest
from servers import answer, chunked

from rewind_auto.core import guard
from rewind_auto.core.errors import RewindReplayDivergenceError

CHAT = "/v1/chat/completions"
KEY, PASTED = "sk-proj-" + "0123456789abcdef" * 3, "sk-proj-" + "fedcba9876543210" * 3


def asking(driver, server, client=None, **options):
    async def scenario():
        async with driver.client(**(client or {})) as opened:
            made = {name: value() if callable(value) else value for name, value in options.items()}
            return await driver.exchange(opened, "POST", f"{server.url}{CHAT}", **made)

    return scenario


def sent(server):
    return server.seen[-1].body


class Waiting:
    """Parts of an upload, of which the second is made when the server has the first."""

    def __init__(self, server):
        self.arrived = threading.Event()
        self.held_back = []
        server.converse = self.converse

    def converse(self, connection):
        data = b""
        while b"model" not in data:
            data += connection.recv(65536)
        self.arrived.set()
        while not data.endswith(b"0\r\n\r\n"):
            data += connection.recv(65536)
        connection.sendall(answer("both")[0])

    def __iter__(self):
        yield b'{"model":"gpt-5",'
        self.held_back.append(not self.arrived.wait(2))
        yield b'"messages":[]}'


def test_l03_an_upload_from_an_iterator_is_recorded_and_not_held_back(trial, server, driver):
    parts = Waiting(server)
    scenario = asking(driver, server, content=lambda: driver.upload(parts))
    assert trial.record(scenario)[0].body == b'"both"'
    assert parts.held_back == [False]
    assert trial.recording().request.body == b'{"model":"gpt-5","messages":[]}'
    assert trial.steps()[0].model == "gpt-5"
    assert trial.replay(scenario).body == b'"both"'


def test_l29_a_json_body_is_recorded(trial, server, driver):
    """aiohttp was the one that lost it: to its own methods ``json=`` is no ``data=``."""
    server.on(CHAT, answer(1))
    asked = {"model": "gpt-5", "messages": [{"role": "user", "content": "Où ça ?"}]}
    [step] = trial.check(asking(driver, server, json=asked))
    assert step.model == "gpt-5"
    assert trial.recording().request.body == sent(server)
    assert json.loads(trial.recording().request.body) == asked
    with pytest.raises(RewindReplayDivergenceError, match="gpt-4"):
        trial.replay(asking(driver, server, json={**asked, "model": "gpt-4"}))


def test_l46_headers_of_the_session_and_parameters_are_recorded(trial, server, driver):
    server.on(CHAT, answer(1))
    scenario = asking(driver, server, {"headers": {"X-Team": "blue"}}, params={"v": "a b"}, content=b"{}")
    trial.check(scenario)
    request = trial.recording().request
    assert request.url == server.url + server.seen[-1].target
    assert request.url.endswith(("?v=a%20b", "?v=a+b"))
    assert (b"x-team", b"blue") in {(name.lower(), value) for name, value in request.headers}


class Raising:
    """Predicates that cannot decide."""

    def is_llm_call(self, request):
        raise ZeroDivisionError(f"{len(request.body)} bytes")

    def is_tool_call(self, _):
        return False


@pytest.mark.parametrize("predicates", [None, Raising()], ids=["by host", "a predicate raises"])
def test_l52_an_upload_to_a_foreign_host_is_not_read(trial, server, driver, predicates, monkeypatch, capsys):
    monkeypatch.setattr(guard, "_seen", set())
    trial.options["llm_hosts"] = ("llm.example",)
    trial.predicates = predicates
    parts = Waiting(server)
    recorded, _ = trial.record(asking(driver, server, content=lambda: driver.upload(parts)))
    assert (recorded.body, parts.held_back) == (b'"both"', [False])
    assert not trial.store.exists()
    told = capsys.readouterr().err
    assert told.count("ZeroDivisionError: 0 bytes") == (0 if predicates is None else 1)


def test_l52_a_body_from_a_foreign_host_is_not_read(trial, server, driver):
    """Nor is it in a replay."""
    trial.options["llm_hosts"] = ("llm.example",)
    arrived, held_back = threading.Event(), []

    def go_on(connection):
        held_back.append(not arrived.wait(2))
        connection.sendall(b"6\r\nsecond\r\n0\r\n\r\n")

    server.on(CHAT, [*chunked([b"first"], end=()), go_on])

    async def scenario():
        arrived.clear()
        async with (
            driver.client() as client,
            driver.opened(client, "POST", f"{server.url}{CHAT}", content=b"{}") as following,
        ):
            first = await following()
            arrived.set()
            return first, await following()

    for mode in ("record", "replay"):
        with trial.agent(mode, "a" * 32, source="never-needed"):
            assert driver.run(scenario()) == (b"first", b"second")
    assert held_back == [False, False]
    assert not trial.store.exists()


def test_l53_no_secret_of_a_request_is_written(trial, server, driver):
    """And a run with other keys is the same run."""
    server.on(CHAT, answer({"model": "gpt-5"}))

    def scenario(key):
        said = [{"role": "user", "content": f"my key is {PASTED}"}]
        body = json.dumps({"model": "gpt-5", "api_key": key, "messages": said})
        headers = {"Authorization": f"Bearer {key}", "X-Api-Key": key, "Cookie": f"session={key}"}
        return asking(driver, server, headers=headers, params={"key": key}, content=body.encode())

    trial.record(scenario(KEY))
    written = b"".join(path.read_bytes() for path in trial.store.parent.iterdir())
    request = trial.recording().request
    for secret in (KEY, PASTED):
        assert secret.encode() in sent(server)
        assert secret[8:24].encode() not in b"".join(
            [written, request.body, request.url.encode(), repr(request.headers).encode()]
        )
    assert b"my key is" in request.body
    assert trial.replay(scenario("sk-proj-" + "another-key-" * 4)).response["status"] == 200
