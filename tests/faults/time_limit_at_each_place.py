"""Runs a few calls once for each place of the agent, with a time limit that ends there, and tells of it.

    python time_limit_at_each_place.py LIBRARY MODE

The limit is a signal whose handler raises an ordinary exception. It prints JSON: for each place what became
of each call (``calls``), and the lines on stderr (``said``).
"""

from __future__ import annotations

import failing  # isort: skip - before anything of the agent

import faulthandler
import io
import json
import signal
import sys
import tempfile
import uuid
from contextlib import redirect_stderr
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

sys.path[1:1] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "contract")]
from drivers import DRIVERS  # noqa: E402
from servers import Server, answer  # noqa: E402
from trial import Trial  # noqa: E402

from rewind_auto.core import guard  # noqa: E402

_LONGEST = 100  # seconds
points = failing.points


class Late(TimeoutError):  # noqa: N818 - as in programs
    pass


def late(_signal: int, _frame: FrameType | None) -> None:
    raise Late


def is_late(error: BaseException | None) -> bool:
    """Or what the library makes of it, as of any other error of the system."""
    return error is not None and (isinstance(error, Late) or is_late(error.__cause__ or error.__context__))


def calls(library: Any, url: str) -> list[str]:
    client = library.Session() if library.__name__ == "requests" else library.Client()
    found = []
    for number in range(3):
        body = {"model": "m", "messages": [{"role": "user", "content": str(number)}]}
        try:
            found.append(str(client.post(f"{url}/v1/chat/completions", json=body, timeout=5).status_code))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the program sees
            found.append("Late" if is_late(error) else type(error).__name__)
    client.close()
    return found


def each(trial: Trial, server: Server, library: Any, mode: Any) -> list[dict[str, Any]]:
    def run() -> tuple[list[str], list[str]]:
        guard._seen.clear()
        said = io.StringIO()
        with redirect_stderr(said), trial.agent(mode, uuid.uuid4().hex):
            with points.armed():
                found = calls(library, server.url)
            found += calls(library, server.url)
        return found, said.getvalue().splitlines()

    run()
    run()  # what is done once only is done, and a cache is filled
    points.passed.clear()
    assert run() == (["200"] * 6, [])
    points.alarm = signal.SIGUSR1
    signal.signal(signal.SIGUSR1, late)
    found = []
    for place in sorted(points.passed):
        points.failing, points.failed = place, 0
        outcome, said = run()
        points.failing = ""
        found.append(
            {
                "place": place.removeprefix("rewind_auto."),
                "failed": points.failed,
                "calls": outcome,
                "said": said,
            }
        )
    return found


def main(name: str, mode: str) -> None:
    faulthandler.dump_traceback_later(_LONGEST, exit=True)
    driver = next(driver for driver in DRIVERS if driver.id == name)
    library = import_module(name.partition("-")[0])
    with tempfile.TemporaryDirectory() as directory, Server() as server:
        server.on("/v1/chat/completions", answer({"id": "1", "model": "m", "choices": []}))
        json.dump(each(Trial(driver, Path(directory) / "a.db", server), server, library, mode), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
