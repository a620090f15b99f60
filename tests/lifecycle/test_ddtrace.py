"""ddtrace, in an environment of its own that REWIND_TEST_TOOLS_PYTHON names the interpreter of.

It has to have ddtrace, the four libraries and the checkout.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest
from calling import WAYS, library
from servers import Server

from rewind_auto.store import open_store

PYTHON = os.environ.get("REWIND_TEST_TOOLS_PYTHON", "")
DDTRACE = (PYTHON, str(Path(PYTHON).parent / "ddtrace-run"))
REWIND = (PYTHON, "-m", "rewind_auto.cli.run", "--hosts", "127.0.0.1")
PROGRAM = str(Path(__file__).with_name("dd_program.py"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PYTHON, reason="REWIND_TEST_TOOLS_PYTHON does not name an interpreter with ddtrace"
    ),
]


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """An agent of theirs that takes everything, and nothing else of what it does on its own."""
    with Server() as agent:
        monkeypatch.setenv("DD_TRACE_AGENT_URL", agent.url)
        monkeypatch.setenv("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
        monkeypatch.setenv("DD_REMOTE_CONFIGURATION_ENABLED", "false")
        monkeypatch.setenv("DD_CRASHTRACKING_ENABLED", "false")
        yield


@pytest.mark.parametrize("first_off", ["tool", "us"])
@pytest.mark.parametrize("first_on", ["tool", "us"])
def test_both_at_work(said, first_on, first_off):
    alone = said("ddtrace", "alone", first_off, python=PYTHON)
    assert said("ddtrace", first_on, first_off, python=PYTHON) == alone


# With gevent installed, as it is here, ddtrace-run unloads what it has imported, for gevent to patch it anew.
# From then on there are two asyncios, of Python's parts and of C's: anyio cannot catch what is raised.
@pytest.mark.parametrize("unloads", ["auto", "false"])
@pytest.mark.parametrize("order", [DDTRACE + REWIND, REWIND + DDTRACE], ids=["outside", "inside"])
def test_one_below_the_other(start, server, store_path, monkeypatch, order, unloads):
    monkeypatch.setenv("DD_UNLOAD_MODULES_FROM_SITECUSTOMIZE", unloads)

    def run(*launcher):
        done = start(PROGRAM, server.url, launcher=launcher, python=PYTHON)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    alone = run(*DDTRACE)
    assert len(alone) == 2 * len(WAYS)
    answered = [way for way in WAYS if f"{way} answer" in alone]
    assert answered == list(WAYS) or unloads == "auto"
    assert {"httpx", "httpx2", "requests", "aiohttp"} <= set(answered)
    assert run(*order) == alone
    with closing(open_store(str(store_path))) as store:
        (session,) = store.sessions()
        steps = store.steps(session.id)
        assert [step.library for step in steps] == [library(way) for way in WAYS]
        assert [way for way, step in zip(WAYS, steps, strict=True) if step.complete] == answered
    server.stop()
    place = order.index("--hosts")
    assert run(*order[:place], "--replay", "last", *order[place:]) == alone
