"""Runs a program and lives on for so many seconds: ``lingering.py SECONDS PROGRAM [ARG…]``."""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path

seconds, sys.argv = float(sys.argv[1]), sys.argv[2:]
sys.path[0] = str(Path(sys.argv[0]).parent)
runpy.run_path(sys.argv[0], run_name="__main__")
time.sleep(seconds)
