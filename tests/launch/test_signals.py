"""Signals and the terminal reach a program, and its end reaches the shell, as if nobody were in between."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from launching import LAUNCHER, PY, ROOT, Launch, Place

pytestmark = pytest.mark.timeout(40)
RUNS = {
    "plain": (),
    "recorded": LAUNCHER,
    "replayed": (*LAUNCHER, "--replay", "last", "--allow-unused"),
}

# Makes a call, says what it hears, and ends with 7 at SIGTERM.
LISTENER = """
import resource, signal, termios
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
before = termios.tcgetattr(0)
names = ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGCONT", "SIGUSR1")
heard = [getattr(signal, name) for name in names]
said = ask("hello")
same = [signal.getsignal(number) for number in heard] == [signal.default_int_handler] + [signal.SIG_DFL] * 5
# Waited for and not handled: a handler may run only when the next system call returns.
signal.pthread_sigmask(signal.SIG_BLOCK, heard)
def say(*words): os.write(1, (" ".join(map(str, words)) + "\\n").encode())
say(said, same, os.isatty(0), os.tcgetpgrp(0) == os.getpgrp(), termios.tcgetattr(0) == before)
say(input())
number = 0
while number != signal.SIGTERM:
    number = signal.sigwait(heard)
    say(number.name)
os._exit(7)
"""
SLEEPER = "\nimport time; os.write(1, ask('hello\\n').encode())\nwhile True: time.sleep(0.05)\n"

Shell = Callable[..., object]


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Children can be interrupted even where the tests run in the background of a shell."""
    numbers = (signal.SIGINT, signal.SIGQUIT)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def shell(place: Place) -> Shell:
    """A terminal, a shell on it, the program in its foreground: the keyboard, a line, the job's id."""

    @contextmanager
    def start(run: str, source: str) -> Iterator[tuple[int, Callable[[], str], int]]:
        if run == "replayed":
            done = place.start(Launch([PY, "-c", f"{place.ask}ask('hello'); ask('hello\\n')"]), *LAUNCHER)
            assert (done.returncode, done.stderr) == (0, "")
        program = [PY, place.write("agent.py", place.ask + source)]
        master, slave = pty.openpty()
        environ = {name: value for name, value in os.environ.items() if name != "REWIND_TESTING"}
        with subprocess.Popen(
            [PY, str(ROOT / "tests" / "cli" / "job_control.py"), *RUNS[run], *program],
            env={**environ, "REWIND_STORE": str(place.store)},
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=slave,
            text=True,
            start_new_session=True,
        ) as process:
            os.close(slave)
            assert process.stdout is not None
            line = process.stdout.readline
            job = int(line().split()[1])
            try:
                yield master, lambda: line().strip(), job
            finally:
                for group in (job, process.pid):
                    with suppress(ProcessLookupError):
                        os.killpg(group, signal.SIGKILL)
                with suppress(OSError):
                    os.close(master)

    return start


@pytest.mark.parametrize("run", RUNS)
def test_keys_and_signals(shell: Shell, run: str) -> None:
    with shell(run, LISTENER) as (keyboard, told, job):
        assert told() == "hello True True True True"
        os.write(keyboard, b"typed\n")
        assert told() == "typed"
        for key, heard in ((b"\x03", "SIGINT"), (b"\x1c", "SIGQUIT")):
            os.write(keyboard, key)
            assert told() == heard
        os.write(keyboard, b"\x1a")
        assert told() == f"stopped {signal.SIGTSTP.value}"
        assert told() == "SIGCONT"
        for name in ("SIGUSR1", "SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"):
            os.kill(job, getattr(signal, name))
            assert told() == name
        assert told() == "ended 7"


@pytest.mark.parametrize("run", ["recorded", "replayed"])
def test_a_terminal_that_hangs_up(shell: Shell, run: str) -> None:
    with shell(run, LISTENER) as (keyboard, told, job):
        assert told().startswith("hello")
        os.write(keyboard, b"typed\n")
        assert told() == "typed"
        os.close(keyboard)
        heard = {told(), told()}  # the shell that dies with it leaves an orphaned group, which is continued
        assert "SIGHUP" in heard
        os.kill(job, signal.SIGTERM)


@pytest.mark.parametrize("run", ["recorded", "replayed"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_death(shell: Shell, run: str, number: signal.Signals) -> None:
    with shell(run, SLEEPER) as (_, told, job):
        assert told() == "hello"
        os.kill(job, number)
        assert told() == f"ended {-number}"
