"""``rewind-auto enable`` and ``disable``, in environments of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from looking import printed
from test_main import refused

import rewind_auto
from rewind_auto.boot.launch import inject_dir
from rewind_auto.cli import startup_files

ROOT = Path(rewind_auto.__file__).parents[1]
LIBRARIES = sysconfig.get_path("purelib")
FILE = startup_files.NAME + (".pth" if sys.version_info < (3, 15) else ".start")
LOADED = f"""
import sys
tripwires = [finder for finder in sys.meta_path if type(finder).__name__ == "Tripwire"]
print(len(tripwires), "rewind_auto" in sys.modules, sys.path.count({inject_dir()!r}))
"""
ONCE, NOT = "1 True 1\n", "0 False 0\n"
CALL = """
import sys, httpx2
print(httpx2.post(sys.argv[1], json={"model": "m", "messages": [{"role": "user", "content": "hi"}]}).text)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A virtual environment with this checkout and what it needs."""
    place = tmp_path_factory.mktemp("enabled") / "venv"
    venv.create(place, symlinks=True, with_pip=False)
    (site_packages(place) / "checkout.pth").write_text(f"{ROOT}\n{LIBRARIES}\n")
    return place


def site_packages(place: Path) -> Path:
    (found,) = place.glob("lib/python*/site-packages")
    return found


@pytest.fixture
def site(place):
    """Its site-packages, cleaned up afterwards."""
    directory = site_packages(place)
    before = set(directory.iterdir())
    yield directory
    for path in set(directory.iterdir()) - before:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


@pytest.fixture
def executable(place) -> str:
    return str(place / "bin" / "python")


@pytest.fixture
def python(executable, tmp_path):
    """Run its Python, or another, in an environment of nothing but what is given."""

    def start(*args, other=None, **variables):
        environ = {"PATH": os.defpath, "HOME": str(tmp_path), **variables}
        return subprocess.run(
            [other or executable, *args],
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return start


@pytest.fixture
def rewind_auto_in(python):
    return lambda *args, **more: python("-m", "rewind_auto.cli.main", *args, **more)


@pytest.fixture
def enabled(site):
    """The environment, enabled."""
    for name, text in startup_files.contents(sys.version_info[:2], inject_dir()).items():
        (site / name).write_text(text)
    return site


def test_there_and_back(rewind_auto_in, site) -> None:
    before = sorted(site.iterdir())
    said = printed(rewind_auto_in("enable"))
    assert f"wrote {site / FILE}\n" in said
    assert "-I and -E too" in said
    after = {path: path.read_bytes() for path in site.iterdir() if path.is_file()}
    assert printed(rewind_auto_in("enable")) == f"already enabled in {site}\n"
    assert {path: path.read_bytes() for path in site.iterdir() if path.is_file()} == after
    assert f"removed {site / FILE}\n" in printed(rewind_auto_in("disable"))
    assert sorted(site.iterdir()) == before
    assert printed(rewind_auto_in("disable")) == f"it was not enabled in {site}\n"


def test_for_programs(rewind_auto_in, site) -> None:
    report = json.loads(printed(rewind_auto_in("enable", "--json")))
    assert (report["enabled"], report["directory"]) == (True, str(site))
    assert str(site / FILE) in report["changed"]
    assert json.loads(printed(rewind_auto_in("enable", "--json")))["changed"] == []
    report = json.loads(printed(rewind_auto_in("disable", "--json")))
    assert (report["enabled"], report["left"]) == (False, [])
    assert str(site / FILE) in report["removed"]
    assert json.loads(printed(rewind_auto_in("disable", "--json")))["removed"] == []


@pytest.mark.parametrize(
    ("switches", "loaded"),
    [((), ONCE), (("-I",), ONCE), (("-E",), ONCE), (("-s", "-P"), ONCE), (("-S",), NOT), (("-IS",), NOT)],
)
def test_the_variable_is_enough(python, enabled, switches, loaded) -> None:
    assert printed(python(*switches, "-c", LOADED, REWIND_MODE="record")) == loaded


@pytest.mark.parametrize("variables", [{}, {"REWIND_MODE": ""}, {"REWIND_MODE": " OFF "}])
def test_nothing_without_it(python, site, enabled, variables) -> None:
    show = f"{LOADED}print(sys.path, sorted(sys.modules))"
    there = printed(python("-c", show, **variables))
    assert there.startswith(NOT)
    (site / FILE).unlink()
    if sys.version_info < (3, 15):  # from there on `site` imports the module of the function
        assert printed(python("-c", show)) == there


def test_beside_rewind_run_nothing_is_loaded_twice(python, executable, enabled) -> None:
    assert printed(python("-m", "rewind_auto.cli.run", executable, "-c", LOADED)) == ONCE


def test_the_programs_own_sitecustomize_runs_once(python, enabled, tmp_path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('theirs')")
    done = python("-c", LOADED, PYTHONPATH=str(tmp_path), REWIND_MODE="record")
    assert printed(done) == f"theirs\n{ONCE}"


def test_a_child_with_a_cleaned_environment(python, executable, enabled) -> None:
    child = (
        "subprocess.run([sys.executable, '-c', sys.argv[1]], env={'REWIND_MODE': os.environ['REWIND_MODE']})"
    )
    code = f"import os, subprocess, sys; {child}"
    assert printed(python("-m", "rewind_auto.cli.run", executable, "-c", code, LOADED)) == ONCE


def test_an_isolated_program(python, executable, enabled, provider, tmp_path) -> None:
    run = ("-m", "rewind_auto.cli.run", "--hosts", "127.0.0.1")
    program = (executable, "-I", "-c", CALL, f"{provider.url}/v1/chat/completions")
    store = {"REWIND_STORE": str(tmp_path / "store.db")}
    recorded = printed(python(*run, *program, **store))
    provider.stop()
    assert recorded
    assert printed(python(*run, "--replay", "last", *program, **store)) == recorded


def test_left_behind_by_the_package_it_is_silent(python, site, tmp_path) -> None:
    gone = str(tmp_path / "gone" / "rewind_auto" / "_inject")
    for name, text in startup_files.contents(sys.version_info[:2], gone).items():
        (site / name).write_text(text)
    for mode in ("record", "replay"):
        assert printed(python("-I", "-c", LOADED, REWIND_MODE=mode)) == NOT


def test_a_path_with_whatever_in_it(python, site, tmp_path) -> None:
    inject = tmp_path / 'it\'s "a" {dir}\N{SNOWMAN} \\n'
    inject.mkdir()
    (inject / "sitecustomize.py").write_text("print('found')")
    for name, text in startup_files.contents(sys.version_info[:2], str(inject)).items():
        (site / name).write_text(text, encoding="ascii")
    assert printed(python("-I", "-c", "", REWIND_MODE="cache", LC_ALL="C")) == "found\n"


@pytest.fixture(scope="module")
def installation(tmp_path_factory) -> Path:
    """Prefix of a Python that is in no virtual environment, with site-packages that a test may write to."""
    prefix = tmp_path_factory.mktemp("installation")
    library = Path(os.__file__).parent
    directory = prefix / library.relative_to(sys.base_prefix)
    directory.mkdir(parents=True)
    for path in library.iterdir():
        if path.name not in ("site-packages", "dist-packages"):
            (directory / path.name).symlink_to(path)
    (directory / "site-packages").mkdir()
    return prefix


class TestWhere:
    BASE = getattr(sys, "_base_executable", sys.executable)

    @pytest.fixture
    def outside(self, python, installation):
        """`rewind-auto` with a Python that is in no virtual environment, and not the one of this machine."""
        variables = {"PYTHONHOME": str(installation), "PYTHONPATH": os.pathsep.join([str(ROOT), LIBRARIES])}
        return lambda *args: python("-m", "rewind_auto.cli.main", *args, other=self.BASE, **variables)

    def test_outside_of_an_environment_it_has_to_be_said(self, outside, python, installation) -> None:
        assert "no virtual environment: --user enables it for you, --system" in refused(outside("enable"))
        assert not list(installation.rglob(FILE))
        assert f"wrote {installation}/" in printed(outside("enable", "--system"))
        there = {"other": self.BASE, "PYTHONHOME": str(installation)}
        assert printed(python("-s", "-c", LOADED, REWIND_MODE="record", **there)) == ONCE
        assert f"removed {installation}/" in printed(outside("disable"))
        assert printed(python("-c", LOADED, REWIND_MODE="record", **there)) == NOT

    def test_for_a_user(self, outside, python, tmp_path) -> None:
        said = printed(outside("enable", "--user"))
        assert f"wrote {tmp_path}/.local/lib/" in said
        assert "-E too, not -I" in said
        for switches, loaded in (((), ONCE), (("-E",), ONCE), (("-I",), NOT), (("-s",), NOT)):
            done = python(*switches, "-c", LOADED, other=self.BASE, REWIND_MODE="record")
            assert printed(done) == loaded
        said = printed(outside("disable"))
        assert "it was not enabled in" in said
        assert f"still enabled by {tmp_path}/.local/lib/" in said
        assert f"removed {tmp_path}/.local/lib/" in printed(outside("disable", "--user"))
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    def test_an_environment_reads_no_files_of_a_user(self, rewind_auto_in, tmp_path) -> None:
        for verb in ("enable", "disable"):
            assert "reads no user site-packages" in refused(rewind_auto_in(verb, "--user"))
        assert not any(tmp_path.iterdir())

    @pytest.mark.usefixtures("site")
    def test_that_is_not_the_active_environment(self, rewind_auto_in, tmp_path) -> None:
        assert f"({tmp_path})" in printed(rewind_auto_in("enable", VIRTUAL_ENV=str(tmp_path)))

    def test_that_cannot_be_written(self, rewind_auto_in, site) -> None:
        (site / f"{FILE}.new").mkdir()  # for root too, who may write everywhere
        assert refused(rewind_auto_in("enable")) == f"cannot write to {site}: Is a directory"
        assert not (site / FILE).exists()

    def test_that_has_something_else_of_that_name(self, rewind_auto_in, site) -> None:
        (site / FILE).write_text("# mine\n")
        for verb in ("enable", "disable"):
            assert f"{site / FILE} was not put there by rewind-auto" in refused(rewind_auto_in(verb))
        assert (site / FILE).read_text() == "# mine\n"


class TestFromPython315On:
    """What `site` there does with a ``.start`` file, done here: resolve the name, call it."""

    SITE = "import pkgutil, sys; pkgutil.resolve_name(sys.argv[1])(); print(sys.path.count(sys.argv[2]))"

    @pytest.fixture
    def start(self, tmp_path, python):
        def start(inject: str, **variables) -> str:
            for name, text in startup_files.contents((3, 15), inject).items():
                (tmp_path / name).write_text(text)
            lines = (tmp_path / f"{startup_files.NAME}.start").read_text().splitlines()
            (entry,) = [line for line in lines if not line.startswith("#")]
            return printed(python("-c", self.SITE, entry, inject, **variables))

        return start

    def test_it_is_a_function(self, start) -> None:
        assert start(inject_dir(), REWIND_MODE="record") == "1\n"
        assert start(inject_dir()) == "0\n"
        assert start(inject_dir(), REWIND_MODE="off") == "0\n"

    def test_left_behind_by_the_package_it_is_silent(self, start, tmp_path) -> None:
        assert start(str(tmp_path / "gone"), REWIND_MODE="record") == "0\n"

    def test_it_goes_with_all_that_came_with_it(self, start, tmp_path) -> None:
        start(inject_dir())
        startup_files.remove(str(tmp_path))
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


class TestDoctor:
    def enabled(self, done) -> tuple[bool, str]:
        checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
        return checks["enabled"]["ok"], checks["enabled"]["detail"]

    @pytest.mark.usefixtures("enabled")
    def test_says_that_it_is(self, rewind_auto_in, site) -> None:
        ok, detail = self.enabled(rewind_auto_in("doctor", "--json"))
        assert (ok, detail) == (True, f"REWIND_MODE is enough (python -I and -E too, not -S): {site / FILE}")

    def test_says_that_another_installation_is(self, rewind_auto_in, site, tmp_path) -> None:
        for name, text in startup_files.contents(sys.version_info[:2], str(tmp_path)).items():
            (site / name).write_text(text)
        ok, detail = self.enabled(rewind_auto_in("doctor", "--json"))
        assert not ok
        assert "another installation; `rewind-auto enable` writes it anew" in detail
        assert f"wrote {site / FILE}" in printed(rewind_auto_in("enable"))

    @pytest.mark.usefixtures("enabled")
    def test_says_that_it_does_not_work(self, rewind_auto_in, site) -> None:
        (site / "sitecustomize.py").write_text("import sys; sys.meta_path[:] = sys.meta_path[-3:]")
        (site / "zz.pth").write_text(f"import sys; sys.path.insert(0, {str(site)!r})\n")
        ok, detail = self.enabled(rewind_auto_in("doctor", "--json", REWIND_MODE=""))
        assert not ok, detail
        assert "and yet `python -E` does not load the agent" in detail

    @pytest.mark.usefixtures("enabled")
    def test_info_knows_of_it(self, python, executable) -> None:
        said = printed(python("-m", "rewind_auto.cli.run", "--info", executable, "-I", "a.py"))
        assert "warning" not in said
        assert f"in {executable} -I\n" in said
        assert "Session.get_adapter" in said
