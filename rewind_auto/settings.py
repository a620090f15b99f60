"""Every option and its variable, in the one table that the commands, the documentation and the tests read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import rewind_auto
from rewind_auto import values
from rewind_auto.core.errors import RewindError
from rewind_auto.core.model import Match, Mode

DEFAULT_STORE = "~/.rewind-auto/rewind.db"


class SettingsError(RewindError):
    """An option or a variable has a value that makes no sense. One line, naming both."""


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: its flag of ``rewind-run`` ("" when there is only a variable), and how to read it.

    ``parse`` raises ``ValueError`` with what is wrong. A flag without ``metavar`` takes no value.
    """

    flag: str
    variable: str
    field: str
    parse: Callable[[str], Any]
    help: str
    metavar: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """What was asked for, read and checked.

    ``store`` and ``prices`` are absolute paths. ``source`` is a REF, for a fork with ``@STEP``. ``speed`` is
    a factor on recorded time, 0 for none of it. ``cache_ttl`` is in seconds, None for ever; ``max_body`` in
    bytes. ``otlp`` is None, ``"1"`` (the OTEL_* variables say where to) or an http(s) URL. ``session_by`` is
    "trace", "header:NAME" or "". ``root_pid`` is the process whose end is the session's, 0 for this one;
    ``supervised``: the verdict is given by its parent.
    """

    mode: Mode = Mode.RECORD
    source: str | None = None
    session_id: str = ""
    session_name: str = ""
    command: str = ""
    root_pid: int = 0
    supervised: bool = False
    store: str = field(default_factory=lambda: values.read_store(DEFAULT_STORE))
    llm_hosts: tuple[str, ...] = ()
    tool_hosts: tuple[str, ...] = ()
    speed: float = 0.0
    cache_ttl: float | None = None
    log: str = "warning"
    ignore: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()
    match: Match = Match.RENAMED
    order: str = "any"
    max_body: int = 16 << 20
    otlp: str | None = None
    session_by: str = ""
    allow_unused: bool = False
    prices: str | None = None


# fmt: off
OPTIONS: tuple[Option, ...] = (
    Option("", "REWIND_MODE", "mode", values.read_mode,
           "record (default), cache, replay, fork or off"),
    Option("", "REWIND_FROM", "source", values.read_text,
           "the session to replay, a REF; for a fork REF or REF@STEP"),
    Option("--name", "REWIND_SESSION_NAME", "session_name", values.read_name,
           "name of the session (default: the script's)", "NAME"),
    Option("--store", "REWIND_STORE", "store", values.read_store,
           f"path or sqlite:///PATH (default: {DEFAULT_STORE})", "URL"),
    Option("--speed", "REWIND_SPEED", "speed", values.read_number,
           "replayed streams: 0 at once (default), 1 as recorded", "0|1|N"),
    Option("--match", "REWIND_MATCH", "match", values.read_match,
           "what counts as the recorded request: exact, renamed (default), aligned", "HOW"),
    Option("--order", "REWIND_ORDER", "order", values.read_order,
           "replayed answers come at once (any, default), or in recorded order", "any|recorded"),
    Option("--hosts", "REWIND_LLM_HOSTS", "llm_hosts", values.read_hosts,
           "further LLM hosts, separated by commas", "HOST[,HOST]"),
    Option("--tools", "REWIND_TOOL_HOSTS", "tool_hosts", values.read_tools,
           "hosts of the agent's own HTTP tools, or all: recorded and replayed too", "HOST[,HOST]|all"),
    Option("--otlp", "REWIND_OTLP", "otlp", values.read_otlp,
           "export spans, to URL or to where OTEL_* says", "URL"),
    Option("--allow-unused", "REWIND_ALLOW_UNUSED", "allow_unused", values.read_switch,
           "a replay may leave recorded steps unasked for"),
    Option("", "REWIND_CACHE_TTL", "cache_ttl", values.read_seconds,
           "seconds that a cached answer is good for; or 30m, 12h, 7d"),
    Option("", "REWIND_LOG", "log", values.read_level,
           f"what is said on stderr: {', '.join(values.LOG_LEVELS)} (default: warning)"),
    Option("", "REWIND_IGNORE", "ignore", values.read_paths,
           "JSON paths left out of the fingerprint, separated by commas"),
    Option("--redact", "REWIND_REDACT", "redact", values.read_redactions,
           "what else is taken out before the write: names of headers and fields, or /REGEX/", "RULE[,RULE]"),
    Option("", "REWIND_MAX_BODY", "max_body", values.read_size,
           "bytes above which a call is not recorded; or 512k, 16m (default)"),
    Option("", "REWIND_SESSION_BY", "session_by", values.read_session_by,
           "process (default), trace or header:NAME: each trace or conversation is a session of its own"),
    Option("", "REWIND_PRICES", "prices", values.read_file,
           "file with prices of your own, TOML or JSON"),
    Option("", "REWIND_SESSION_ID", "session_id", values.read_text,
           "the session to write to; set by the first process of a run"),
    Option("", "REWIND_ROOT_PID", "root_pid", values.read_pid,
           "the process that began the session; set with its id"),
    Option("", "REWIND_COMMAND", "command", values.as_utf8,
           "the command line to note with the session; set by rewind-run"),
    Option("", "REWIND_SUPERVISED", "supervised", values.read_switch,
           "1: rewind-run waits and gives the verdict; set by rewind-run"),
)
# fmt: on

_given: dict[str, str] = {}


def load(environ: Mapping[str, str]) -> Settings:
    """Read the variables of ``environ``. An empty variable is an unset one.

    Raises:
        SettingsError: a malformed value, or values that do not go together.
    """
    read: dict[str, Any] = {}
    for option in OPTIONS:
        text = environ.get(option.variable)
        if text:
            try:
                read[option.field] = option.parse(text)
            except ValueError as error:
                raise SettingsError(f"{option.variable}={text!r}: {error}") from None
    settings = Settings(**read)
    if settings.mode in (Mode.REPLAY, Mode.FORK):
        mode, source = settings.mode, settings.source
        if source is None:
            raise SettingsError(f"REWIND_MODE={mode} needs a session to {mode}: REWIND_FROM is not set")
        if mode is Mode.FORK:
            try:
                values.split_fork(source)
            except ValueError as error:
                raise SettingsError(f"REWIND_FROM={source!r}: {error}") from None
    return settings


def current() -> Settings:
    """The settings of this process: what the environment says, then what `give` was given.

    Raises:
        SettingsError: see `load`.
    """
    return load(_merged(_given))


def give(variables: Mapping[str, str]) -> Settings:
    """Add what `install` was called with, as variables, and return what now holds.

    Raises:
        SettingsError: see `load`. Then nothing is added.
    """
    settings = load(_merged({**_given, **variables}))
    _given.update(variables)
    return settings


def forget() -> None:
    """Take back everything `give` was given."""
    _given.clear()


def environment() -> dict[str, str]:
    """The environment, with those of our variables that the program has removed since it was launched."""
    return {**rewind_auto._launched, **os.environ}  # noqa: SLF001 - our own


def asked_mode() -> str:
    """The mode that the environment asks for, or ""."""
    return environment().get("REWIND_MODE", "").strip().lower()


def _merged(given: Mapping[str, str]) -> dict[str, str]:
    environ = environment()
    merged = {**given, **{name: value for name, value in environ.items() if value}}
    mode = given.get("REWIND_MODE")
    if mode and merged["REWIND_MODE"] == Mode.RECORD:
        # The launcher's default is no wish of the operator's: it must not turn a replay into live calls.
        merged["REWIND_MODE"] = mode
    hosts = [names for names in (given.get("REWIND_LLM_HOSTS"), environ.get("REWIND_LLM_HOSTS")) if names]
    if hosts:
        merged["REWIND_LLM_HOSTS"] = ",".join(hosts)
    return merged
