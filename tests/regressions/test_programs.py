"""Programs that were once disturbed, or recorded wrongly, end to end."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from rewind_auto.core.model import Decision, Ending, Mode
from rewind_auto.store import open_store

ROOT = Path(__file__).parents[2]
LAUNCHER = [sys.executable, "-m", "rewind_auto.cli.run", "--hosts", "127.0.0.1"]


@pytest.fixture
def run(tmp_path, provider):
    """Writes a program and runs it below ``rewind-run``, as users do: without REWIND_TESTING."""

    def start(source, *options, name="program.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(source))
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "*"}
        del environ["REWIND_TESTING"]
        command = [*LAUNCHER, *options, sys.executable, str(path), f"{provider.url}/v1/chat/completions"]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)

    return start


def kept(store_path):
    store = open_store(str(store_path))
    try:
        session = store.sessions()[-1]
        return session, [(step, store.recording(session.id, step.step)) for step in store.steps(session.id)]
    finally:
        store.close()


ASK = """
    import sys
    import httpx2
    body = {"model": "m", "messages": [{"role": "user", "content": "hello [words=30]"}]}
    print(httpx2.post(sys.argv[1], json=body).status_code)
"""


@pytest.mark.parametrize("name", ["last.py", "trace:x.py", "a\u200db.py", "a\u00a0b.py"])
def test_a_script_is_recorded_whatever_it_is_called(run, store_path, name):
    done = run(ASK, name=name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "200\n", "")
    session, steps = kept(store_path)
    assert len(steps) == 1
    assert run(ASK, "--replay", session.name, name=name).returncode == 0


STREAM = """
    import os, sys, time
    import httpx2
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hello [words=30]"}]}
"""


def test_a_forked_child_that_outlives_the_stream_leaves_its_recording_alone(run, store_path):
    done = run(
        STREAM
        + """
    with httpx2.stream("POST", sys.argv[1], json=body) as response:
        lines = response.iter_lines()
        next(lines)
        child = os.fork()
        if not child:
            time.sleep(0.5)
            sys.exit()
        print(len(list(lines)) > 20)
    os.waitpid(child, 0)
    """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
    _, [(step, recording)] = kept(store_path)
    assert (step.complete, recording.ending) == (True, Ending.EOF)


def test_a_stream_left_to_the_end_of_the_interpreter_says_nothing(run):
    """Made after our own exit handler ran, let go of when modules are taken apart."""
    done = run(
        STREAM
        + """
    import atexit
    def late():
        global client, response, lines
        client = httpx2.Client()
        response = client.send(client.build_request("POST", sys.argv[1], json=body), stream=True)
        class Closing:
            def __del__(self, response=response):
                response.close()
        lines = Closing()
        print(response.status_code)
    atexit.register(late)
    print(httpx2.post(sys.argv[1], json={**body, "stream": False}).status_code)
    """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "200\n200\n", "")


def test_an_endless_chain_of_tasks_does_not_grow_its_lanes(run, store_path):
    done = run(
        """
    import asyncio, sys
    import httpx2
    async def main():
        done = asyncio.Event()
        async with httpx2.AsyncClient() as client:
            async def tick(count):
                body = {"model": "m", "messages": [{"role": "user", "content": "the same"}]}
                await client.post(sys.argv[1], json=body)
                if count:
                    asyncio.get_running_loop().create_task(tick(count - 1))
                else:
                    done.set()
            tasks = [asyncio.create_task(tick(120))]
            await done.wait()
    asyncio.run(main())
    """
    )
    assert (done.returncode, done.stderr) == (0, "")
    lanes = [step.lane for step, _ in kept(store_path)[1]]
    assert len(set(lanes)) == len(lanes) == 121
    assert max(map(len, lanes)) < 100


def test_an_upload_above_the_limit_is_not_held_in_memory(run, store_path, monkeypatch):
    monkeypatch.setenv("REWIND_MAX_BODY", "1m")
    done = run(
        """
    import resource, sys
    import httpx2
    def upload():
        for _ in range(100):
            yield bytes(1 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(httpx2.post(sys.argv[1], content=upload(), timeout=30).status_code)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
    """
    )
    status, grown = done.stdout.split()
    assert (done.returncode, status, done.stderr) == (0, "400", "")
    assert int(grown) < 50  # MB
    _, [(step, recording)] = kept(store_path)
    assert (step.decision.value, recording) == ("bypass", None)


def test_an_agent_that_cannot_start_leaves_the_program_alone(run):
    source = """
    import sys
    import httpx2
    sys.modules["rewind_auto.runtime"] = None  # as after an upgrade under a running process
    for _ in range(2):
        print(httpx2.post(sys.argv[1], json={"model": "m", "messages": []}).status_code)
    """
    assert run(ASK).returncode == 0
    done = run(source)
    assert (done.returncode, len(done.stdout.split())) == (0, 2), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    replayed = run(source, "--replay", "last")
    assert (replayed.returncode, replayed.stdout) == (86, "")


@pytest.mark.parametrize(
    "cleared",
    [
        "os.environ.clear()",
        "os.environ = {}",
        "del os.environ['REWIND_MODE']",
        "os.environ.clear(); import rewind_auto; rewind_auto.install()",
    ],
)
def test_a_program_that_clears_its_environment(run, store_path, provider, cleared):
    """Before it imports a library: the operator asked, and a replay must not be turned into live calls."""
    source = f"""
    import os
    {cleared}
    {ASK}
    """
    assert run(source).returncode == 0
    assert len(kept(store_path)[1]) == 1
    provider.stop()
    replayed = run(source, "--replay", "last")
    assert (replayed.returncode, replayed.stdout, replayed.stderr) == (0, "200\n", "")


LOCKED = """
    import sqlite3, os, sys, threading, time
    import httpx2
    def lock(seconds):
        held = threading.Event()
        def hold():
            store = sqlite3.connect(os.environ["REWIND_STORE"], isolation_level=None)
            store.execute("BEGIN IMMEDIATE")
            held.set()
            time.sleep(seconds)
            store.execute("ROLLBACK")
        threading.Thread(target=hold, daemon=True).start()
        held.wait()
    def ask(text):
        body = {"model": "m", "messages": [{"role": "user", "content": text}]}
        return httpx2.post(sys.argv[1], json=body).status_code
"""


def test_a_divergence_that_meets_a_locked_store_counts(run):
    assert run(LOCKED + "\n    ask('one'); ask('two')\n").returncode == 0
    swallowing = """
    print(ask("one"))
    from rewind_auto.store import sqlite
    claim = sqlite.SqliteStore.claim
    def then_lock(*given, **named):  # between the look-up and the writing of what was missing
        found = claim(*given, **named)
        if found is None and "renamed" in str(given):
            lock(0.5)
        return found
    sqlite.SqliteStore.claim = then_lock
    try:
        ask("another")
    except BaseException as error:
        print(type(error).__name__, "nearest" in str(error))
    """
    done = run(LOCKED + swallowing, "--replay", "last", "--allow-unused")
    assert done.stdout == "200\nRewindReplayDivergenceError True\n"
    assert done.returncode == 86


def test_a_recorded_answer_that_cannot_be_served_counts(run, store_path):
    """As a divergence, though the program swallows what it is raised."""
    assert run(ASK).returncode == 0
    failing = """
    from rewind_auto.adapters import httpx_family
    def to_library(*given):
        raise KeyError("not today")
    httpx_family.Family.to_library = to_library
    try:
        httpx2.post(sys.argv[1], json=body)
    except BaseException as error:
        print(type(error).__name__)
    """
    program = ASK.replace("    print(httpx2.post(sys.argv[1], json=body).status_code)\n", failing)
    done = run(program, "--replay", "last")
    assert (done.returncode, done.stdout) == (86, "RewindReplayDivergenceError\n")
    with closing(open_store(str(store_path))) as store:
        (session,) = (one for one in store.sessions() if one.mode is Mode.REPLAY)
        said = [step.note for step in store.steps(session.id) if step.decision is Decision.BLOCKED]
    assert said == [
        "strict replay: nothing was sent: internal error in a recorded answer: KeyError: 'not today'"
    ]


def test_a_store_locked_at_exit_is_one_line(run):
    done = run(LOCKED + "\n    ask('one'); lock(30)\n")
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1
    assert "internal error" not in done.stderr


def test_a_daemon_thread_that_waits_at_exit_waits_again_in_a_replay(run):
    source = """
    import sys, threading, time
    import httpx2
    def ask(text):
        body = {"model": "m", "messages": [{"role": "user", "content": text}]}
        return httpx2.post(sys.argv[1], json=body, timeout=30).status_code
    print(ask("one"))
    threading.Thread(target=ask, args=("two [wait=20]",), daemon=True).start()
    time.sleep(0.5)
    sys.exit(3)
    """
    for mode in ([], ["--replay", "last"]):
        done = run(source, *mode)
        assert (done.returncode, done.stdout, done.stderr) == (3, "200\n", "")
