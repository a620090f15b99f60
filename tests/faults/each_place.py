"""Runs a program of a few calls once for each place of the agent, with that place failing, and tells of it.

    python each_place.py DRIVER MODE ERROR

It prints JSON: for each place what the program saw otherwise than without the agent (``wrong``), the requests
that went out in a mode that lets none out (``out``), and the lines on stderr (``said``).
"""

from __future__ import annotations

import failing  # isort: skip - before anything of the agent

import builtins
import faulthandler
import io
import json
import sys
import tempfile
import uuid
from collections.abc import Callable
from contextlib import redirect_stderr
from contextvars import copy_context
from pathlib import Path
from typing import Any

sys.path[1:1] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "contract")]
from drivers import DRIVERS, Driver  # noqa: E402
from servers import CUT, Acts, Seen, Server, answer, chunked, sse  # noqa: E402
from trial import Trial, differences, without_secrets  # noqa: E402

from rewind_auto.core import guard  # noqa: E402

_MEMORY = Path("/dev/shm")
_LONGEST = 100  # seconds; one place that makes the program wait for ever ends all of it
points = failing.points


def program(driver: Driver, server: Server) -> Callable[[], Any]:
    """Calls of every kind: buffered, streamed, with a streamed upload, left, broken off, refused."""

    async def scenario() -> list[Any]:
        url = server.url

        async def ask(path: str, manner: str, content: Any, **options: Any) -> Any:
            return await driver.exchange(client, "POST", url + path, manner, content=content, **options)

        asked = b'{"model":"gpt-5","messages":[{"role":"user","content":"%b"}]}'
        async with driver.client(timeout=5) as client:
            return [
                await ask("/v1/chat/completions", "buffered", asked % b"one"),
                await ask("/v1/chat/completions", "lines", asked % b"two"),
                await ask("/v1/chat/completions", "raw", driver.upload([b"a", b"b"])),
                await ask("/v1/chat/completions", "raw", asked % b"left", take=1),
                await ask("/v1/broken", "bytes", asked % b"cut"),
                await ask("/v1/late", "buffered", b"{}"),
            ]

    return scenario


def serve(server: Server) -> None:
    def chat(seen: Seen) -> Acts:  # by what is asked: in some modes not all calls go out
        if b"one" in seen.body:
            return answer({"id": "1", "model": "gpt-5", "choices": []})
        return sse('{"id":"2"}', '{"id":"3"}')

    server.on("/v1/chat/completions", chat)
    server.on("/v1/broken", chunked([b"data: 1\n\n"], end=[CUT]))
    server.on("/v1/late", answer({"error": {"message": "slow down"}}, 429))


def each(trial: Trial, server: Server, mode: str, error: type[BaseException]) -> list[dict[str, Any]]:
    scenario = program(trial.driver, server)
    plain = without_secrets(trial.plain(scenario)[0])
    sent = received(server)
    options: dict[str, Any] = {}
    if mode != "record":
        trial.record(scenario)
        options = {"source": trial.session} if mode != "cache" else {}

    def run() -> tuple[list[str], list[Any], list[str]]:
        guard._seen.clear()
        server.forget()
        said = io.StringIO()
        with redirect_stderr(said):
            try:
                with trial.agent(mode, uuid.uuid4().hex, **options) as agent, points.armed():  # type: ignore[arg-type]
                    seen: Any = copy_context().run(trial.driver.run, scenario())
                    if agent._runtime is not None:
                        agent._runtime.close()  # as at the exit of the program
            except BaseException as raised:  # noqa: BLE001 - whatever it is, it is what the program sees
                seen = f"{type(raised).__name__}: {raised}"
        wrong = differences(plain, without_secrets(seen))
        return (
            wrong,
            received(server),
            [line for line in said.getvalue().splitlines() if line[:11] == "rewind-auto"],
        )

    run()  # what is done once only is done
    points.passed.clear()
    wrong, out, said = run()
    assert (wrong, said) == ([], [])
    assert out == sent if mode == "record" else len(out) < len(sent)
    points.error = error
    found = []
    for place in sorted(points.passed):
        points.failing, points.failed = place, 0
        wrong, out, said = run()
        points.failing = ""
        if mode == "record":
            wrong += differences(sent, out)
        found.append(
            {
                "place": place.removeprefix("rewind_auto."),
                "failed": points.failed,
                "wrong": [line[-400:] for line in wrong],
                "out": [str(one) for one in out] if mode == "replay" else [],
                "said": said,
            }
        )
    return found


def received(server: Server) -> list[Any]:
    return sorted((one.head, one.raw) for one in server.seen)


def main(name: str, mode: str, error: str) -> None:
    faulthandler.dump_traceback_later(_LONGEST, exit=True)
    driver = next(driver for driver in DRIVERS if driver.id == name)
    memory = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as directory, Server() as server:
        serve(server)
        trial = Trial(driver, Path(directory) / "a.db", server)
        json.dump(each(trial, server, mode, getattr(builtins, error)), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
