"""Whole programs under ``rewind-run``: nothing in them knows of it."""

from __future__ import annotations

import textwrap

import pytest
from programs import LAUNCHER, Runs
from servers import answer, sse

from rewind_auto.store import open_store


@pytest.fixture
def program(tmp_path, server):
    """Makes a program of its source."""

    def write(source):
        path = tmp_path / "program.py"
        path.write_text(textwrap.dedent(source))
        return Runs(path, server)

    return write


def steps(store_path):
    store = open_store(str(store_path))
    try:
        return store.steps(store.sessions()[-1].id)
    finally:
        store.close()


ALIASED = """
    import sys
    {imports}
    assert httpx is httpx2
    with httpx.Client(verify=False) as client:
        print(client.post(sys.argv[1] + "/v1/x", content=b"1").json())
    with httpx2.stream("POST", sys.argv[1] + "/v1/x", content=b"2", verify=False) as response:
        print(list(response.iter_lines()))
"""


@pytest.mark.parametrize(
    "imports",
    [
        "import httpx2; httpx2.alias_httpx(); import httpx",
        "from httpx2 import alias_httpx; alias_httpx(); import httpx, httpx2",
    ],
)
def test_one_family_under_both_names(program, server, store_path, imports):
    server.on("/v1/x", answer(1), sse("2"))
    assert program(ALIASED.format(imports=imports)).check()
    assert [step.library for step in steps(store_path)] == ["httpx2", "httpx2"]


def test_both_families_in_one_process(program, server, store_path):
    server.on("/v1/x", answer(1), sse("2"), answer(3))
    runs = program("""
        import asyncio, sys
        import httpx, httpx2
        url = sys.argv[1] + "/v1/x"
        print(httpx.post(url, content=b"1", verify=False).json())
        with httpx2.stream("POST", url, content=b"2", verify=False) as response:
            print(list(response.iter_lines()))

        async def main():
            async with httpx.AsyncClient(verify=False) as client:
                print((await client.post(url, content=b"3")).json())

        asyncio.run(main())
    """)
    assert runs.check()
    assert [step.library for step in steps(store_path)] == ["httpx", "httpx2", "httpx"]


def test_lanes_are_the_same_in_every_process(program, server, store_path):
    """Equal questions of tasks and threads that get unequal answers, each its own again."""
    server.on("/v1/x", *(answer(number) for number in range(12)))
    runs = program("""
        import asyncio, sys
        import httpx2

        async def conversation(client, name):
            for _ in range(3):
                print(name, (await client.post(sys.argv[1] + "/v1/x", content=b"{}")).json())

        async def main():
            async with httpx2.AsyncClient(verify=False) as client:
                await asyncio.gather(*(conversation(client, name) for name in "abcd"))

        asyncio.run(main())
    """)
    recorded = runs.run(*LAUNCHER, "--record")
    server.stop()
    replayed = runs.run(*LAUNCHER, "--replay", "last")
    assert sorted(replayed.stdout.splitlines()) == sorted(recorded.stdout.splitlines())
    assert len(recorded.stdout.splitlines()) == 12


SWALLOWING = """
    import sys
    import httpx2
    for word in sys.argv[2:] or ["one"]:
        try:
            print(httpx2.post(sys.argv[1] + "/v1/x", content=word, verify=False).json())
        except BaseException as error:
            print(type(error).__name__)
"""


def test_what_a_strict_run_answers_for(program, server):
    """A divergence that the program swallows, and a recorded call that it no longer makes."""
    server.on("/v1/x", answer(1))
    runs = program(SWALLOWING)
    assert runs.run(*LAUNCHER).stdout == "1\n"
    runs.program.write_text(runs.program.read_text().replace('"one"', '"two"'))
    replayed = runs.run(*LAUNCHER, "--replay", "last")
    assert replayed.returncode == 86
    assert replayed.stdout == "RewindReplayDivergenceError\n"
    assert "diverged" in replayed.stderr
    assert server.seen == []

    runs.program.write_text("import sys")
    assert runs.run(*LAUNCHER, "--replay", "last").returncode == 86
    assert runs.run(*LAUNCHER, "--replay", "last", "--allow-unused").returncode == 0


def test_calls_of_child_processes(program, server, store_path):
    server.on("/v1/x", lambda seen: answer(seen.target.rpartition("=")[2]))
    runs = program("""
        import subprocess, sys
        if len(sys.argv) == 2:
            for name in ("first", "second"):
                subprocess.run([sys.executable, *sys.argv, name], check=True)
        import httpx2
        name = sys.argv[2] if len(sys.argv) > 2 else "parent"
        print(httpx2.get(sys.argv[1] + "/v1/x", params={"n": name}, verify=False).text)
    """)
    assert runs.check() == '"first"\n"second"\n"parent"\n'
    assert len({step.session for step in steps(store_path)}) == 1
    assert len(steps(store_path)) == 3
