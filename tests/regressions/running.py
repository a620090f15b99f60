"""How the programs of these tests are started."""

from __future__ import annotations

import sys

RUN = [sys.executable, "-m", "rewind_auto.cli.run"]
