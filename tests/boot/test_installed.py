"""The wheel, installed: what ``pip install rewind-auto`` gives, in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest
from boot_children import ARMED

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bin_dir(tmp_path_factory) -> Path:
    """The scripts of an environment that has the wheel and nothing else."""
    place = tmp_path_factory.mktemp("installed")
    venv.create(place / "venv", symlinks=True, with_pip=False)
    python = str(place / "venv" / "bin" / "python")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = place.glob("*.whl")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    subprocess.run(pip, check=True, capture_output=True, text=True)
    return place / "venv" / "bin"


@pytest.fixture
def installed(bin_dir, environ, tmp_path):
    def start(program, *args, **variables):
        merged = {**environ, "PYTHONPATH": "", **variables}
        return subprocess.run(
            [str(bin_dir / program), *args],
            env=merged,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return start


def test_plain_python_is_untouched(installed) -> None:
    code = "import sys; print('rewind_auto' in sys.modules); import sitecustomize"
    done = installed("python", "-c", code)
    assert done.stdout == "False\n"
    assert "No module named 'sitecustomize'" in done.stderr


def test_rewind_run_finds_its_own(installed, bin_dir) -> None:
    show = "import os; print(os.environ['PYTHONPATH']); import rewind_auto; print(rewind_auto.__file__)"
    done = installed("rewind-run", str(bin_dir / "python"), "-c", f"{ARMED}; {show}")
    assert done.stderr == ""
    armed, path, file = done.stdout.splitlines()
    assert armed == "True"
    assert Path(path) == Path(file).parent / "_inject"
    assert Path(file).is_relative_to(bin_dir.parent)


def test_its_path_and_variables_do_the_same(installed, bin_dir) -> None:
    code = "from rewind_auto.boot.launch import inject_dir; print(inject_dir())"
    inject = installed("python", "-c", code).stdout.strip()
    assert installed("python", "-c", ARMED, PYTHONPATH=inject).stdout == "True\n"
    assert installed("python", "-c", ARMED, PYTHONPATH=inject, REWIND_MODE="off").stdout == "False\n"


def test_opentelemetry_finds_the_way_in(installed) -> None:
    code = """
from importlib.metadata import entry_points
(entry,) = entry_points(group="opentelemetry_pre_instrument")
entry.load()()
"""
    assert installed("python", "-c", code + ARMED, REWIND_MODE="record").stdout == "True\n"
    assert installed("python", "-c", code + ARMED).stdout == "False\n"
