"""What the tests of loading ask child interpreters, and which interpreters there are."""

from __future__ import annotations

from pathlib import Path

import pytest

ARMED = "import sys; t = sys.modules.get('rewind_auto.boot.tripwire'); print(bool(t) and t.is_armed())"


def older_python(version: str) -> str:
    """Path of an interpreter of this version; skips the test when there is none."""
    for place in (Path("/usr/bin"), *sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin"))):
        if (place / f"python{version}").is_file():
            return str(place / f"python{version}")
    pytest.skip(f"no Python {version} here")
