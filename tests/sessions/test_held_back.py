"""A strict replay holds back every host that the recording had, however it was started."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import rewind_auto
from rewind_auto.boot import launch
from rewind_auto.core.errors import RewindReplayDivergenceError

ROOT = Path(rewind_auto.__file__).parents[1]


@pytest.fixture
def recorded(ask, server, monkeypatch):
    """Something that was recorded at a host of the user's, which the environment does not name any more."""
    with rewind_auto.session("recorded"):
        ask("hello")
    monkeypatch.delenv("REWIND_LLM_HOSTS")
    server.forget()
    yield
    assert server.seen == []


def test_in_a_session(recorded, ask):
    with rewind_auto.session(mode="replay", source="recorded"), pytest.raises(RewindReplayDivergenceError):
        ask("something else")


def test_after_install(recorded, ask):
    rewind_auto.install(mode="replay", source="recorded")
    try:
        with pytest.raises(RewindReplayDivergenceError):
            ask("something else")
        assert ask("hello") == "1: hello"
    finally:
        rewind_auto.uninstall()


def program(source, *arguments, **variables):
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join((launch.inject_dir(), str(ROOT))), **variables}
    command = [sys.executable, "-c", textwrap.dedent(source), *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


ASK = """
    import sys, httpx2
    for text in sys.argv[2:]:
        print(httpx2.post(sys.argv[1] + "/v1/chat/completions", content=text).text)
"""


def test_by_the_variables(recorded, server):
    variables = {"REWIND_MODE": "replay", "REWIND_FROM": "recorded"}
    done = program(ASK, server.url, "hello", "something else", **variables)
    assert done.stdout == '"1: hello"\n'
    assert "strict replay: step 2 has no recorded answer" in done.stderr


def test_a_program_cannot_uninstall_it(recorded, server):
    source = (
        "import rewind_auto\nrewind_auto.uninstall()\nassert rewind_auto.is_installed()\n"
        + textwrap.dedent(ASK)
    )
    done = program(source, server.url, "something else", REWIND_MODE="replay", REWIND_FROM="recorded")
    assert (done.stdout, done.returncode) == ("", 1)
    assert "RewindReplayDivergenceError" in done.stderr


def test_what_openai_agents_tells_of_itself_is_taken_and_forgotten(recorded, server, kept):
    source = """
        import sys, httpx2
        print(httpx2.post(sys.argv[1] + "/v1/traces/ingest", json={"data": []}).status_code)
    """
    done = program(
        source, server.url, REWIND_MODE="replay", REWIND_FROM="recorded", REWIND_SESSION_NAME="again"
    )
    assert (done.stdout, done.stderr, done.returncode) == ("204\n", "", 0)
    assert "again" not in kept()
