"""What a release holds: the wheel, and the sdist that must give the same wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def build(source: Path, target: str, out: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(out)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=120)
    (built,) = out.iterdir()
    return built


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def wheel(tmp_path):
    return build(ROOT, "wheel", tmp_path / "wheel")


def test_the_wheel_has_the_package_and_nothing_beside_it(wheel):
    files = contents(wheel)
    assert {name.partition("/")[0] for name in files} == {"rewind_auto", "rewind_auto-0.1.0.dist-info"}
    original = (ROOT / "sitecustomize" / "sitecustomize.py").read_bytes()
    assert files["rewind_auto/_inject/sitecustomize.py"] == original
    assert "rewind_auto/py.typed" in files
    entry_points = files["rewind_auto-0.1.0.dist-info/entry_points.txt"].decode()
    assert "rewind-run = rewind_auto.cli.run:main" in entry_points
    assert (
        "[opentelemetry_pre_instrument]\nrewind_auto = rewind_auto.boot.otel:pre_instrument" in entry_points
    )


def test_an_installed_wheel_makes_no_sitecustomize_importable_and_finds_its_own(wheel, tmp_path):
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    assert PathFinder.find_spec("sitecustomize", [str(site)]) is None
    found = subprocess.run(
        [sys.executable, "-c", "from rewind_auto.boot.launch import inject_dir; print(inject_dir())"],
        env=os.environ | {"PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == str(site / "rewind_auto" / "_inject")


def test_the_sdist_gives_the_same_wheel(wheel, tmp_path):
    sdist = build(ROOT, "sdist", tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    assert contents(build(source, "wheel", tmp_path / "again")) == contents(wheel)
