"""What ``rewind-run --info`` prints: what would happen, without any of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

from rewind_auto.boot import launch
from rewind_auto.core.model import Mode
from rewind_auto.settings import Settings
from rewind_auto.store import header

_TIMEOUT = 20  # seconds for an interpreter to start

# Prints the version of the interpreter, then that of the package or why there is none.
_PROBE = """
import sys
print("%d.%d.%d" % sys.version_info[:3])
try:
    import rewind_auto
    print("rewind_auto %s in %s" % (rewind_auto.__version__, rewind_auto.__file__))
except Exception as error:
    print("cannot import rewind_auto: %s" % error)
"""


def show(settings: Settings, command: Sequence[str], overrides: Mapping[str, str | None]) -> int:
    """Print what this call of ``rewind-run`` would do. Returns the exit code.

    Raises:
        RewindError: it would be refused.
    """
    rows = [("mode", str(settings.mode)), ("name", overrides["REWIND_SESSION_NAME"] or "(the command's)")]
    if settings.mode in (Mode.REPLAY, Mode.FORK):
        from rewind_auto.cli.source import find

        source, _ = find(settings)
        rows.append(("source", f"{source.name} {source.id}, {source.steps} steps"))
    else:
        header.check(settings.store)
    there = "" if os.path.exists(settings.store) else " (will be made)"
    rows += [
        ("store", settings.store + there),
        ("hosts", ", ".join(("the known providers", *settings.llm_hosts))),
        (
            "spans",
            "exported to " + ("where OTEL_* says" if settings.otlp == "1" else settings.otlp)
            if settings.otlp
            else "not exported by us",
        ),
        ("inject", launch.inject_dir()),
    ]
    rows += _command_rows(command, launch.environment(os.environ, {**overrides, "REWIND_MODE": Mode.RECORD}))
    for label, text in rows:
        print(f"{label:<8} {text}")
    return 0


def _command_rows(command: Sequence[str], environ: Mapping[str, str]) -> list[tuple[str, str]]:
    if not command:
        return [("command", "(none given)")]
    found = shutil.which(command[0])
    if found is None:
        return [("command", f"{command[0]}: not found")]
    rows = [("command", found)]
    python = launch.python_command(command)
    if python is not None and python.ignores_environment:
        rows.append(
            ("warning", f"-{python.switches} makes Python ignore the environment: the agent is not loaded")
        )
    interpreter = [found] if python is not None else _shebang(found)
    if not interpreter:
        return [*rows, ("python", "not a Python program; those below it are recorded")]
    try:
        probe = subprocess.run(
            [*interpreter, "-c", _PROBE],
            env=environ,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [*rows, ("python", f"{' '.join(interpreter)}: {error}")]
    version, _, package = probe.stdout.strip().partition("\n")
    return [
        *rows,
        ("python", f"{version} in {' '.join(interpreter)}"),
        ("package", package or probe.stderr.strip()),
    ]


def _shebang(path: str) -> list[str]:
    """The Python that a script names in its first line, or nothing."""
    with open(path, "rb") as file:
        line = file.readline(256)
    if not line.startswith(b"#!"):
        return []
    words = line[2:].decode(sys.getfilesystemencoding(), "replace").split()
    if words and os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    return words[:1] if words and os.path.basename(words[0]).startswith(("python", "pypy")) else []
