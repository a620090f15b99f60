"""``rewind-run --replay``: a parent that nobody notices, until it has a verdict to give."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from rewind_auto.core.model import Head, Mode, Recording, Request, Session, Step
from rewind_auto.store import open_store

PY = sys.executable
SOURCE = "5" * 32

# A program that says which signals it gets, and ends with 7 at SIGTERM.
LISTENER = """
import os, signal
names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGCONT", "SIGWINCH")
heard = [getattr(signal, name) for name in names]
# Waited for and not handled: a handler may run only when the next system call returns.
signal.pthread_sigmask(signal.SIG_BLOCK, heard)
os.write(1, b"up %d\\n" % os.getpid())
number = 0
while number != signal.SIGTERM:
    number = signal.sigwait(heard)
    os.write(1, number.name.encode() + b"\\n")
os._exit(7)
"""

# Leaves a blocked step in the session that it belongs to, as a strict replay does.
BLOCKED = """
import os
from contextlib import suppress
from rewind_auto.core.errors import StoreBusyError
from rewind_auto.core.model import Decision, Step
from rewind_auto.store import open_store
for note in ("model: a -> b", "another"):
    step = Step(os.environ["REWIND_SESSION_ID"], 0, decision=Decision.BLOCKED, note=note)
    step.method, step.url = "POST", "https://api.test/v1"
    attempt = open_store(os.environ["REWIND_STORE"]).prepare(step, None)
    while not step.step:
        with suppress(StoreBusyError):  # the parent is beginning the session
            attempt()
"""


@pytest.fixture
def source(store_path: Path) -> Path:
    """A store with a session that has no step: nothing to ask for, nothing left unasked."""
    store = open_store(str(store_path))
    store.begin(Session(SOURCE, name="source", started_at=1.0))
    store.finish(SOURCE, "completed")
    store.close()
    return store_path


@pytest.fixture
def source_of_seven(source: Path) -> Path:
    """The same, with seven recorded steps."""
    store = open_store(str(source))
    for number in range(7):
        request = Request("POST", f"https://api.test/v1/{number}", (), b"{}")
        step = Step(SOURCE, 0, method="POST", url=request.url, model="m", complete=True, status=200)
        store.prepare(step, Recording(request, Head(200, ()), b"{}", ((2, 1),)))()
    store.close()
    return source


@pytest.fixture
def replay(rewind_run):
    def start(*args, **variables):
        return rewind_run("--replay", "source", *args, **variables)

    return start


@pytest.fixture
def supervised(launcher, environ, source):
    """The listener under a supervisor: ``(process, read a line, pid of the listener)``."""

    @contextmanager
    def start(code=LISTENER, **options):
        words = [*launcher, "--replay", "source", PY, "-c", code]
        process = subprocess.Popen(
            words, env=environ, stdout=subprocess.PIPE, start_new_session=True, **options
        )
        try:
            line = process.stdout.readline().split()
            assert line[:1] == [b"up"], line
            yield process, lambda: process.stdout.readline().decode().strip(), int(line[1])
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    return start


def sessions(path: Path) -> list[Session]:
    store = open_store(str(path))
    found = store.sessions()
    store.close()
    return found


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def eventually(condition, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(condition())


@pytest.mark.usefixtures("source")
class TestPassesOn:
    def test_exit_code_and_streams(self, replay) -> None:
        done = replay("sh", "-c", "cat; echo err >&2; exit 5", stdin="in")
        assert (done.returncode, done.stdout, done.stderr) == (5, "in", "err\n")

    def test_open_files(self, launcher, environ, tmp_path) -> None:
        line = f"{' '.join(launcher)} --replay source sh -c 'echo x >&3' 3>out"
        subprocess.run(["sh", "-c", line], env=environ, cwd=tmp_path, check=True)
        assert (tmp_path / "out").read_text() == "x\n"

    def test_signals_are_as_the_shell_left_them(self, launcher, environ) -> None:
        command = ["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"]

        def masks(words):
            done = subprocess.run(words, capture_output=True, text=True, check=True, env=environ)
            # Without 32 and 33, which are glibc's own: its posix_spawn leaves them ignored.
            return [int(line.split()[1], 16) & ~(3 << 31) for line in done.stdout.splitlines()]

        assert masks([*launcher, "--replay", "source", *command]) == masks(command)

    @pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGINT", "SIGSEGV", "SIGUSR1"])
    def test_death_by_a_signal(self, replay, source, name) -> None:
        assert replay("sh", "-c", f"kill -{name[3:]} $$").returncode == -getattr(signal, name)
        assert sessions(source)[0].status == "interrupted"

    def test_death_leaves_no_core_of_its_own(self, replay, tmp_path) -> None:
        # Not a shell's kill: what a job in the background of a shell ignores, a shell below it cannot undo.
        quit_it = "signal.signal(signal.SIGQUIT, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGQUIT)"
        no_core = "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))"
        done = replay(PY, "-c", f"import os, resource, signal; {no_core}; {quit_it}")
        assert done.returncode == -signal.SIGQUIT
        assert list(tmp_path.glob("*core*")) == []

    def test_ignored_child_signal_loses_no_exit_code(self, launcher, environ) -> None:
        ignore = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN)"
        become = "os.execv(sys.argv[1], sys.argv[1:])"
        words = [PY, "-c", f"{ignore}; {become}", *launcher, "--replay", "source", "sh", "-c", "exit 5"]
        assert subprocess.run(words, env=environ, check=False).returncode == 5


class TestSignals:
    def test_sent_to_it_are_passed_on_once(self, supervised) -> None:
        with supervised() as (process, line, _):
            for name in ("SIGUSR1", "SIGINT", "SIGHUP", "SIGUSR1", "SIGWINCH"):
                process.send_signal(getattr(signal, name))
                assert line() == name
            process.send_signal(signal.SIGTERM)
            assert line() == "SIGTERM"
            assert process.wait(20) == 7
            assert line() == ""

    def test_sent_by_the_command_to_its_group_come_back_to_nobody(self, supervised) -> None:
        code = LISTENER.replace("number = 0", "number = 0; os.killpg(0, signal.SIGUSR1)")
        with supervised(code) as (process, line, _):
            assert line() == "SIGUSR1"
            process.send_signal(signal.SIGHUP)
            assert line() == "SIGHUP"

    def test_stop_and_continue(self, supervised) -> None:
        with supervised() as (process, line, child):
            # The group is orphaned, where a SIGTSTP stops nobody.
            os.kill(child, signal.SIGSTOP)
            assert eventually(lambda: state(process.pid) == "T")
            process.send_signal(signal.SIGCONT)
            assert line() == "SIGCONT"
            assert eventually(lambda: state(process.pid) == "S")

    def test_killed_command_takes_it_along(self, supervised) -> None:
        with supervised() as (process, _, child):
            os.kill(child, signal.SIGKILL)
            assert process.wait(20) == -signal.SIGKILL


@pytest.mark.usefixtures("source")
class TestTerminal:
    """Under a shell with job control, on a terminal of its own."""

    @pytest.fixture
    def shell(self, launcher, environ):
        @contextmanager
        def start(*command):
            master, slave = pty.openpty()
            words = [
                PY,
                str(Path(__file__).with_name("job_control.py")),
                *launcher,
                "--replay",
                "source",
                *command,
            ]
            with subprocess.Popen(
                words,
                env=environ,
                stdin=slave,
                stdout=subprocess.PIPE,
                stderr=slave,
                text=True,
                start_new_session=True,
            ) as process:
                os.close(slave)
                job = int(process.stdout.readline().split()[1])
                try:
                    yield master, lambda: process.stdout.readline().strip()
                finally:
                    for group in (job, process.pid):
                        with suppress(ProcessLookupError):
                            os.killpg(group, signal.SIGKILL)
                    os.close(master)

        return start

    def test_keys_reach_the_command_once(self, shell) -> None:
        with shell(PY, "-c", LISTENER) as (keyboard, told):
            assert told().startswith("up")
            # More than once: two of the same signal can become one before they are heard.
            for _ in range(20):
                os.write(keyboard, b"\x03")
                assert told() == "SIGINT"
                os.write(keyboard, b"\x1a")
                assert told() == f"stopped {signal.SIGTSTP.value}"
                assert told() == "SIGCONT"

    def test_interrupt_that_kills_the_command_kills_it(self, shell) -> None:
        with shell("sh", "-c", "echo up; exec sleep 60") as (keyboard, told):
            assert told() == "up"
            os.write(keyboard, b"\x03")
            assert told() == f"ended {-signal.SIGINT.value}"

    def test_the_command_has_the_terminal(self, shell) -> None:
        check = "import os; print('up', os.isatty(0), os.tcgetpgrp(0) == os.getpgrp(), flush=True)"
        code = f"{check}; print(input())"
        with shell(PY, "-c", code) as (keyboard, told):
            assert told() == "up True True"
            os.write(keyboard, b"typed\n")
            assert told() == "typed"
            assert told() == "ended 0"


@pytest.mark.usefixtures("source")
class TestVerdict:
    def test_clean(self, replay, source) -> None:
        done = replay(PY, "-c", "import os; print(os.environ['REWIND_FROM'], os.environ['REWIND_MODE'])")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.split() == [SOURCE, "replay"]
        session = sessions(source)[0]
        assert (session.mode, session.status, session.parent) == (Mode.REPLAY, "completed", SOURCE)
        assert session.name == "python"
        assert session.command[:2] == (PY, "-c")
        assert session.ended_at is not None

    def test_steps_never_asked_for(self, replay, source_of_seven) -> None:
        done = replay("--name", "mine", "sh", "-c", "echo out")
        assert (done.returncode, done.stdout) == (86, "out\n")
        lines = done.stderr.splitlines()
        assert lines[0] == "rewind-run: the run diverged from session source (55555555)"
        assert "7 recorded steps never asked for" in lines[1]
        assert lines[2].strip() == "step 1: POST https://api.test/v1/0 (m)"
        assert lines[-1].strip() == "and 2 more"
        assert len(lines) == 8
        session = sessions(source_of_seven)[0]
        assert (session.name, session.status) == ("mine", "diverged")

    @pytest.mark.usefixtures("source_of_seven")
    def test_unless_that_is_allowed(self, replay) -> None:
        assert replay("--allow-unused", "sh", "-c", "exit 3").returncode == 3
        done = replay("sh", "-c", "exit 3", REWIND_ALLOW_UNUSED="1")
        assert (done.returncode, done.stderr) == (3, "")

    @pytest.mark.usefixtures("source_of_seven")
    def test_or_the_run_was_cut_short(self, replay) -> None:
        done = replay("sh", "-c", "kill -INT $$")
        assert (done.returncode, done.stderr) == (-signal.SIGINT, "")

    def test_blocked_calls(self, replay) -> None:
        for allowed in ((), ("--allow-unused",)):
            done = replay(*allowed, PY, "-c", BLOCKED)
            assert done.returncode == 86
            assert (
                "2 calls blocked, nothing was sent; the first: step 1: POST https://api.test/v1"
                in done.stderr
            )
            assert "model: a -> b" in done.stderr
            assert "another" not in done.stderr
        done = replay(PY, "-c", f"{BLOCKED}\nos.kill(os.getpid(), 9)")
        assert done.returncode == 86

    def test_store_is_not_held_meanwhile(self, replay, source) -> None:
        done = replay("sh", "-c", "sleep 1; ls -l /proc/$PPID/fd")
        assert done.returncode == 0
        assert "pipe" in done.stdout
        assert source.name not in done.stdout

    def test_store_gone_is_no_verdict(self, replay, source) -> None:
        done = replay("sh", "-c", f"sleep 0.5; for f in {source}*; do echo x > $f; done")
        assert done.returncode == 86
        assert "no verdict on this replay" in done.stderr


class TestNotStarted:
    @pytest.mark.parametrize("ref", ["nothing", "trace:" + "0" * 32, "f" * 32])
    def test_unknown_reference(self, rewind_run, source, ref) -> None:
        before = source.read_bytes()
        done = rewind_run("--replay", ref, "sh", "-c", "echo on")
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 1
        assert source.read_bytes() == before
        assert list(source.parent.iterdir()) == [source]

    def test_no_store(self, rewind_run, store_path) -> None:
        done = rewind_run("--replay", "last", "true")
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert not store_path.parent.exists()

    @pytest.mark.parametrize(("command", "code"), [("no-such", 127), ("./a.py", 126), ("/", 126)])
    def test_command_that_cannot_be_executed(self, replay, source, tmp_path, command, code) -> None:
        (tmp_path / "a.py").touch()
        done = replay(command)
        assert (done.returncode, done.stdout) == (code, "")
        assert len(done.stderr.splitlines()) == 1
        assert [session.id for session in sessions(source)] == [SOURCE]

    def test_by_variables_it_is_the_same(self, rewind_run, source) -> None:
        variables = {"REWIND_MODE": "replay", "REWIND_FROM": "source"}
        assert rewind_run("sh", "-c", "exit 4", **variables).returncode == 4
        assert sessions(source)[0].mode is Mode.REPLAY
