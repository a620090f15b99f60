"""What every test has: a clean environment, a store of its own and, when asked for, a local provider."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from offline_provider import OfflineProvider

# The developer's own settings, keys and proxies must neither steer a test nor be used by one.
_FOREIGN = ("REWIND_", "OTEL_", "OPENAI_", "ANTHROPIC_", "GEMINI_", "GOOGLE_")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_ENDS: tuple[tuple[signal.Signals, Any], ...] = (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGQUIT, signal.SIG_DFL),
)
_HANDED_IN = "REWIND_TEST_"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the tests marked slow too")


def pytest_configure(config: pytest.Config) -> None:
    # The same examples each time, so that a run says something of the change it is for; new ones with --full.
    settings.register_profile("ours", derandomize=not config.getoption("--full"))
    settings.load_profile("ours")
    # A shell has its jobs in the background ignore these, as nohup does, and every program inherits that.
    for number, handler in _ENDS:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    for name in tuple(os.environ):
        foreign = name.startswith(_FOREIGN) and not name.startswith(_HANDED_IN)
        if foreign or name.upper() in _PROXIES:
            del os.environ[name]
    os.environ["REWIND_TESTING"] = "1"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--full"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="slow: runs with --full"))


@pytest.fixture(autouse=True)
def store_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Path of this test's store, in REWIND_STORE too. Nothing is there yet."""
    path = tmp_path / "store" / "rewind.db"
    monkeypatch.setenv("REWIND_STORE", str(path))
    return path


@pytest.fixture
def provider() -> Iterator[OfflineProvider]:
    """A running offline provider on a loopback port of its own."""
    with OfflineProvider() as running:
        yield running
