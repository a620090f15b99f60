"""The way in under ``opentelemetry-instrument``, whose sitecustomize does not run the one it shadows."""

from __future__ import annotations

import os

from rewind_auto.boot import tripwire


def pre_instrument() -> None:
    """Arm, if ``REWIND_MODE`` is set and not to off: being installed is no wish to record."""
    mode = os.environ.get("REWIND_MODE", "").strip().lower()
    if mode not in ("", "off"):
        tripwire.arm(strict=mode == "replay", launched=True)
