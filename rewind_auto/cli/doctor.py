"""``rewind-auto doctor``: whether everything is in place, and what is set. Changes nothing."""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from importlib import metadata
from typing import NamedTuple
from urllib.parse import urlsplit

from rewind_auto import __version__
from rewind_auto.boot import launch
from rewind_auto.boot.hooks import ADAPTERS
from rewind_auto.boot.tripwire import WATCHED
from rewind_auto.cli import output
from rewind_auto.core.errors import RewindError, UnknownReferenceError
from rewind_auto.settings import OPTIONS, load

DEPENDENCIES = (
    "opentelemetry-api",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-sdk",
    "rich",
    "wrapt",
)
# Distributions that have their hands in the same places.
OTHER_TOOLS = ("opentelemetry-instrumentation", "ddtrace", "newrelic", "sentry-sdk", "logfire", "vcrpy")
_OLDEST = (3, 11)
_TIMEOUT = 30  # seconds for an interpreter to start and import a library
_CONNECT = 1.0  # seconds

_ARMED = """
import sys
tripwire = sys.modules.get("rewind_auto.boot.tripwire")
print("armed" if tripwire and tripwire.is_armed() else "the agent is not loaded")
"""
_HOOKED = """
import importlib, json, sys
module = importlib.import_module(sys.argv[1])
adapter = importlib.import_module(sys.argv[2])
hooked = adapter.is_installed(module)
json.dump([module.__version__, adapter.has_seam(module), hooked, adapter.WITHOUT_SEAM], sys.stdout)
"""


class Check(NamedTuple):
    """One thing looked at, and what was found."""

    name: str
    ok: bool
    detail: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--json", action="store_true", help="print an object for programs")


def run(options: argparse.Namespace) -> int:
    """Print every check. Returns 1 when one of them fails."""
    checks = list(_checks(options))
    ok = all(check.ok for check in checks)
    if options.json:
        output.print_json({"ok": ok, "checks": (check._asdict() for check in checks)})
    else:
        _show(checks)
    return 0 if ok else 1


def _show(checks: Sequence[Check]) -> None:
    from rich.text import Text

    console = output.console()
    width = max(len(check.name) for check in checks)
    for name, ok, detail in checks:
        mark = ("✓", "green") if ok else ("✗", "bold red")
        lead = Text.assemble(mark, " ", (name.ljust(width), "bold"), "  ")
        output.hang(console, lead, Text(output.printable(detail), "" if ok else "red"))


def _checks(options: argparse.Namespace) -> Iterator[Check]:
    looks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("python", _python),
        ("package", lambda: f"rewind-auto {__version__} in {os.path.dirname(os.path.dirname(__file__))}"),
        ("dependencies", _dependencies),
        ("inject", lambda: f"{launch.inject_dir()} is what goes on PYTHONPATH"),
        ("child", _child),
        *((name, partial(_library, name)) for name in WATCHED),
        ("settings", _settings),
        ("store", lambda: _store(output.store_path(options))),
        ("exporter", _exporter),
        ("hosts", _hosts),
        ("other tools", _other_tools),
    )
    for name, look in looks:
        try:
            yield Check(name, ok=True, detail=look())
        except (_FailedError, RewindError, OSError) as error:
            yield Check(name, ok=False, detail=str(error))


class _FailedError(Exception):
    """A check that fails, and why."""


def _python() -> str:
    said = f"{platform.python_version()} in {sys.executable}"
    if sys.version_info < _OLDEST:
        raise _FailedError(f"{said}: {'.'.join(map(str, _OLDEST))} is needed")
    return said


def _dependencies() -> str:
    versions = {name: _version(name) for name in DEPENDENCIES}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        raise _FailedError(f"missing: {', '.join(missing)}")
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _child() -> str:
    said, told = _in_child(_ARMED)
    if said != "armed":
        raise _FailedError(told or said)
    return "a Python child process loads the agent"


def _in_child(code: str, *argv: str) -> tuple[str, str]:
    """The last lines that a Python process below ``rewind-run`` writes to stdout and stderr.

    Raises:
        _FailedError: it failed, with its last words.
    """
    # The user's own settings stay out: a wrong one is a check of its own.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REWIND_")}
    environ = launch.environment(clean, {"REWIND_MODE": "record"})
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, *argv],
            env=environ,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _FailedError(f"no answer within {_TIMEOUT} s") from None
    said, told = (text.strip().rpartition("\n")[2] for text in (done.stdout, done.stderr))
    if done.returncode or not said:
        raise _FailedError(told or f"exit code {done.returncode}")
    return said, told


def _library(name: str) -> str:
    if _version(name) is None:
        return "not installed"
    version, seam, hooked, without = json.loads(_in_child(_HOOKED, name, ADAPTERS[name])[0])
    if not seam:
        raise _FailedError(f"{version} lacks the seam: {without}")
    if not hooked:
        raise _FailedError(f"{version} is not hooked")
    return f"{version}, hooked"


def _settings() -> str:
    settings = load(os.environ)
    named = [option.variable for option in OPTIONS if os.environ.get(option.variable)]
    return f"mode {settings.mode}; set: {', '.join(named) or 'nothing'}"


def _store(path: str) -> str:
    from rewind_auto.store import header, open_store
    from rewind_auto.store.schema import SCHEMA_VERSION

    header.check(path)
    directory = os.path.dirname(path)
    if not os.path.exists(path):
        while not os.path.exists(directory):
            directory = os.path.dirname(directory)
        if not os.access(directory, os.W_OK | os.X_OK):
            raise _FailedError(f"cannot be created at {path}: {directory} is not writable")
        return f"will be created at {path}"
    if not os.access(path, os.W_OK) or not os.access(directory, os.W_OK):
        raise _FailedError(f"{path} is not writable (the directory has to be, too)")
    if os.path.getsize(path):
        with suppress(UnknownReferenceError), closing(open_store(path, create=False)) as store:
            store.resolve("last")  # unknown: readable, and nothing in it
    return f"{path}: readable and writable, format {SCHEMA_VERSION}, {os.path.getsize(path) / 1e6:.1f} MB"


def _exporter() -> str:
    from rewind_auto.telemetry.provider import plan

    wanted = plan(load({"REWIND_OTLP": os.environ.get("REWIND_OTLP", "")}).otlp, os.environ)
    if wanted is None:
        return "not configured: spans go where the program's own TracerProvider sends them, if it has one"
    if wanted.exporters == ("console",):
        return "spans are written to stderr"
    if "otlp" not in wanted.exporters:
        return f"spans go to {', '.join(wanted.exporters)}"
    host, port = _collector(wanted.endpoint)
    try:
        socket.create_connection((host, port), timeout=_CONNECT).close()
    except OSError as error:
        raise _FailedError(f"nobody listens at {host}:{port}: {error.strerror or error}") from None
    return f"{host}:{port} is reachable"


def _collector(endpoint: str | None) -> tuple[str, int]:
    """Host and port that spans go to. No more of the URL, which may hold secrets."""
    environ = os.environ
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    usual = 4317 if protocol == "grpc" and endpoint is None else 4318
    named = (
        endpoint
        or environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    )
    url = named or f"http://localhost:{usual}"
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, usual)
    except ValueError as error:
        raise _FailedError(f"the endpoint is not a URL: {error}") from None
    if not parts.hostname:
        raise _FailedError("the endpoint names no host")
    return parts.hostname, port


def _hosts() -> str:
    from rewind_auto.providers.hosts import PROVIDERS

    users = load({"REWIND_LLM_HOSTS": os.environ.get("REWIND_LLM_HOSTS", "")}).llm_hosts
    known = f"{sum(len(hosts) for _, hosts in PROVIDERS)} host names of {len(PROVIDERS)} providers"
    return f"{known}, and yours: {', '.join(users)}" if users else f"{known}, none of your own"


def _other_tools() -> str:
    found = [f"{name} {version}" for name in OTHER_TOOLS if (version := _version(name))]
    return ", ".join(found) or "none of those that hook the same libraries"
