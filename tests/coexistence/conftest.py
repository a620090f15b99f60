"""The provider of these programs, and the interpreters that have the tools (``./dev test --full``)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

TESTS = Path(__file__).parents[1]
sys.path += [str(TESTS / name) for name in ("contract", "sdks", "telemetry")]

if TYPE_CHECKING:
    from offline_provider import OfflineProvider
    from wire import Wire


@pytest.fixture
def wire(provider: OfflineProvider) -> Iterator[Wire]:
    from wire import Wire

    with Wire(provider) as running:
        yield running


@pytest.fixture
def python() -> str:
    """That of the environment with what is current."""
    return _python("NEW")


@pytest.fixture
def old_python() -> str:
    """That of the environment with openai-v2 and the SDKs of its time."""
    return _python("OLD")


def _python(age: str) -> str:
    found = os.environ.get(f"REWIND_TEST_COEXISTENCE_{age}_PYTHON", "")
    if not found:
        pytest.skip(f"REWIND_TEST_COEXISTENCE_{age}_PYTHON does not name an interpreter with the tools")
    return found
