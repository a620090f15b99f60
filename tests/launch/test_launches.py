"""Every way to start a Python program: its calls are recorded once each, and nothing else changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipapp
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from interpreters import python
from launching import PY, ROOT, SAY, Launch, Place, launcher

# Where the libraries are, for interpreters that have none of their own.
LIBRARIES = str(Path(httpx.__file__).parents[1])


# --- how a program is started


def script(place: Place) -> Launch:
    return Launch([PY, place.write("agent.py", place.agent)])


def module(place: Place) -> Launch:
    place.write("package/__main__.py", place.agent)
    return Launch([PY, "-m", "package"])


def code(place: Place) -> Launch:
    return Launch([PY, "-c", place.agent])


def stdin(place: Place) -> Launch:
    return Launch([PY], stdin=place.agent)


def stdin_by_name(place: Place) -> Launch:
    return Launch([PY, "-"], stdin=place.agent)


def zip_application(place: Place) -> Launch:
    place.write("package/__main__.py", place.agent)
    zipapp.create_archive(place.path / "package", place.path / "agent.pyz")
    return Launch([PY, "agent.pyz"])


def console_script(place: Place) -> Launch:
    return Launch([place.write("agent", f"#!{PY}\n{place.agent}", 0o755)])


def console_script_on_the_path(place: Place) -> Launch:
    place.write("agent", f"#!{PY}\n{place.agent}", 0o755)
    return Launch(["agent"], variables={"PATH": f"{place.path}:/usr/bin:/bin"})


def shell_script(place: Place) -> Launch:
    place.write("agent.py", place.agent)
    return Launch(
        ["bash", place.write("x.sh", f"echo before; {PY} agent.py; code=$?; echo $code; exit $code")]
    )


def env(place: Place) -> Launch:
    return Launch(["env", "A=b", PY, "-u", "-c", place.agent])


def prompt(place: Place) -> Launch:
    return Launch([PY, "-i", "-c", place.ask + "print(ask('hello'))"], stdin="print(ask('more'))\n", steps=2)


# --- where it is, and what is not there


def venv_in_a_venv(place: Place) -> Launch:
    venv.create(place.path / "venv", symlinks=True, with_pip=False)
    (site_packages,) = (place.path / "venv").glob("lib/*/site-packages")
    (site_packages / "libraries.pth").write_text(LIBRARIES)
    return Launch([str(place.path / "venv" / "bin" / "python"), "-c", place.agent])


def cwd_deleted(place: Place) -> Launch:
    script = place.write("agent.py", place.agent)
    return Launch([PY, script], around=("sh", "-c", 'mkdir gone; cd gone; rmdir ../gone; exec "$@"', "sh"))


def home_that_cannot_be_written(place: Place) -> Launch:
    return Launch([PY, "-c", place.agent], variables={"HOME": "/proc"})


def no_home(place: Place) -> Launch:
    return Launch([PY, "-c", place.agent], variables={"HOME": None})


def program_not_in_ascii(place: Place) -> Launch:
    return Launch([PY, place.write("dépôt/агент 🤖.py", place.agent)])


def program_not_in_ascii_where_the_locale_is_c(place: Place) -> Launch:
    variables = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    return Launch([PY, place.write("dépôt/агент.py", place.agent)], variables=variables)


def program_not_in_any_encoding(place: Place) -> Launch:
    return Launch([PY, place.write(os.fsdecode(b"caf\xe9.py"), place.agent)])


def store_not_in_ascii_where_the_locale_is_c(place: Place) -> Launch:
    place.store = place.path / "склад" / "rewind.db"
    variables = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    return Launch([PY, "-c", place.agent], variables=variables)


def package_not_in_ascii(place: Place) -> Launch:
    root = place.path / "вне пути 🤖"
    for name in ("rewind_auto", "sitecustomize"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    return Launch([PY, "-c", place.agent], launcher=launcher(root))


# --- what else is on PYTHONPATH


def python_path(place: Place) -> Launch:
    place.write("lib/mine.py", place.ask)
    return Launch(
        [PY, "-c", f"from mine import *\n{SAY}"], variables={"PYTHONPATH": f"/nowhere:{place.path}/lib"}
    )


def python_path_with_an_empty_entry(place: Place) -> Launch:
    """It stands for the current directory, which is not on the path of a script elsewhere."""
    place.write("mine.py", place.ask)
    script = place.write("elsewhere/agent.py", f"from mine import *\n{SAY}")
    return Launch([PY, script], variables={"PYTHONPATH": "/nowhere:"})


def sitecustomize_and_usercustomize(place: Place) -> Launch:
    return _customized(place, "print('{}', flush=True)")


def sitecustomize_and_usercustomize_that_raise(place: Place) -> Launch:
    return _customized(place, "print('{}', flush=True); raise RuntimeError('{}')")


def _customized(place: Place, body: str) -> Launch:
    # Not in a venv, which has no site-packages of the user.
    user = f"user/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    place.write(f"{user}/usercustomize.py", body.replace("{}", "user"))
    place.write("lib/sitecustomize.py", body.replace("{}", "site"))
    variables = {"PYTHONUSERBASE": f"{place.path}/user", "PYTHONPATH": f"{place.path}/lib:{LIBRARIES}"}
    return Launch([sys._base_executable, "-c", place.agent], variables=variables)


# --- what it starts itself


def fork_that_exits_at_once(place: Place) -> Launch:
    child = "pid = os.fork()\nif not pid: os.write(1, ask('hello').encode()); os._exit(5)\n"
    return Launch([PY, "-c", f"{place.ask}{child}print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"])


def fork_after_a_call(place: Place) -> Launch:
    child = "pid = os.fork()\nif not pid: os.write(1, ask('hello').encode()); os._exit(5)\n"
    wait = "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), ask('after'))"
    return Launch([PY, "-c", f"{place.ask}print(ask('before'), flush=True)\n{child}{wait}"], steps=3)


def exit_without_an_end(place: Place) -> Launch:
    return Launch([PY, "-c", f"{place.ask}os.write(1, ask('hello').encode()); os._exit(5)"])


def exec_of_another(place: Place) -> Launch:
    place.write("agent.py", place.agent)
    become = "os.execv(sys.executable, [sys.executable, 'agent.py'])"
    return Launch([PY, "-c", f"{place.ask}print(ask('hello'), flush=True); {become}"], steps=2)


def subprocesses(place: Place) -> Launch:
    place.write("agent.py", place.agent)
    start = "import subprocess; run = lambda: subprocess.run([sys.executable, 'agent.py']).returncode"
    return Launch([PY, "-c", f"{place.ask}{start}; print(run(), run(), ask('hello'))"], steps=3)


def subprocess_with_an_emptied_environment(place: Place) -> Launch:
    return _cleaned(place, "{}")


def subprocess_without_the_path(place: Place) -> Launch:
    return _cleaned(place, "{n: v for n, v in os.environ.items() if n != 'PYTHONPATH'}")


def _cleaned(place: Place, environ: str) -> Launch:
    """The child is not seen, and works."""
    place.write("agent.py", place.agent)
    start = f"import subprocess; done = subprocess.run([sys.executable, 'agent.py'], env={environ})"
    return Launch([PY, "-c", f"{place.ask}{start}; print(done.returncode, ask('mine'))"], steps=1)


def multiprocessing_fork(place: Place) -> Launch:
    return _pool(place, "with multiprocessing.get_context('fork').Pool(2) as pool:")


def multiprocessing_spawn(place: Place) -> Launch:
    return _pool(place, "with multiprocessing.get_context('spawn').Pool(2) as pool:")


def multiprocessing_forkserver(place: Place) -> Launch:
    return _pool(place, "with multiprocessing.get_context('forkserver').Pool(2) as pool:")


def process_pool_executor(place: Place) -> Launch:
    return _pool(place, "with concurrent.futures.ProcessPoolExecutor(2) as pool:")


def _pool(place: Place, pool: str) -> Launch:
    main = f"    {pool}\n        print(*pool.map(ask, range(4)), ask('hello'))\n"
    source = f"{place.ask}import multiprocessing, concurrent.futures\nif __name__ == '__main__':\n{main}"
    # On a busy machine they wait for one another's writes, and say so.
    quiet = {"REWIND_LOG": "error"}
    return Launch([PY, place.write("agent.py", source)], variables=quiet, steps=5)


LAUNCHES: list[Callable[[Place], Launch]] = [
    script, module, code, stdin, zip_application, console_script, shell_script, venv_in_a_venv, cwd_deleted,
    program_not_in_ascii_where_the_locale_is_c, program_not_in_any_encoding,
    store_not_in_ascii_where_the_locale_is_c, package_not_in_ascii, python_path_with_an_empty_entry,
    sitecustomize_and_usercustomize_that_raise, fork_after_a_call, exec_of_another, subprocesses,
    subprocess_without_the_path, multiprocessing_spawn, process_pool_executor,
]  # fmt: skip
# Told apart from the others by little.
FURTHER: list[Callable[[Place], Launch]] = [
    stdin_by_name, prompt, console_script_on_the_path, env, home_that_cannot_be_written, no_home,
    program_not_in_ascii, python_path, sitecustomize_and_usercustomize, fork_that_exits_at_once,
    exit_without_an_end, subprocess_with_an_emptied_environment, multiprocessing_fork,
    multiprocessing_forkserver,
]  # fmt: skip


def check(place: Place, launch: Launch) -> None:
    """Run it with and without the agent: the same to the program, to who started it, and to the server."""
    plain = place.start(launch)
    assert "hello" in plain.stdout, plain
    asked = len(place.server.seen)
    recorded = place.start(launch, *launch.launcher)
    assert (recorded.returncode, recorded.stdout, recorded.stderr) == (
        plain.returncode,
        plain.stdout,
        plain.stderr,
    )
    assert len(place.server.seen) == 2 * asked
    steps = [(step.decision, step.status, step.complete) for step in place.steps()]
    assert steps == [("record", 200, True)] * launch.steps


def ways(table: list[Callable[[Place], Launch]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("way", table, ids=lambda way: way.__name__)


@ways(LAUNCHES)
def test_recorded_once_and_otherwise_as_without(place: Place, way: Callable[[Place], Launch]) -> None:
    check(place, way(place))


@pytest.mark.slow
@ways(FURTHER)
def test_and_so_is_every_other_way(place: Place, way: Callable[[Place], Launch]) -> None:
    check(place, way(place))


def test_no_way_is_left_out() -> None:
    returned = {
        name: getattr(value, "__annotations__", {}).get("return") for name, value in globals().items()
    }
    made = {name for name, what in returned.items() if what == "Launch" and not name.startswith("_")}
    assert made == {way.__name__ for way in LAUNCHES + FURTHER}


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_another_python_than_that_of_the_launcher(place: Place, version: str) -> None:
    """It has the libraries, and we come by the path alone."""
    check(place, Launch([python(version), "-c", place.agent], variables={"PYTHONPATH": LIBRARIES}))


@pytest.fixture(scope="session")
def uv(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("uv")
    venv.create(directory, symlinks=True, with_pip=True)
    pip = [str(directory / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "uv"]
    done = subprocess.run(pip, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"uv cannot be installed: {done.stderr}")
    return str(directory / "bin" / "uv")


@pytest.mark.slow
def test_uv_run(place: Place, uv: str) -> None:
    place.write("agent.py", place.agent)
    run = [uv, "run", "--offline", "--no-project", "--python", PY, "agent.py"]
    check(place, Launch(run, variables={"UV_CACHE_DIR": str(place.path / "cache")}))


@pytest.mark.slow
def test_uv_run_in_a_project(place: Place, uv: str) -> None:
    place.write("agent.py", place.agent)
    place.write(
        "pyproject.toml",
        '[project]\nname = "mine"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = []\n',
    )
    run = [uv, "run", "--offline", "--quiet", "--python", PY, "agent.py"]
    variables = {"UV_CACHE_DIR": str(place.path / "cache"), "PYTHONPATH": LIBRARIES, "VIRTUAL_ENV": None}
    check(place, Launch(run, variables=variables))
