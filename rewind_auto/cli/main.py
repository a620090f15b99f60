"""``rewind-auto``: looks at what was recorded. Starts with nothing but argparse; a verb brings the rest."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from rewind_auto import __version__
from rewind_auto.cli.streams import USAGE, Parser, command, say
from rewind_auto.core.errors import RewindError
from rewind_auto.settings import OPTIONS, load

PROG = "rewind-auto"
VERBS = {
    "sessions": "list the recorded sessions, newest first",
    "show": "show a session's steps, or one step in full",
    "stats": "add up what was spent, and what replays saved: tokens, money, time",
    "diff": "compare two sessions, call by call",
    "export": "write sessions to a file, whole (JSON Lines) or for viewers (HAR)",
    "import": "read sessions from a file: an export, or a cassette of vcrpy",
    "edit": "change a recorded answer, in a new fork",
    "rm": "remove sessions from the store",
    "prune": "remove old sessions from the store",
    "scrub": "take secrets out of recordings that are there already",
    "path": "print the directory that PYTHONPATH needs for the agent to load",
    "doctor": "check the installation and what is set",
    "enable": "let REWIND_MODE alone load the agent in this environment, with python -I and -E too",
    "disable": "undo enable",
}
_STORE = next(option for option in OPTIONS if option.field == "store")


class _Nothing(ModuleType):
    """A module from which anything can be imported, and is None."""

    def __getattr__(self, name: str) -> None:
        return None


def main() -> NoReturn:
    """Entry point of the console script."""
    # As any other tool: no traceback in ``| head``, nor on Ctrl-C.
    for name in ("SIGPIPE", "SIGINT"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    # genai-prices brings an HTTP client along, for updates that nobody wants here: a sixth of `show`'s time.
    sys.modules["genai_prices.update_prices"] = _Nothing("genai_prices.update_prices")
    command(PROG, run)


def run(argv: Sequence[str]) -> int:
    """Run ``rewind-auto`` with these arguments and return its exit code. Wrong ones end the process."""
    parser = _parser(argv)
    options = parser.parse_args(argv)
    if options.verb is None:
        parser.error(f"no command given, one of: {', '.join(VERBS)}")
    try:
        _use_rules()
        code: int = _module(options.verb).run(options)
    except (RewindError, FileNotFoundError) as error:
        from rewind_auto.cli.output import printable

        said = printable(str(error)).encode("utf-8", "backslashreplace").decode()  # some quote what was read
        say(f"{PROG}: {said}")
        return USAGE
    return code


def _use_rules() -> None:
    if os.environ.get("REWIND_REDACT"):
        from rewind_auto.core import redact

        redact.use(load({"REWIND_REDACT": os.environ["REWIND_REDACT"]}).redact)


def _module(verb: str) -> ModuleType:
    return import_module(f"rewind_auto.cli.{'importing' if verb == 'import' else verb}")


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = Parser(
        PROG,
        description="Look at recorded sessions of LLM calls, and at the installation.",
        epilog="REF is a session id, a unique prefix of one, a name (its newest), last, or trace:<trace id>.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"rewind-auto {__version__}")
    _add_store(parser, default=None)
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", title="commands")
    for name, text in VERBS.items():
        verb = verbs.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False
        )
        _add_store(verb, default=argparse.SUPPRESS)  # what stood before the verb holds
        if name in argv:
            _module(name).configure(verb)
    return parser


def _add_store(parser: argparse.ArgumentParser, *, default: str | None) -> None:
    text = f"{_STORE.help} [{_STORE.variable}]"
    parser.add_argument(_STORE.flag, metavar=_STORE.metavar, type=_store, default=default, help=text)


def _store(text: str) -> str:
    try:
        path: str = _STORE.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    return path


if __name__ == "__main__":
    main()
