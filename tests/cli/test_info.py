"""``rewind-run --info``: of the command's own Python, and without running it."""

from __future__ import annotations

import json
import os
import sys
import venv
from importlib import metadata

import pytest

from rewind_auto.boot.launch import inject_dir

PY = sys.executable


@pytest.fixture
def info(rewind_run):
    def ask(*command, **variables) -> dict[str, str]:
        done = rewind_run("--info", "--json", *command, **variables)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    return ask


def test_for_programs_as_for_people(rewind_run, info, tmp_path, store_path) -> None:
    found = info("--hosts", "a.test", PY, "a.py")
    assert found["hosts"] == "the known providers, a.test"
    assert found["inject"] == inject_dir()
    lines = rewind_run("--info", "--hosts", "a.test", PY, "a.py").stdout.splitlines()
    assert dict(line.split(maxsplit=1) for line in lines) == found
    assert not store_path.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_json_is_of_info_only(rewind_run) -> None:
    done = rewind_run("--json", "true")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "rewind-run: --json goes with --info\n")


def test_names_what_is_hooked(info) -> None:
    found = info(PY, "a.py")
    assert found["httpx2"] == (
        f"{metadata.version('httpx2')}, hooked at AsyncClient._transport_for_url, Client._transport_for_url"
    )
    assert found["requests"] == f"{metadata.version('requests')}, hooked at Session.get_adapter"
    assert "warning" not in found


def test_it_is_the_commands_own_python_that_is_asked(info, tmp_path) -> None:
    place = tmp_path / "venv"
    venv.create(place, symlinks=True, with_pip=False)
    (site_packages,) = place.glob("lib/python*/site-packages")
    (site_packages / "httpx.py").write_text("__version__ = '9'\nclass Client: ...\nclass AsyncClient: ...\n")
    found = info(str(place / "bin" / "python"), "a.py")
    assert found["httpx"].startswith("9 lacks the seam: ")
    assert found["requests"] == "not installed"
    (tmp_path / "tool").write_text(f"#!{place / 'bin' / 'python'} -E\n")
    (tmp_path / "tool").chmod(0o755)
    found = info("./tool")
    assert found["python"].endswith(f"in {place / 'bin' / 'python'} -E")
    assert "-E ignores the environment: the agent is not loaded; `rewind-auto enable`" in found["warning"]


@pytest.mark.parametrize("switch", ["-I", "-E"])
def test_says_that_enabling_helps(info, switch) -> None:
    reason, _, advice = info(PY, switch, "a.py")["warning"].partition("; ")
    assert reason.endswith(f"{switch} ignores the environment: the agent is not loaded")
    assert advice == "`rewind-auto enable` there would change that"


def test_says_that_nothing_helps(info) -> None:
    assert info(PY, "-S", "a.py")["warning"].endswith("-S ignores the environment: the agent is not loaded")
    found = info("env", "-i", PY, "a.py")
    assert found["warning"] == "env takes PYTHONPATH away: the agent is not loaded"
    assert "python" not in found


def test_names_who_else_is_there(info, environ, tmp_path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, requests\n"
        "requests.Session.send = lambda *a, **k: None\n"
        "if 'REWIND_MODE' in os.environ: print('noise')  # not in the launcher\n"
    )
    found = info(PY, "a.py", PYTHONPATH=f"{environ['PYTHONPATH']}{os.pathsep}{tmp_path}")
    assert found["requests"].endswith("; also patched: Session.send by sitecustomize")
    assert found["startup"].startswith(str(tmp_path / "sitecustomize.py"))


def test_says_what_keeps_the_agent_out(info, environ, tmp_path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.meta_path = tuple(sys.meta_path)")
    found = info(PY, "a.py", PYTHONPATH=f"{environ['PYTHONPATH']}{os.pathsep}{tmp_path}")
    assert "'tuple' object has no attribute 'insert'" in found["warning"]
    assert found["httpx"].endswith("is not hooked")


def test_a_wrong_setting_is_refused_as_ever(rewind_run) -> None:
    done = rewind_run("--info", "--json", "--speed", "x")
    assert (done.returncode, done.stdout) == (2, "")
