"""``rewind-auto doctor``: whether everything is in place, and what is set. Changes nothing."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from functools import cache, partial
from importlib import metadata
from typing import Any, NamedTuple

from rewind_auto import __version__
from rewind_auto.boot import launch
from rewind_auto.boot.tripwire import WATCHED
from rewind_auto.cli import collector, output, probe, startup_files, urls
from rewind_auto.core.errors import RewindError, UnknownReferenceError
from rewind_auto.settings import OPTIONS, Settings, load

DEPENDENCIES = (
    "opentelemetry-api",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-sdk",
    "rich",
    "wrapt",
)
# Distributions that have their hands in the same places; what ends in a hyphen is the beginning of names.
OTHER_TOOLS = (
    "aioresponses", "ddtrace", "elastic-apm", "logfire", "newrelic", "openinference-instrumentation-",
    "opentelemetry-distro", "opentelemetry-instrumentation-", "pytest-httpx", "pytest-recording",
    "requests-mock", "respx", "responses", "sentry-sdk", "traceloop-sdk", "vcrpy",
)  # fmt: skip
_OLDEST = (3, 11)
_ELSEWHERE = "--store and REWIND_STORE name another place"
_RECORD = {"REWIND_MODE": "record"}
_HOSTS = tuple(option for option in OPTIONS if option.flag in ("--hosts", "--tools"))


class Check(NamedTuple):
    """One thing looked at, and what was found."""

    name: str
    ok: bool
    detail: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "urls", metavar="URL", nargs="*", help="say whether a request to it would be recorded"
    )
    for option in _HOSTS:
        parser.add_argument(
            option.flag, metavar=option.metavar, dest=option.field, help=f"{option.help} [{option.variable}]"
        )
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
    # One process for all that is asked of it, when the first check needs it.
    child = cache(_ask_child)
    looks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("python", _python),
        ("package", lambda: f"rewind-auto {__version__} in {os.path.dirname(os.path.dirname(__file__))}"),
        ("dependencies", _dependencies),
        ("inject", lambda: f"{launch.inject_dir()} is what goes on PYTHONPATH"),
        ("child", lambda: _child(child())),
        ("enabled", _enabled),
        *((name, partial(_library, name, child)) for name in WATCHED),
        ("settings", _settings),
        ("store", lambda: _store(output.store_path(options))),
        ("exporter", _exporter),
        ("hosts", lambda: _hosts(_of_hosts(options))),
        *(("url", lambda url=url: urls.look(url, _of_hosts(options))) for url in options.urls),
        (
            "startup",
            lambda: ", ".join(child().get("startup", ())) or "no code of others runs before a program",
        ),
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
        raise _FailedError(f"{said}: {'.'.join(map(str, _OLDEST))} or newer is needed")
    return said


def _dependencies() -> str:
    versions = {name: _version(name) for name in DEPENDENCIES}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        raise _FailedError(f"missing: {', '.join(missing)}; pip install them, or rewind-auto again")
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _ask_child() -> dict[str, Any]:
    try:
        return probe.ask([sys.executable], probe.environment(os.environ, _RECORD))
    except probe.ProbeError as error:
        return {"armed": False, "told": str(error), "libraries": {}}


def _child(found: dict[str, Any]) -> str:
    if not found["armed"] or "problem" in found:
        reason = found["told"] or found.get("problem") or "the agent is not loaded"
        raise _FailedError(f"{reason}; something before ours on PYTHONPATH, or a sitecustomize, keeps it out")
    return "a Python child process loads the agent"


def _enabled() -> str:
    files = startup_files.found()
    if not files:
        return (
            "no: python -I, -E and processes without PYTHONPATH do not load the agent;"
            " `rewind-auto enable` makes REWIND_MODE enough (never for python -S)"
        )
    where = " and ".join(files)
    if not all(map(startup_files.is_current, files)):
        raise _FailedError(f"{where} is of another installation; `rewind-auto enable` writes it anew")
    if not probe.loads_with(sys.executable, "E", os.environ):
        raise _FailedError(f"{where} is there, and yet `python -E` does not load the agent")
    return f"REWIND_MODE is enough ({startup_files.covers(files[0])}): {where}"


def _library(name: str, child: Callable[[], dict[str, Any]]) -> str:
    libraries = child()["libraries"]
    if name not in libraries:
        raise _FailedError("not looked at: see child")
    ok, said = probe.verdict(libraries[name])
    if not ok:
        raise _FailedError(said)
    return said


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
            raise _FailedError(f"cannot be created at {path}: {directory} is not writable; {_ELSEWHERE}")
        return f"will be created at {path}"
    if not os.access(path, os.W_OK) or not os.access(directory, os.W_OK):
        raise _FailedError(f"{path} is not writable (its directory has to be, too); {_ELSEWHERE}")
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
    return collector.check(wanted)


def _of_hosts(options: argparse.Namespace) -> Settings:
    """The settings that say which hosts are ours: an option goes before its variable."""
    given = {
        option.variable: getattr(options, option.field) or os.environ.get(option.variable, "")
        for option in _HOSTS
    }
    return load(given)


def _hosts(settings: Settings) -> str:
    from rewind_auto.providers.hosts import PROVIDERS

    said = f"{sum(len(hosts) for _, hosts in PROVIDERS)} host names of {len(PROVIDERS)} providers, "
    said += f"and yours: {', '.join(settings.llm_hosts)}" if settings.llm_hosts else "none of your own"
    return f"{said}; tools: {', '.join(settings.tool_hosts)}" if settings.tool_hosts else said


def _other_tools() -> str:
    prefixes = tuple(name for name in OTHER_TOOLS if name.endswith("-"))
    found = {}
    for distribution in metadata.distributions():
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        if name in OTHER_TOOLS or name.startswith(prefixes):
            found[name] = distribution.version
    return ", ".join(f"{name} {found[name]}" for name in sorted(found)) or "none that hook the same libraries"
