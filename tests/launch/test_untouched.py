"""A program that calls no LLM host is, with the agent in it, the program that it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from launching import LAUNCHER, PY, ROOT, Launch, Place
from servers import answer

from rewind_auto.boot.launch import inject_dir
from rewind_auto.settings import OPTIONS

# Not "--hosts 127.0.0.1": the server is nobody that we know.
AGENT = LAUNCHER[:-2]

INVENTORY = """
import atexit, gc, json, locale, os, signal, sys, threading, warnings
def kind(descriptor):
    try:
        target = os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:  # that of the listing itself
        return None
    return target if target.startswith("/") else target.partition(":")[0]
logging = sys.modules.get("logging")
asyncio = sys.modules.get("asyncio.events")
print(json.dumps({
    "modules": sorted(sys.modules),
    "threads": [thread.name for thread in threading.enumerate()],
    "tasks": len(os.listdir("/proc/self/task")),
    "descriptors": sorted(filter(None, map(kind, os.listdir("/proc/self/fd")))),
    "handlers": {number.name: str(signal.getsignal(number)) for number in signal.valid_signals()
        if isinstance(number, signal.Signals) and signal.getsignal(number) != signal.SIG_DFL},
    "masked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "wakeup": signal.set_wakeup_fd(-1),
    "timers": signal.getitimer(signal.ITIMER_REAL),
    "hooks": [sys.excepthook is sys.__excepthook__, sys.unraisablehook is sys.__unraisablehook__,
        threading.excepthook is threading.__excepthook__, sys.displayhook is sys.__displayhook__,
        sys.gettrace(), sys.getprofile(), sys.breakpointhook is sys.__breakpointhook__],
    "functions": [f"{module.__name__}.{name} {getattr(value, '__module__', '')}"
        for module in (os, sys, signal, threading)
        for name, value in vars(module).items() if callable(value)],
    "exits": atexit._ncallbacks(),
    "finders": [getattr(finder, "__name__", type(finder).__name__) for finder in sys.meta_path],
    "path": sys.path,
    "path hooks": len(sys.path_hooks),
    "environ": dict(os.environ),
    "arguments": [sys.argv, sys.orig_argv],
    "warnings": [str(entry) for entry in warnings.filters],
    "logging": logging and [str(logging.root.handlers), logging.root.level, logging.lastResort.level],
    "loop policy": asyncio and str(type(getattr(asyncio, "_event_loop_policy", 0))),
    "interpreter": [sys.getrecursionlimit(), sys.getswitchinterval(), gc.get_threshold(), gc.isenabled(),
        gc.get_freeze_count(), str(sys.flags), locale.setlocale(locale.LC_ALL), os.umask(0o22), os.getcwd(),
        sys.getdlopenflags(), sys.get_coroutine_origin_tracking_depth(), str(sys.get_asyncgen_hooks())],
    "streams": [str(stream).replace(hex(id(stream)), "") for stream in (sys.stdin, sys.stdout, sys.stderr)],
}))
"""
CALLS = {
    "nothing": "",
    "httpx": "import httpx; httpx.get({url!r}, trust_env=False)",
    "httpx2": "import httpx2; httpx2.get({url!r}, trust_env=False)",
    "requests": "import requests; requests.get({url!r})",
    "aiohttp": """
import aiohttp, asyncio
async def main():
    async with aiohttp.ClientSession() as session, session.get({url!r}) as response:
        await response.read()
asyncio.run(main())
""",
}

# What may be there that was not.
ROOMS = {"adapters", "boot", "core", "driver", "inner", "providers", "settings", "values"}
STANDARD = {"requests": "\nimport contextvars, dataclasses", "aiohttp": "\nimport dataclasses"}
ENVIRON = {"PYTHONPATH", *(option.variable for option in OPTIONS)}


def inventory(place: Place, source: str, *launcher: str, **variables: str) -> dict[str, Any]:
    place.server.on("/", answer("hello"))
    launch = Launch([PY, "-"], stdin=source + INVENTORY, variables={"NO_PROXY": "*", **variables})
    done = place.start(launch, *launcher)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check(plain: dict[str, Any], ours: dict[str, Any]) -> None:
    """Nothing differs but what is listed here."""
    added = set(ours.pop("modules")) - set(plain.pop("modules"))
    assert {name for name in added if not name.startswith("rewind_auto")} <= {"sitecustomize"}
    assert {part for name in added for part in name.split(".")[1:2]} <= ROOMS
    assert "Tripwire" in ours["finders"]
    ours["finders"].remove("Tripwire")
    assert inject_dir() in ours["path"]
    ours["path"].remove(inject_dir())
    if str(ROOT) not in plain["path"]:  # a checkout that is not installed comes last
        assert ours["path"][-1] == str(ROOT)
        ours["path"].pop()
    for name in ENVIRON:
        ours["environ"].pop(name, None)
        plain["environ"].pop(name, None)
    assert ours == plain


@pytest.mark.parametrize("library", CALLS)
def test_is_as_a_plain_one(place: Place, library: str) -> None:
    source = CALLS[library].format(url=place.server.url)
    check(inventory(place, source + STANDARD.get(library, "")), inventory(place, source, *AGENT))
    assert place.server.connections == (0 if library == "nothing" else 2)
    assert not place.store.parent.exists()


def test_whatever_would_be_done_with_a_call(place: Place) -> None:
    """With a mode that looks up, an exporter and further hosts, none of which is met."""
    source = CALLS["httpx"].format(url=place.server.url)
    variables = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp"}
    words = ["--cache", "--otlp", "http://127.0.0.1:9", "--hosts", "a.test", "--tools", "b.test"]
    plain = inventory(place, source, **variables)
    check(plain, inventory(place, source, *AGENT, *words, **variables))
    assert not place.store.parent.exists()


def test_in_a_program_that_uses_no_http_we_are_three_modules(place: Place) -> None:
    plain, ours = inventory(place, ""), inventory(place, "", *AGENT)
    assert set(ours["modules"]) - set(plain["modules"]) - {"sitecustomize"} == {
        "rewind_auto",
        "rewind_auto.boot",
        "rewind_auto.boot.tripwire",
    }
