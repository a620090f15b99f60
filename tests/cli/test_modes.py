"""``rewind-run --fork`` and ``--cache``, with whole programs."""

from __future__ import annotations

import json
import sys
import textwrap

import pytest

from rewind_auto.core.model import Decision
from rewind_auto.store import open_store

PROGRAM = """
    import sys
    import httpx2
    said = "hello"
    for turn in range(3):
        asked = f"{turn} {said} {' '.join(sys.argv[2:])}"
        body = {"model": "m", "messages": [{"role": "user", "content": asked}]}
        answer = httpx2.post(sys.argv[1], json=body)
        said = answer.json()["choices"][0]["message"]["content"][:20]
        print(said)
"""


@pytest.fixture
def run(rewind_run, provider, tmp_path, store_path):
    """Runs the program: ``run("--fork", "last@2")``; words after ``say=`` go into its prompts."""
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))

    def start(*options, say="", **variables):
        url = f"{provider.url}/v1/chat/completions"
        return rewind_run(
            "--hosts", "127.0.0.1", *options, sys.executable, "program.py", url, *say.split(), **variables
        )

    return start


@pytest.fixture
def latest(store_path):
    def look():
        store = open_store(str(store_path))
        session = store.sessions()[0]
        steps = store.steps(session.id)
        store.close()
        return session, [step.decision for step in steps]

    return look


def sessions(store_path):
    store = open_store(str(store_path))
    try:
        return store.sessions()
    finally:
        store.close()


def test_a_fork(run, latest):
    recorded = run("--name", "first")
    assert (recorded.returncode, recorded.stderr) == (0, "")
    source, _ = latest()
    forked = run("--fork", "last@2")
    assert (forked.returncode, forked.stderr) == (0, "")
    session, decisions = latest()
    assert decisions == [Decision.HIT, Decision.RECORD, Decision.RECORD]
    assert (session.parent, session.fork_step, session.mode) == (source.id, 2, "fork")
    again = run("--replay", "last")  # the fork: what it was served and what it recorded
    assert (again.returncode, again.stdout) == (0, forked.stdout)


def test_a_fork_at_the_first_change(run, latest):
    run()
    assert run("--fork", "last", say="differently").returncode == 0
    session, decisions = latest()
    assert decisions == [Decision.MISS, Decision.RECORD, Decision.RECORD]
    assert session.fork_step == 1


def test_a_fork_by_the_variables(run, latest):
    run("--name", "first")
    assert run(REWIND_MODE="fork", REWIND_FROM="first@3").returncode == 0
    assert latest()[1] == [Decision.HIT, Decision.HIT, Decision.RECORD]


def test_a_step_that_is_not_there(run, latest):
    run("--name", "first")
    done = run("--fork", "first@5")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "rewind-run: session first has 3 steps: it cannot be forked at 5\n"
    done = run("--fork", "nosuch@1")
    assert done.returncode == 2
    assert "no session is called 'nosuch'" in done.stderr
    assert latest()[0].name == "first"


def test_info_on_a_fork(run):
    run("--name", "first")
    done = run("--fork", "first@2", "--info")
    assert "fork" in done.stdout
    assert "first" in done.stdout


def test_the_cache(run, latest, provider):
    first = run("--cache")
    assert latest()[1] == [Decision.MISS] * 3
    provider.stop()
    second = run("--cache")
    assert (second.returncode, second.stdout, second.stderr) == (0, first.stdout, "")
    assert latest()[1] == [Decision.HIT] * 3


def test_a_program_s_own_sessions_count_in_the_verdict(rewind_run, provider, tmp_path, store_path):
    source = """
        import sys
        import httpx2
        import rewind_auto
        for name in sys.argv[2:]:
            with rewind_auto.session(name):
                body = {"model": "m", "messages": [{"role": "user", "content": f"from {name}"}]}
                print(httpx2.post(sys.argv[1], json=body).status_code)
    """
    (tmp_path / "program.py").write_text(textwrap.dedent(source))
    url = f"{provider.url}/v1/chat/completions"
    program = (sys.executable, "program.py", url)
    assert rewind_run("--hosts", "127.0.0.1", *program, "a", "b").stdout == "200\n200\n"
    provider.stop()
    replay = ("--hosts", "127.0.0.1", "--replay", "last", *program)
    done = rewind_run(*replay, "a", "b")
    assert (done.returncode, done.stdout, done.stderr) == (0, "200\n200\n", "")
    done = rewind_run(*replay, "a")
    assert done.returncode == 86
    assert "1 recorded step never asked for" in done.stderr
    inside = [session.id for session in sessions(store_path) if session.name == "b"][-1]
    assert f"    step 1 of {inside[:8]}, a session inside: POST" in done.stderr
    done = rewind_run(*replay, "a", "b", "c")
    assert done.returncode == 86
    assert "has no session 'c'" in done.stderr


def test_a_replay_holds_back_the_hosts_that_were_recorded(rewind_run, provider, tmp_path):
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))
    program = (sys.executable, "program.py", f"{provider.url}/v1/chat/completions")
    recorded = rewind_run("--tools", "127.0.0.1", *program)
    provider.stop()
    for mode in ("--replay", "--fork"):
        done = rewind_run(mode, "last", *program)
        assert (done.returncode, done.stdout) == (0, recorded.stdout)


def test_also_those_of_a_replay_and_of_a_session_inside(rewind_run, provider, tmp_path):
    source = """
        import sys
        import httpx2
        import rewind_auto
        with rewind_auto.session("inner"):
            body = {"model": "m", "messages": [{"role": "user", "content": sys.argv[2]}]}
            print(httpx2.post(sys.argv[1], json=body).status_code)
    """
    (tmp_path / "program.py").write_text(textwrap.dedent(source))
    program = (sys.executable, "program.py", f"{provider.url}/v1/chat/completions")
    rewind_run("--hosts", "127.0.0.1", "--name", "outer", *program, "hello")
    assert rewind_run("--replay", "outer", "--name", "again", *program, "hello").returncode == 0
    sent = len(provider.requests)
    for ref in ("inner", "again"):
        assert rewind_run("--replay", ref, *program, "something else").returncode == 86
    assert len(provider.requests) == sent


def test_sessions_tell_where_they_come_from(run, launcher, environ, rewind_run):
    run("--name", "first")
    run("--fork", "first@2", "--name", "second")
    done = rewind_run("--off", sys.executable, "-m", "rewind_auto.cli.main", "sessions", "--json")
    second, first = json.loads(done.stdout)
    assert (second["parent"], second["fork_step"]) == (first["id"], 2)
    assert first["outer"] is None
