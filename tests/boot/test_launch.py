"""The environment that a command is given, and what can be told from its command line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rewind_auto.boot import launch

OURS = launch.inject_dir()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", [OURS]),
        ("/a:/b", [OURS, "/a", "/b"]),
        (f"/a:{OURS}:/b", [OURS, "/a", "/b"]),
        (f"{OURS}/:{OURS}", [OURS]),
        ("/a:", [OURS, "/a", ""]),
        (":/a", [OURS, "", "/a"]),
        (f"{OURS}:", [OURS, ""]),
        ("rel/x", [OURS, "rel/x"]),
    ],
)
def test_python_path_keeps_what_it_had(old: str, new: list[str]) -> None:
    assert launch.python_path(OURS, old).split(":") == new


@pytest.mark.parametrize("old", ["", ":", "/tmp:", ":/tmp", "lib", "/tmp::/"])
def test_python_reads_the_same_path_from_it(old: str, tmp_path) -> None:
    """An empty entry is the current directory to Python; an empty variable is nothing."""
    (tmp_path / "lib").mkdir()

    def seen(path: str) -> list[str]:
        code = "import json, sys; print(json.dumps(sys.path))"
        environ = {**os.environ, "PYTHONPATH": path, "REWIND_MODE": "off"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environ, cwd=tmp_path, capture_output=True, check=True
        )
        return __import__("json").loads(done.stdout)

    assert [entry for entry in seen(launch.python_path(OURS, old)) if entry != OURS] == seen(old)


def test_environment_sets_and_removes() -> None:
    environ = {"A": "1", "B": "2", "REWIND_FROM": "x"}
    result = launch.environment(environ, {"B": "3", "REWIND_FROM": None, "NOT_THERE": None})
    assert result == {"A": "1", "B": "3", "PYTHONPATH": OURS}
    assert environ == {"A": "1", "B": "2", "REWIND_FROM": "x"}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python agent.py", "agent"),
        ("/usr/bin/python3.12 -u -X dev -Wignore /a/b/my.agent.py --name x", "my.agent"),
        ("python -m pkg.mod --x y", "pkg.mod"),
        ("python -um pkg", "pkg"),
        ("python -mpkg", "pkg"),
        ("python -c pass", "python"),
        ("python", "python"),
        ("python -", "python"),
        ("python3.11 -i", "python3.11"),
        ("python -W error -- x", "x"),
        ("python pkg/__main__.py", "pkg"),
        ("python dist/app.pyz", "app"),
        ("python a/dir/", "dir"),
        ("./agent.py -m x", "agent"),
        ("/usr/local/bin/uvicorn app:app", "uvicorn"),
        ("bash x.sh", "bash"),
        ("pypy3 x.py", "x"),
        ("env A=b python agent.py", "agent"),
        ("env", "env"),
    ],
)
def test_default_name(command: str, name: str) -> None:
    assert launch.default_name(command.split()) == name


@pytest.mark.parametrize(
    ("command", "ignores"),
    [
        ("python x.py -I", False),
        ("python -I x.py", True),
        ("python -uE x.py", True),
        ("python -S", True),
        ("python -W I x.py", False),
        ("python -X E -u x.py", False),
        ("python -c S", False),
        ("python -s -P x.py", False),
    ],
)
def test_switches_that_keep_the_agent_out(command: str, ignores: bool) -> None:
    python = launch.python_command(command.split())
    assert python is not None
    assert python.ignores_environment is ignores


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("python x.py", None),
        ("bash -E x.sh", None),
        ("no-such-command", None),
        ("python -I x.py", "python -I ignores the environment"),
        ("env python x.py", None),
        ("env", None),
        ("env A=b -u HOME python -E x.py", "python -E ignores the environment"),
        ("env -i python x.py", "env takes PYTHONPATH away"),
        ("/usr/bin/env - A=b make", "/usr/bin/env takes PYTHONPATH away"),
        ("env -uPYTHONPATH x", "env takes PYTHONPATH away"),
        ("env --unset=PYTHONPATH x", "env takes PYTHONPATH away"),
        ("env -u PYTHONPATH x", "env takes PYTHONPATH away"),
        ("env -u OTHER x", None),
        ("env PYTHONPATH=lib x", "env takes PYTHONPATH away"),
        ("env A=b env --ignore-environment x", "env takes PYTHONPATH away"),
        ("python x.py env -i", None),
        ("./isolated", "/usr/bin/python3 -I ignores the environment"),
        ("isolated", "/usr/bin/python3 -I ignores the environment"),
        ("env isolated", "/usr/bin/python3 -I ignores the environment"),
        ("./split -I", "python3 -uE ignores the environment"),
        ("./plain -I", None),
        ("./empty", None),
        ("env -S 'python", None),
    ],
)
def test_what_keeps_the_agent_out(command: str, reason: str | None, tmp_path, monkeypatch) -> None:
    lines = {
        "isolated": "#!/usr/bin/python3 -I",
        "split": "#!/usr/bin/env -S python3 -uE",
        "plain": "#!/bin/sh -E",
        "empty": "",
    }
    for name, line in lines.items():
        (tmp_path / name).write_text(line)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = launch.left_out(command.split())
    assert (found and found.reason) == reason


def test_other_commands_are_not_python() -> None:
    assert launch.python_command(["bash", "python"]) is None


def test_incomplete_installation_is_told(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(launch, "_PACKAGE", str(tmp_path / "rewind_auto"))
    with pytest.raises(FileNotFoundError, match=r"^this installation is incomplete: no sitecustomize.py in "):
        launch.inject_dir()
    (tmp_path / "sitecustomize").mkdir()
    (tmp_path / "sitecustomize" / "sitecustomize.py").touch()
    assert launch.inject_dir() == str(tmp_path / "sitecustomize")
    (tmp_path / "rewind_auto" / "_inject").mkdir(parents=True)
    (tmp_path / "rewind_auto" / "_inject" / "sitecustomize.py").touch()
    assert launch.inject_dir() == str(tmp_path / "rewind_auto" / "_inject")
