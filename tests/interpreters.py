"""Interpreters of other versions, where there are any."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def python(version: str) -> str:
    """Path of an interpreter of this version ("3.12"); skips the test when there is none."""
    for place in sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")):
        return str(place)
    found = shutil.which(f"python{version}")
    # What is there may be a stand-in of a version manager's, with nothing behind it.
    if found is None or subprocess.run([found, "-c", "pass"], capture_output=True).returncode:
        pytest.skip(f"no Python {version} here")
    return found
