"""``rewind-run``: sets the environment and becomes the command. Starts with nothing but argparse."""

from __future__ import annotations

import argparse
import errno
import os
import re
import shlex
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from rewind_auto import __version__
from rewind_auto.boot import launch
from rewind_auto.cli import streams
from rewind_auto.core.errors import RewindError
from rewind_auto.core.model import Mode
from rewind_auto.settings import OPTIONS, Option, Settings, load
from rewind_auto.store import header
from rewind_auto.values import read_name

PROG = "rewind-run"
CANNOT_EXECUTE, NOT_FOUND = 126, 127
_COMMAND_LIMIT = 4096  # characters of the command line kept with the session
_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*://")

_DESCRIPTION = "Run a command and record, or replay, the LLM calls of every Python process in it."
_REF = "REF is a session id, a unique prefix of one, a name (its newest), last, or trace:<trace id>."
_MODES = (
    # (flag, metavar of its value or None, mode, help)
    ("--record", None, Mode.RECORD, "send every call and record it (default)"),
    ("--cache", None, Mode.CACHE, "answer what any session has recorded, send and record the rest"),
    ("--replay", "REF", Mode.REPLAY, "answer from a session and send nothing; exit 86 if the run diverges"),
    (
        "--fork",
        "REF[@STEP]",
        Mode.FORK,
        "answer from a session up to a step (or the first change), then live",
    ),
    ("--off", None, Mode.OFF, "run the command as it is"),
)


def main() -> NoReturn:
    """Entry point of the console script."""
    streams.command(PROG, run)


def run(argv: Sequence[str]) -> int:
    """Run ``rewind-run`` with these arguments. Returns only when it has not become the command."""
    try:
        options, command = _split(argv)
        flags = _flags(options)
        info, as_json = flags.pop("info"), flags.pop("json")
        if as_json and not info:
            raise RewindError("--json goes with --info")
        if not any(command[:1]) and not info:
            raise RewindError(f"no command given; try: {PROG} python agent.py")
        settings = load(_applied(os.environ, flags))
        overrides = {**flags, **_session(settings, command)}
        if info:
            from rewind_auto.cli import info as report

            _default_signals()
            return report.show(settings, command, overrides, as_json=as_json)
        _check(settings, command)
        if settings.mode is Mode.REPLAY:
            from rewind_auto.cli import supervise

            return supervise.replay(settings, command, overrides)
        if settings.mode is Mode.OFF:
            return _become(command, _applied(os.environ, {**overrides, "REWIND_MODE": Mode.OFF}))
        if settings.mode is Mode.FORK:
            from rewind_auto.cli.source import find, hosts

            source, pinned = find(settings)
            overrides |= {"REWIND_FROM": pinned, **hosts(settings, source)}
        else:
            header.check(settings.store)
        return _become(command, launch.environment(os.environ, overrides))
    except (RewindError, FileNotFoundError) as error:
        streams.say(f"{PROG}: {error}")
        return streams.USAGE


def failure(command: Sequence[str], error: OSError) -> int:
    """Say why a command could not be executed, and return the exit code a shell would give."""
    program = command[0]
    # A path that is there and yet "not found": it names an interpreter in its first line that is not.
    if error.errno in (errno.ENOENT, errno.ENOTDIR) and not ("/" in program and os.path.exists(program)):
        hint = (
            f"; did you mean: {PROG} python {program}"
            if program.endswith(".py") and os.path.exists(program)
            else ""
        )
        streams.say(f"{PROG}: command not found: {program}{hint}")
        return NOT_FOUND
    reason = "its interpreter is missing" if error.errno == errno.ENOENT else error.strerror
    if os.path.isdir(program):
        reason = "Is a directory"
    streams.say(f"{PROG}: cannot execute {program}: {reason}")
    return CANNOT_EXECUTE


def _split(argv: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Tell our options from the command: it starts at the first word that is neither an option nor its value.

    Not with argparse's REMAINDER, which looks at the command's words too before it leaves them alone.
    """
    with_value = {option.flag for option in OPTIONS if option.metavar} | {
        flag for flag, metavar, *_ in _MODES if metavar
    }
    place = 0
    while place < len(argv):
        word = argv[place]
        if word == "--":
            return argv[:place], argv[place + 1 :]
        if not word.startswith("-"):
            break
        place += 1
        if (
            word == "--otlp"
        ):  # its value may be left out: the command is taken for one only if it has a scheme
            place += bool(_SCHEME.match("".join(argv[place : place + 1])))
        elif word in with_value:
            place += 1
    return argv[:place], argv[place:]


def _flags(options: Sequence[str]) -> dict[str, Any]:
    """The flags as variables, and ``info``. Ends the process on a wrong one, and on ``--help``."""
    variables = "\n".join(f"  {option.variable:<20} {option.help}" for option in OPTIONS if not option.flag)
    parser = streams.Parser(
        PROG,
        usage=f"{PROG} [OPTIONS] [--] COMMAND [ARGS...]",
        description=_DESCRIPTION,
        epilog=f"{_REF}\n\nEvery option has a variable, and there are more variables:\n{variables}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    modes = parser.add_mutually_exclusive_group()
    for flag, metavar, mode, text in _MODES:
        if metavar:
            modes.add_argument(flag, metavar=metavar, dest="mode", type=_with_mode(mode), help=text)
        else:
            modes.add_argument(flag, action="store_const", dest="mode", const=(mode, None), help=text)
    for option in OPTIONS:
        if option.flag:
            takes: dict[str, Any] = {"metavar": option.metavar, "type": _checked(option)}
            if option.flag == "--otlp":
                takes |= {"nargs": "?", "const": "1"}
            elif not option.metavar:
                takes = {"action": "store_const", "const": "1"}
            parser.add_argument(
                option.flag, dest=option.variable, help=f"{option.help} [{option.variable}]", **takes
            )
    parser.add_argument("--info", action="store_true", help="say what would happen, run nothing")
    parser.add_argument("--json", action="store_true", help="with --info: print an object for programs")
    parser.add_argument("--version", action="version", version=f"rewind-auto {__version__}")
    given = {name: value for name, value in vars(parser.parse_args(options)).items() if value is not None}
    mode = given.pop("mode", None)
    if mode is not None:
        given["REWIND_MODE"], given["REWIND_FROM"] = mode
    return given


def _with_mode(mode: Mode) -> Callable[[str], tuple[Mode, str]]:
    return lambda ref: (mode, ref)


def _checked(option: Option) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not text.strip():  # as a variable it would be an unset one
            raise argparse.ArgumentTypeError(f"{text!r}: is empty")
        try:
            option.parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
        return text

    return read


def _applied(environ: Mapping[str, str], overrides: Mapping[str, str | None]) -> dict[str, str]:
    merged = {**environ, **overrides}
    return {name: value for name, value in merged.items() if value is not None}


def _session(settings: Settings, command: Sequence[str]) -> dict[str, str | None]:
    """The variables of a new session."""
    # Below another rewind-run, the name that is set is that of the session around this one.
    inherited = "REWIND_COMMAND" in os.environ and settings.session_name == os.environ.get(
        "REWIND_SESSION_NAME"
    )
    name = "" if inherited else settings.session_name
    line = ""
    for words in range(1, len(command) + 1):
        longer = shlex.join(command[:words])
        if len(longer) > _COMMAND_LIMIT:
            break
        line = longer
    return {
        "REWIND_MODE": settings.mode,
        "REWIND_SESSION_ID": os.urandom(16).hex(),
        "REWIND_ROOT_PID": str(os.getpid()),
        "REWIND_SUPERVISED": "1" if settings.mode is Mode.REPLAY else None,
        "REWIND_SESSION_NAME": name or (_name(command) if command else None),
        "REWIND_COMMAND": line,
        # Absolute: children may change their directory, or their HOME.
        "REWIND_STORE": settings.store,
    }


def _name(command: Sequence[str]) -> str:
    """The command's name, as one that `read_name` takes: files may be called anything."""
    name = "".join(
        c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in launch.default_name(command)
    )
    try:
        return read_name(name)
    except ValueError:  # "last" and "trace:..." are how other sessions are referred to
        return f"./{name}"


def _check(settings: Settings, command: Sequence[str]) -> None:
    left_out = launch.left_out(command) if settings.mode is not Mode.OFF else None
    if left_out is None:
        return
    if left_out.python:
        from rewind_auto.cli import probe

        if probe.loads_with(left_out.python, left_out.switches, os.environ):
            return
    text = f"{left_out.reason}, so the agent would not be loaded"
    if settings.mode is Mode.REPLAY:
        raise RewindError(text)
    streams.say(f"{PROG}: {text.replace('would', 'will')}: nothing is recorded")


def _become(command: Sequence[str], environ: Mapping[str, str]) -> int:
    _default_signals()
    try:
        os.execvpe(command[0], list(command), environ)  # noqa: S606 - running the command is the product
    except OSError as error:
        return failure(command, error)


def _default_signals() -> None:
    # The interpreter ignores these from its start on, and an ignored signal stays ignored across exec.
    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)


if __name__ == "__main__":
    main()
