"""``rewind-auto sessions``."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
from looking import AGAIN, START, TRIP, fill, look, printed

from rewind_auto.core.model import Session
from rewind_auto.store import open_store

TRIP_JSON = {
    "id": TRIP,
    "name": "trip",
    "mode": "record",
    "status": "completed",
    "parent": None,
    "fork_step": None,
    "outer": None,
    "started_at": "2027-01-15T08:00:00.062500Z",
    "ended_at": "2027-01-15T08:00:03.562500Z",
    "command": ["python", "my agent.py", "Lima"],
    "steps": 8,
    "decisions": {"record": 7, "bypass": 1},
}
AGAIN_JSON = {
    **TRIP_JSON,
    "id": AGAIN,
    "mode": "replay",
    "status": "diverged",
    "parent": TRIP,
    "started_at": "2027-01-15T08:01:00.062500Z",
    "ended_at": "2027-01-15T08:01:00.112500Z",
    "command": ["x"],
    "steps": 2,
    "decisions": {"hit": 1, "blocked": 1},
}
TABLE = """\
id        name  mode    status     steps  decisions           started                time
e5f6a7b8  trip  replay  diverged       2  1 hit, 1 blocked    2027-01-15 08:01:00   50 ms
a1b2c3d4  trip  record  completed      8  7 record, 1 bypass  2027-01-15 08:00:00  3.50 s
"""


def begin(path, number: int, **known) -> None:
    with closing(open_store(str(path))) as store:
        for index in range(number):
            store.begin(
                Session(
                    f"{index:032x}",
                    **{"name": f"run {index}", "started_at": START, "pid": 2**22 + 1, **known},
                )
            )


def test_json(environ, store_path) -> None:
    fill(store_path)
    assert json.loads(printed(look(environ, "sessions", "--json"))) == [AGAIN_JSON, TRIP_JSON]


def test_table(environ, store_path) -> None:
    fill(store_path)
    assert printed(look(environ, "sessions")) == TABLE


def test_limit(environ, store_path) -> None:
    begin(store_path, 25)
    listed = json.loads(printed(look(environ, "sessions", "--json")))
    assert [session["name"] for session in listed] == [f"run {index}" for index in range(24, -1, -1)]
    assert json.loads(printed(look(environ, "sessions", "--json", "--limit", "2"))) == listed[:2]
    assert json.loads(printed(look(environ, "sessions", "--json", "--limit", "0"))) == listed

    lines = printed(look(environ, "sessions")).splitlines()
    assert len(lines) == 1 + 20 + 1
    assert lines[1].split()[1:3] == ["run", "24"]
    assert lines[-1] == "and 5 older ones: --limit 0 shows all"
    assert len(printed(look(environ, "sessions", "--limit", "0")).splitlines()) == 1 + 25
    assert printed(look(environ, "sessions", "--limit", "24")).endswith(
        "\nand 1 older one: --limit 0 shows all\n"
    )


def test_a_store_without_sessions(environ, store_path) -> None:
    with closing(open_store(str(store_path))) as store:
        store.sessions()
    assert printed(look(environ, "sessions")) == "no sessions yet\n"
    assert json.loads(printed(look(environ, "sessions", "--json"))) == []


def test_a_session_without_end(environ, store_path) -> None:
    begin(store_path, 1, command=("python", "a.py"))
    with closing(open_store(str(store_path))) as store:
        store.reserve("0" * 32)  # a call that the end of the program cut off
    (session,) = json.loads(printed(look(environ, "sessions", "--json")))
    assert session["status"] == "interrupted"
    assert session["ended_at"] is None
    assert (session["steps"], session["decisions"]) == (0, {})
    assert printed(look(environ, "sessions")).splitlines()[1].rstrip().endswith("08:00:00")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_that_are_not_ascii(environ, store_path, encoding) -> None:
    begin(store_path, 1, name="Zürich → 東京", command=("python", "a\udcff.py"))
    (session,) = json.loads(printed(look(environ, "sessions", "--json", PYTHONIOENCODING=encoding)))
    assert session["name"] == "Zürich → 東京"
    assert session["command"] == ["python", "a\udcff.py"]
    said = {"utf-8": "Zürich → 東京", "ascii": "Z?rich ? ??"}[encoding]
    assert said in printed(look(environ, "sessions", PYTHONIOENCODING=encoding))


def test_names_cannot_steer_the_terminal(environ, store_path) -> None:
    begin(store_path, 1, name="a\x1b[2Jb\x9bc\rd\u202ee")
    line = printed(look(environ, "sessions")).splitlines()[1]
    assert "a\ufffd[2Jb\ufffdc" in line
    assert not set(line) & set("\x1b\x9b\r\u202e")


@pytest.mark.parametrize(
    ("args", "names"),
    [
        (("--mode", "record"), [TRIP]),
        (("--mode", "replay"), [AGAIN]),
        (("--name", "tr*"), [AGAIN, TRIP]),
        (("--name", "TR*"), []),
        (("--status", "diverged"), [AGAIN]),
        (("--since", "99999d"), [AGAIN, TRIP]),
        (("--inside", "trip"), []),
    ],
)
def test_chosen_ones(environ, store_path, args, names) -> None:
    fill(store_path)
    shown = json.loads(printed(look(environ, "sessions", "--json", *args)))
    assert [session["id"] for session in shown] == names


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            ("--mode", "nope"),
            "argument --mode: invalid choice: nope (choose from record, cache, replay, fork, off)",
        ),
        (
            ("--status", "nope"),
            "argument --status: invalid choice: nope (choose from running, completed, interrupted, diverged)",
        ),
        (("--since", "soon"), "argument --since: soon: not a number"),
        (("--inside", "nosuch"), "no session is called nosuch; `rewind-auto sessions` lists them"),
    ],
)
def test_chosen_wrongly(environ, store_path, args, said) -> None:
    fill(store_path)
    done = look(environ, "sessions", *args)
    plain = done.stderr.replace("'", "")  # not every release of Python quotes the choices
    assert (done.returncode, done.stdout, plain) == (2, "", f"rewind-auto: {said}\n")
