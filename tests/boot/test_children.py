"""What a program starts: the agent is in all of it, in one session. Their calls: tests/launch."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# One line from each process, in one piece: whether the agent is there, and in which session.
SHOW = (
    "import os, sys; t = sys.modules.get('rewind_auto.boot.tripwire'); "
    "os.write(1, f'{bool(t) and t.is_armed()} {os.environ.get(\"REWIND_SESSION_ID\")}\\n'.encode())"
)


@pytest.fixture
def show(tmp_path: Path) -> None:
    """A script of that line."""
    (tmp_path / "show.py").write_text(SHOW)


def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


class TestChildren:
    """What the first process starts belongs to the session that it began."""

    def check(self, run, code: str, count: int = 2) -> None:
        found = lines(run("-c", textwrap.dedent(code)))
        assert len(found) == count
        assert len(set(found)) == 1
        assert found[0].startswith("True ")
        assert not found[0].endswith("None")

    def test_subprocess(self, run) -> None:
        self.check(run, f"{SHOW}\nimport subprocess; subprocess.run([sys.executable, '-c', {SHOW!r}])")

    @pytest.mark.usefixtures("show")
    def test_shell(self, run) -> None:
        script = f"{sys.executable} show.py"
        self.check(run, f"{SHOW}\nimport subprocess; subprocess.run(['sh', '-c', {script!r}])")

    def test_exec(self, run) -> None:
        self.check(run, f"{SHOW}\nos.execv(sys.executable, [sys.executable, '-c', {SHOW!r}])")

    def test_fork(self, run) -> None:
        self.check(run, f"import os\npid = os.fork()\n{SHOW}\nif pid: os.waitpid(pid, 0)")

    @pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
    def test_multiprocessing(self, run, tmp_path: Path, method: str) -> None:
        (tmp_path / "main.py").write_text(
            textwrap.dedent(f"""
            import multiprocessing
            def show():
                {SHOW}
            if __name__ == "__main__":
                show()
                process = multiprocessing.get_context({method!r}).Process(target=show)
                process.start(); process.join()
            """)
        )
        found = lines(run("main.py"))
        assert len(found) == 2
        assert len(set(found)) == 1
        assert found[0].startswith("True ")

    def test_emptied_environment_leaves_the_agent_out(self, run) -> None:
        code = f"{SHOW}\nimport subprocess; subprocess.run([sys.executable, '-c', {SHOW!r}], env={{}})"
        first, second = lines(run("-c", code))
        assert first.startswith("True ")
        assert second == "False None"

    def test_root_is_the_process_that_began(self, run) -> None:
        root = "import os; print(os.getpid(), os.environ.get('REWIND_ROOT_PID'), flush=True)"
        code = f"{root}; import subprocess, sys; subprocess.run([sys.executable, '-c', {root!r}])"
        (pid, first), (_, second) = (line.split() for line in lines(run("-c", code)))
        assert pid == first == second
        assert lines(run("-c", root, REWIND_SESSION_ID="given"))[0].endswith(" None")


def test_interpreter_without_site_is_left_out(run) -> None:
    assert lines(run("-S", "-c", SHOW)) == ["False None"]


def test_path_of_the_child_is_its_own(run, tmp_path: Path) -> None:
    """What is on PYTHONPATH after us stays importable, and in the same order."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "which.py").write_text(f"print({name!r})")
    path = os.pathsep.join([run("-c", "import os; print(os.environ['PYTHONPATH'])").stdout.strip(), "a", "b"])
    assert lines(run("-c", "import which", PYTHONPATH=path)) == ["a"]
