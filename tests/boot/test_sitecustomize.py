"""The injected file: what it adds to a process, what it hands on, and what it says when it cannot work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from boot_children import ARMED
from interpreters import python

from rewind_auto.boot.launch import inject_dir

MODULES = "import sys; print(*sorted(sys.modules))"
OURS = {"sitecustomize", "rewind_auto", "rewind_auto.boot", "rewind_auto.boot.tripwire"}


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter of an environment without the package."""
    place = tmp_path_factory.mktemp("other") / "venv"
    venv.create(place, symlinks=True, with_pip=False)
    return str(place / "bin" / "python")


def test_adds_only_our_own_modules(run) -> None:
    plain = set(run("-c", MODULES, PYTHONPATH=None).stdout.split())
    ours = set(run("-c", MODULES).stdout.split())
    # With an editable install the folder of the checkout is a namespace package, in a plain process too.
    assert (ours - plain) | {"sitecustomize"} == OURS
    heavy = {
        "wrapt",
        "asyncio",
        "ssl",
        "sqlite3",
        "json",
        "logging",
        "importlib.metadata",
        "opentelemetry",
        "re",
    }
    assert not ours & (heavy | {"typing", "dataclasses", "enum", "__future__"})


def test_opens_nothing_and_starts_no_thread(run) -> None:
    code = """
import sys, os
seen = []
def hook(event, args):
    if event == "open" and not str(args[0]).endswith((".py", ".pyc")) and ".pyc." not in str(args[0]):
        seen.append((event, str(args[0])))
    if event.startswith(("_thread", "socket", "subprocess", "os.fork", "sqlite3")):
        seen.append((event, ""))
sys.addaudithook(hook)
import sitecustomize
print(seen, "rewind_auto.boot.tripwire" in sys.modules)
"""
    assert run("-S", "-c", code).stdout.split() == ["[]", "True"]


def test_sets_a_session_for_the_children(run) -> None:
    show = "import os; print(os.environ['REWIND_SESSION_ID'], flush=True)"
    code = f"import subprocess, sys; {show}; subprocess.run([sys.executable, '-c', {show!r}])"
    first, second = run("-c", code).stdout.split()
    assert first == second
    assert len(bytes.fromhex(first)) == 16
    assert run("-c", show, REWIND_SESSION_ID="mine").stdout.split() == ["mine"]


def test_off_is_nothing_at_all(run) -> None:
    code = "import os, sys; print('rewind_auto' in sys.modules, 'REWIND_SESSION_ID' in os.environ)"
    assert run("-c", code, REWIND_MODE=" Off ").stdout.split() == ["False", "False"]
    assert run("-c", code, REWIND_MODE="").stdout.split() == ["True", "True"]


@pytest.mark.parametrize("flag", ["-I", "-E", "-S"])
def test_is_not_there_without_the_environment(run, flag: str) -> None:
    assert run(flag, "-c", ARMED).stdout.split() == ["False"]


def test_imported_again_changes_nothing(run) -> None:
    code = """
import sys
for name in [n for n in sys.modules if n == "sitecustomize"]:
    del sys.modules[name]
import sitecustomize
print(sum(type(finder).__name__ == "Tripwire" for finder in sys.meta_path))
"""
    assert run("-c", code).stdout.split() == ["1"]


class TestShadowed:
    """The program's own sitecustomize, which ours hides."""

    SHOW = "import sys; m = sys.modules.get('sitecustomize'); print(getattr(m, '__file__', m))"

    @pytest.fixture
    def theirs(self, tmp_path: Path) -> Path:
        directory = tmp_path / "theirs"
        directory.mkdir()
        return directory

    @pytest.fixture
    def path(self, theirs: Path) -> str:
        return os.pathsep.join([inject_dir(), str(theirs)])

    def test_runs_once_and_keeps_its_name(self, run, theirs: Path, path: str) -> None:
        (theirs / "sitecustomize.py").write_text(
            "import sys; print('theirs', __name__, __spec__.name); at = sys.path[:]"
        )
        done = run("-c", f"{self.SHOW}; {ARMED}; print(*sys.path[1:3], *m.at[:2])", PYTHONPATH=path)
        file, entries = str(theirs / "sitecustomize.py"), path.split(os.pathsep)
        expected = ["theirs", "sitecustomize", "sitecustomize", file, "True", *entries, *entries]
        assert done.stdout.split() == expected, done.stderr
        assert done.stderr == ""

    def test_runs_when_off(self, run, theirs: Path, path: str) -> None:
        (theirs / "sitecustomize.py").write_text("print('theirs')")
        assert run("-c", "", PYTHONPATH=path, REWIND_MODE="off").stdout == "theirs\n"

    def test_may_be_a_package(self, run, theirs: Path, path: str) -> None:
        (theirs / "sitecustomize").mkdir()
        (theirs / "sitecustomize" / "__init__.py").write_text("from sitecustomize.part import x; print(x)")
        (theirs / "sitecustomize" / "part.py").write_text("x = 'part'")
        assert run("-c", "", PYTHONPATH=path).stdout == "part\n"

    def test_directory_of_that_name_is_no_module(self, run, theirs: Path, path: str) -> None:
        (theirs / "sitecustomize").mkdir()
        done = run("-c", self.SHOW, PYTHONPATH=path)
        assert done.stdout.strip() == str(Path(inject_dir(), "sitecustomize.py"))

    @pytest.mark.parametrize(
        "body",
        [
            "raise RuntimeError('theirs')",
            "import there_is_no_such_module",
            "raise ImportError('odd', name='sitecustomize')",
            "raise SystemExit(5)",
            "def broken(:",
        ],
    )
    def test_errors_are_as_without_us(self, run, theirs: Path, path: str, body: str) -> None:
        (theirs / "sitecustomize.py").write_text(body)
        plain = run("-c", "print('on')", PYTHONPATH=str(theirs))
        ours = run("-c", "print('on')", PYTHONPATH=path)
        assert (ours.returncode, ours.stdout) == (plain.returncode, plain.stdout)
        assert ours.stderr.splitlines()[:2] == plain.stderr.splitlines()[:2]
        if plain.returncode == 0:
            assert ours.stderr == plain.stderr
            after = "print('sitecustomize' in sys.modules)"
            assert run("-c", f"{ARMED}; {after}", PYTHONPATH=path).stdout.split() == ["True", "False"]

    def test_comes_from_a_late_finder(self, run, theirs: Path) -> None:
        """As editable installs add them: with a .pth file and a finder at the end."""
        (theirs / "sitecustomize.py").write_text("print('found late')")
        code = f"""
import sys
from importlib.util import spec_from_file_location
class Late:
    def find_spec(name, path=None, target=None):
        if name == "sitecustomize":
            return spec_from_file_location(name, {str(theirs / "sitecustomize.py")!r})
sys.meta_path.append(Late)
import sitecustomize
"""
        assert run("-S", "-c", code).stdout == "found late\n"

    def test_finder_ahead_that_goes_by_the_path_itself(self, run, theirs: Path, path: str) -> None:
        """As Datadog's: it asks the others without the path that it was given."""
        (theirs / "sitecustomize.py").write_text("print('theirs')")
        code = """
import sys
from importlib.machinery import PathFinder
class Ahead:
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name)
sys.meta_path.insert(0, Ahead)
import sitecustomize
"""
        done = run("-S", "-c", code, PYTHONPATH=path)
        assert (done.stdout, done.stderr) == ("theirs\n", "")

    def test_agent_in_front_runs_once(self, run, theirs: Path, path: str) -> None:
        """As New Relic chains: it looks for the next sitecustomize but leaves its directory on the path."""
        agent = theirs.parent / "agent"
        agent.mkdir()
        (agent / "sitecustomize.py").write_text("""
import os, sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
print("agent")
here = os.path.dirname(__file__)
spec = PathFinder.find_spec("sitecustomize", [p for p in sys.path if p != here])
module = sys.modules["sitecustomize"] = module_from_spec(spec)
spec.loader.exec_module(module)
""")
        (theirs / "sitecustomize.py").write_text("print('theirs')")
        done = run("-c", ARMED, PYTHONPATH=os.pathsep.join([str(agent), path]))
        assert done.stdout.split() == ["agent", "theirs", "True"], done.stderr

    def test_usercustomize_is_left_alone(self, run, theirs: Path) -> None:
        python = getattr(sys, "_base_executable", sys.executable)  # a venv has no user site
        user_site = theirs / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        user_site.mkdir(parents=True)
        (user_site / "usercustomize.py").write_text("print('user')")
        done = run("-c", ARMED, python=python, PYTHONUSERBASE=str(theirs))
        assert done.stdout.split() == ["user", "True"], done.stderr


class TestAbsent:
    """The command's interpreter cannot load the package."""

    @pytest.fixture
    def inject(self, tmp_path: Path) -> str:
        """The injected directory of a wheel, in whose environment the command does not run."""
        directory = tmp_path / "elsewhere" / "_inject"
        directory.mkdir(parents=True)
        shutil.copy(Path(inject_dir(), "sitecustomize.py"), directory)
        return str(directory)

    def test_is_told_once_and_the_program_goes_on(self, run, inject: str, other: str) -> None:
        child = "subprocess.run([sys.executable, '-c', 'print(2)'])"
        code = f"import subprocess, sys; print('on', flush=True); {child}"
        done = run("-c", code, python=other, PYTHONPATH=inject)
        assert (done.returncode, done.stdout) == (0, "on\n2\n")
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"rewind-auto: not active in {other} (Python ")
        assert "No module named 'rewind_auto'" in line

    def test_off_says_nothing(self, run, inject: str, other: str) -> None:
        assert run("-c", "", python=other, PYTHONPATH=inject, REWIND_MODE="off").stderr == ""

    def test_strict_replay_ends_the_process(self, run, inject: str, other: str) -> None:
        for told in (None, "1"):
            done = run(
                "-c",
                "print('on')",
                python=other,
                PYTHONPATH=inject,
                REWIND_MODE="replay",
                REWIND_ABSENCE_TOLD=told,
            )
            assert (done.returncode, done.stdout) == (86, "")
            assert len(done.stderr.splitlines()) == 1

    @pytest.mark.parametrize("version", ["3.6", "3.8", "3.10"])
    def test_old_python_is_named(self, run, version: str) -> None:
        older = python(version)
        done = run("-c", "print('on')", python=older)
        assert (done.returncode, done.stdout) == (0, "on\n")
        assert "needs Python 3.11 or newer" in done.stderr
        assert f"(Python {version})" in done.stderr
        assert run("-c", "print('on')", python=older, REWIND_MODE="replay").returncode == 86

    @pytest.mark.parametrize(
        "body", ["raise SystemExit(3)", "raise KeyboardInterrupt", "import nowhere", "x = ("]
    )
    def test_broken_package_does_not_stop_the_program(self, run, inject: str, other: str, body: str) -> None:
        package = Path(inject).parent / "rewind_auto"
        package.mkdir()
        (package / "__init__.py").write_text(body)
        path = os.pathsep.join([inject, str(package.parent)])
        done = run("-c", "print('on')", python=other, PYTHONPATH=path)
        assert (done.returncode, done.stdout) == (0, "on\n")
        assert len(done.stderr.splitlines()) == 1

    def test_closed_stderr_is_no_matter(self, inject: str, other: str, environ: dict[str, str]) -> None:
        done = subprocess.run(
            ["sh", "-c", '"$0" -c "print(1)" 2>&-', other],
            env={**environ, "PYTHONPATH": inject},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "1\n")


def test_package_only_the_shadowed_sitecustomize_makes_importable(run, tmp_path: Path) -> None:
    """As on NixOS, where site-packages are put on the path by a sitecustomize."""
    inject = tmp_path / "_inject"
    inject.mkdir()
    shutil.copy(Path(inject_dir(), "sitecustomize.py"), inject)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    root = Path(inject_dir()).parent
    (theirs / "sitecustomize.py").write_text(f"import sys; sys.path.append({str(root)!r})")
    done = run("-c", ARMED, PYTHONPATH=os.pathsep.join([str(inject), str(theirs)]))
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_checkout_hides_nothing_of_the_programs(run) -> None:
    done = run("-c", "import sys; print(sys.path[-1]); import rewind_auto; print(rewind_auto.__file__)")
    root = Path(inject_dir()).parent
    assert done.stdout.split() == [str(root), str(root / "rewind_auto" / "__init__.py")]
