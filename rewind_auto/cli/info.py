"""What ``rewind-run --info`` prints: what would happen, without any of it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rewind_auto.boot import launch
from rewind_auto.cli import output, probe
from rewind_auto.core.model import Mode
from rewind_auto.settings import Settings
from rewind_auto.store import header


def show(
    settings: Settings, command: Sequence[str], overrides: Mapping[str, str | None], *, as_json: bool
) -> int:
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
    if as_json:
        output.print_json(dict(rows))
        return 0
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
    left_out = launch.left_out(command)
    if left_out is not None and not left_out.python:
        return [*rows, ("warning", f"{left_out.reason}: the agent is not loaded")]
    if left_out is not None and left_out.python:
        interpreter = [left_out.python, *probe.flags(left_out.switches)]
    else:
        interpreter = [found] if launch.python_command(command) is not None else _shebang(found)
    if not interpreter:
        return [*rows, ("python", "not a Python program; those below it are recorded")]
    try:
        seen = probe.ask(interpreter, environ)
    except probe.ProbeError as error:
        return [*rows, ("python", f"{' '.join(interpreter)}: {error}")]
    if not seen["armed"]:
        rows.append(("warning", _why_not(seen, left_out)))
    rows.append(("python", f"{seen['python']} in {' '.join(interpreter)}"))
    rows.append(("package", seen.get("package") or seen["problem"]))
    rows += ((name, probe.verdict(library)[1]) for name, library in seen["libraries"].items())
    if seen.get("startup"):
        rows.append(("startup", ", ".join(seen["startup"])))
    return rows


def _why_not(seen: Mapping[str, Any], left_out: launch.LeftOut | None) -> str:
    if left_out is None:
        return f"the agent is not loaded: {seen['told'] or seen.get('problem', 'something keeps it out')}"
    said = f"{left_out.reason}: the agent is not loaded"
    return said if "S" in left_out.switches else f"{said}; `rewind-auto enable` there would change that"


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
