"""Programs that run other programs, test suites or cells, and what they are run on: three times each."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from dap import Debugger
from launching import LAUNCHER, PY
from otlp_sink import OtlpSink
from serving import PROGRAMS, Left, environ, free_port, lines, recorded_words, running

SUITE = ["anyio asyncio", "anyio trio", "asyncio", "fails", "one", "three", "two"]


@dataclass(frozen=True)
class Done:
    code: int
    out: list[str]
    err: list[str]


@pytest.fixture
def three(server, store_path, tmp_path) -> Callable[..., Done]:
    """Run a command plain, recorded, and replayed with nobody there to answer; it must do the same each time.

    What it asks must be kept, each question once. ``inside`` is where the launcher goes, if not in front.
    """

    def run(command: Sequence[str], words: Sequence[str], inside: int = 0) -> Done:
        def once(*launcher: str) -> Done:
            done = subprocess.run(
                [*command[:inside], *launcher, *command[inside:]],
                env=environ({"ASK_URL": server.url, "HOME": str(tmp_path)}),
                cwd=tmp_path,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )
            return Done(done.returncode, lines(done.stdout), lines(done.stderr))

        plain = once()
        assert once(*LAUNCHER, "--name", "live") == plain
        assert recorded_words(store_path) == [("live", "completed", sorted(words))]
        server.stop()
        assert once(*LAUNCHER, "--name", "again", "--replay", "live") == plain
        assert recorded_words(store_path)[1:] == [("again", "completed", sorted(words))]
        return plain

    return run


@pytest.mark.parametrize(
    "options", [(), pytest.param(("-n", "2"), marks=pytest.mark.slow)], ids=["alone", "xdist"]
)
def test_pytest(three, tmp_path, options):
    shutil.copy(PROGRAMS / "suite.py", tmp_path)
    words = ("-m", "pytest", "-p", "no:cacheprovider", "-v", *options, "suite.py")
    done = three([PY, *words], SUITE)
    assert done.code == 1
    assert any("'fails' == 'nothing'" in line for line in done.out)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["outside", "inside"])
@pytest.mark.parametrize("launcher", ["ddtrace-run", "opentelemetry-instrument"])
@pytest.mark.parametrize("runner", ["pytest", "started kernels", "launched kernel"])
@pytest.mark.usefixtures("tracers")
def test_runners_below_other_launchers(three, python, tmp_path, runner, launcher, place):
    """The launcher is around us, or between us and the runner; or so in front of a kernel alone."""
    tracer = [python, str(Path(python).with_name(launcher))]
    shutil.copy(PROGRAMS / "suite.py", tmp_path)
    suite = [python, "-m", "pytest", "-p", "no:cacheprovider", "-v", "suite.py"]
    tests = SUITE
    if launcher == "ddtrace-run":  # with ddtrace 4.16 anyio loses connections, without us too
        suite += ["-k", "not below"]
        tests = ["fails", "one", "three", "two"]
    notebook = [python, str(PROGRAMS / "notebook.py")]
    words = ["one", "two", "three", "four", "five", "six"]
    command, inside, asked = {
        "pytest": ([*tracer, *suite], 0, tests),
        "started kernels": ([*tracer, *notebook, "2"], 0, words),
        "launched kernel": ([*notebook, "1", *tracer], len(notebook) + 1, words[:5]),
    }[runner]
    done = three(command, asked, inside + (len(tracer) if place == "outside" else 0))
    assert done.code == (runner == "pytest")


def test_event_loops(three):
    loops = ("asyncio", "uvloop", "trio", "anyio on asyncio", "anyio on trio")
    words = [f"{loop} {number}" for loop in loops for number in range(3)]
    assert three([PY, str(PROGRAMS / "loops.py")], words).code == 0


@pytest.mark.slow
@pytest.mark.parametrize(("kernels", "inside"), [(2, 0), (1, 3)], ids=["started", "launched"])
def test_jupyter_kernels(three, python, kernels, inside):
    """Started by a program that is recorded, one after the other; or recorded by itself."""
    words = ["one", "two", "three", "four", "five", "six"][: 4 + kernels]
    done = three([python, str(PROGRAMS / "notebook.py"), str(kernels)], words, inside)
    assert done.code == 0
    assert {"stdout one", "result 'two'", "error ZeroDivisionError"} <= set(done.out)


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["gevent", "eventlet"])
def test_greenlets(three, python, tool):
    words = ["one", "two", "three", "child", "parent"]
    done = three([python, str(PROGRAMS / "greenlets.py"), tool], words)
    assert (done.code, done.out) == (0, ["child", "one two three", "parent"])


@pytest.mark.slow
def test_joblib(three, python):
    words = ["main", "one", "two", "three", "four", "started"]
    assert three([python, str(PROGRAMS / "children.py"), "joblib"], words).code == 0


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocess(three, python, method):
    words = ["main", "one", "two", "three", "four", "started"]
    done = three([python, str(PROGRAMS / "children.py"), "multiprocess", method], words)
    assert (done.code, done.out) == (0, ["main", "one two three four", "started"])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_spans_of_multiprocess(server, python, method):
    """Of workers too, which are ended as soon as their results are there."""
    with OtlpSink() as sink:
        program = (python, str(PROGRAMS / "children.py"), "multiprocess", method)
        command = [*LAUNCHER, "--otlp", sink.url, *program]
        done = subprocess.run(
            command,
            env=environ({"ASK_URL": server.url}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert len({span.span_id for span in sink.spans}) == len(server.seen) == 6


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_divergence_in_a_pool_of_multiprocess(server, python, tmp_path, method):
    """It is raised where the result is waited for, as in one of multiprocessing."""

    def run(*options, words=()):
        return subprocess.run(
            [*LAUNCHER, *options, python, str(PROGRAMS / "children.py"), "multiprocess", method, *words],
            env=environ({"ASK_URL": server.url, "HOME": str(tmp_path)}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert run("--name", "live").returncode == 0
    asked = len(server.seen)
    replayed = run("--replay", "live", words=["one", "something else", "three", "four"])
    assert (replayed.returncode, replayed.stdout) == (86, "main\n")
    assert "RewindReplayDivergenceError" in replayed.stderr
    assert len(server.seen) == asked


@pytest.mark.slow
def test_coverage(three, python, tmp_path):
    """Of a program, its forked children and those that it starts; each run is measured to the same lines."""
    for name in ("children.py", "asking.py"):
        shutil.copy(PROGRAMS / name, tmp_path)
    (tmp_path / ".coveragerc").write_text(COVERAGE)
    measured = f"{python} -m coverage"
    script = f"{measured} run children.py pool && {measured} combine -q && {measured} report --show-missing"
    words = ["main", "one", "two", "three", "four", "started"]
    done = three(["sh", "-c", script], words)
    assert done.code == 0
    assert any("children.py" in line for line in done.out)


COVERAGE = """
[run]
source = .
parallel = true
concurrency = multiprocessing
patch = subprocess
"""


@pytest.mark.slow
def test_debugpy(server, python, store_path, tmp_path):
    """A stop, a look at what was answered, and a question asked from the debugger."""
    program = PROGRAMS / "stepped.py"
    line = program.read_text().split("# here")[0].count("\n") + 1

    def debugged(*launcher: str) -> tuple[Left, str, str]:
        port = free_port()
        words = ("-m", "debugpy", "--listen", f"127.0.0.1:{port}", "--wait-for-client", str(program))
        command = [*launcher, python, *words]
        with running(command, tmp_path / f"run{launcher[-2:]}", ASK_URL=server.url) as debuggee:
            with Debugger(port) as debugger:
                debugger.ask("initialize", clientID="test", adapterID="debugpy", pathFormat="path")
                attached = debugger.send("attach", justMyCode=True)
                debugger.event("initialized")
                debugger.ask("setBreakpoints", source={"path": str(program)}, breakpoints=[{"line": line}])
                debugger.ask("configurationDone")
                debugger.answer(attached)
                thread = debugger.event("stopped")["threadId"]
                frame = debugger.ask("stackTrace", threadId=thread)["stackFrames"][0]
                assert frame["line"] == line
                seen, asked = (
                    debugger.ask("evaluate", expression=code, frameId=frame["id"], context="repl")["result"]
                    for code in ("said", "ask('three')")
                )
                debugger.ask("continue", threadId=thread)
                debugger.event("terminated")
            return debuggee.end(), seen, asked

    plain = debugged()
    assert plain == (Left(3, ["one", "two"], plain[0].err), "'one'", "'three'")
    assert debugged(*LAUNCHER, "--name", "live") == plain
    assert recorded_words(store_path) == [("live", "completed", ["one", "three", "two"])]
    server.stop()
    assert debugged(*LAUNCHER, "--name", "again", "--replay", "live") == plain
    assert recorded_words(store_path)[1:] == [("again", "completed", ["one", "three", "two"])]
