"""``rewind-auto``: its options, its errors, and its manners in a terminal and a pipe."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from looking import AGAIN, TRIP, answer, fill, look, printed, recorded, request, step
from test_sessions import TABLE

import rewind_auto
from rewind_auto.boot.launch import inject_dir
from rewind_auto.cli.main import VERBS
from rewind_auto.core.model import Session
from rewind_auto.store import open_store
from rewind_auto.store.schema import APPLICATION_ID, SCHEMA_VERSION


def refused(done) -> str:
    """The one line on stderr of a command that did nothing."""
    assert (done.returncode, done.stdout) == (2, ""), done
    (line,) = done.stderr.splitlines()
    assert line.startswith("rewind-auto: ")
    return line.removeprefix("rewind-auto: ")


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


class TestOptions:
    def test_version(self, environ) -> None:
        assert printed(look(environ, "--version")) == f"rewind-auto {rewind_auto.__version__}\n"

    def test_help_names_the_verbs(self, environ) -> None:
        said = printed(look(environ, "--help"))
        assert all(f"\n    {verb} " in said for verb in ("sessions", "show", "stats", "path", "doctor"))

    def test_path(self, environ) -> None:
        assert printed(look(environ, "path")) == f"{inject_dir()}\n"
        assert json.loads(printed(look(environ, "path", "--json"))) == {"path": inject_dir()}

    def test_store_before_and_after_the_verb(self, environ, tmp_path) -> None:
        fill(tmp_path / "other.db")
        assert printed(look(environ, "--store", str(tmp_path / "other.db"), "sessions")) == TABLE
        assert printed(look(environ, "sessions", "--store", f"sqlite:///{tmp_path / 'other.db'}")) == TABLE

    def test_the_default_store_is_in_the_home(self, environ, tmp_path) -> None:
        fill(tmp_path / "home" / ".rewind-auto" / "rewind.db")
        assert printed(look(environ, "sessions", REWIND_STORE=None)) == TABLE

    def test_starts_without_what_a_verb_needs(self, environ) -> None:
        code = "import sys; from rewind_auto.cli import main; main.run(['path']); print(*sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
        )
        assert not {"rich", "sqlite3", "opentelemetry", "asyncio", "ssl", "httpx"} & set(done.stdout.split())


class TestErrors:
    @pytest.mark.parametrize(
        ("args", "said"),
        [
            ((), f"no command given, one of: {', '.join(VERBS)}"),
            (("forget",), "invalid choice: 'forget'"),
            (("sessions", "--nonsense"), "unrecognized arguments: --nonsense"),
            (("sessions", "--js"), "unrecognized arguments: --js"),
            (("sessions", "--limit=-1"), "'-1' is not a number from 0 up"),
            (("show", "a1b2", "--step", "8"), "session a1b2c3d4 has no step 8: they go up to 9"),
            (("sessions", "--limit", "x"), "'x' is not a number from 0 up"),
            (("show",), "the following arguments are required: REF"),
            (("show", "last", "--step", "0"), "'0' is not the number of a step"),
            (("show", "last", "--step", "9"), "session e5f6a7b8 has no step 9: they go up to 2"),
            (("show", "nope"), "no session is called 'nope'"),
            (("stats", "nope"), "no session is called 'nope'"),
            (("stats", "--since", "5y"), "'5y' is neither like 12h nor an ISO date or time"),
            (("stats", "--since", "2026-13-01"), "'2026-13-01' is neither like 12h nor an ISO date"),
            (("show", "trace:00"), "'trace:00' has no trace id: that is up to 32 hex digits"),
            (("--store", "postgresql://x/y", "sessions"), "postgresql: not yet available"),
            (("--store", "ftp://x/y", "sessions"), "not a path and not sqlite:///PATH"),
        ],
    )
    def test_one_line(self, environ, store_path, args, said) -> None:
        fill(store_path)
        before = contents(store_path.parent)
        assert said in refused(look(environ, *args))
        assert contents(store_path.parent) == before

    def test_a_malformed_variable_is_named(self, environ) -> None:
        said = refused(look(environ, "sessions", REWIND_STORE="ftp://x/y"))
        assert said == "REWIND_STORE='ftp://x/y': not a path and not sqlite:///PATH"

    @pytest.mark.parametrize("verb", [("sessions",), ("show", "last"), ("stats",)])
    def test_no_store(self, environ, store_path, verb) -> None:
        said = refused(look(environ, *verb))
        assert said == f"no store at {store_path}: nothing has been recorded there yet"
        assert not store_path.parent.exists()

    @pytest.mark.parametrize(
        ("kind", "said"),
        [
            ("text", "is not a store of rewind-auto"),
            ("foreign", "is not a store of rewind-auto"),
            ("newer", "was written by a newer release"),
            ("empty", "nothing has been recorded there yet"),
            ("directory", "is a directory"),
            ("torn", "malformed"),
        ],
    )
    @pytest.mark.parametrize("verb", [("sessions",), ("show", "last"), ("stats",)])
    def test_something_else_in_its_place(self, environ, store_path, kind, said, verb) -> None:
        put_in_place(store_path, kind)
        before = contents(store_path.parent)
        line = refused(look(environ, *verb))
        assert said in line
        assert str(store_path) in line
        assert contents(store_path.parent) == before

    def test_a_session_without_steps(self, environ, store_path) -> None:
        with closing(open_store(str(store_path))) as store:
            store.begin(Session(TRIP, "x", pid=2**22 + 1))
        assert "has no step 1: it has none" in refused(look(environ, "show", "x", "--step", "1"))
        assert printed(look(environ, "show", "x")).endswith("\n\nno steps\n")

    def test_a_prefix_of_two(self, environ, store_path) -> None:
        with closing(open_store(str(store_path))) as store:
            for end in ("0", "1"):
                store.begin(Session("abcdef" + end * 26, "x", pid=2**22 + 1))
        assert "more than one" in refused(look(environ, "show", "abcdef"))


def put_in_place(path: Path, kind: str) -> None:
    path.parent.mkdir()
    if kind == "directory":
        path.mkdir()
    elif kind == "text":
        path.write_text("dear diary\n" * 50)
    elif kind == "empty":
        path.touch()
    elif kind == "torn":
        fill(path)
        os.truncate(path, 8192)
    else:
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE sessions (id)")
            if kind == "newer":
                db.execute(f"PRAGMA application_id={APPLICATION_ID}")
                db.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")


class TestTerminal:
    def shown(self, environ, **variables) -> str:
        """What a real terminal is sent."""
        main, end = pty.openpty()
        with os.fdopen(main, "rb", buffering=0) as terminal:
            done = look(environ, "show", AGAIN, stdout=end, TERM="xterm", **variables)
            os.close(end)
            assert (done.returncode, done.stderr) == (0, "")
            said = b""
            while b"of waiting" not in said:
                said += terminal.read(65536)
        return said.decode()

    def test_colours(self, environ, store_path) -> None:
        fill(store_path)
        said = self.shown(environ)
        assert "\x1b[32mhit     \x1b[0m" in said
        assert "\x1b[1;31mblocked" in said
        assert "\x1b[31m  messages[1].content: one → two\x1b[0m" in said
        assert "\x1b[32m1 hit\x1b[0m" in said

    def test_no_color(self, environ, store_path) -> None:
        fill(store_path)
        assert "\x1b" not in self.shown(environ, NO_COLOR="1")

    def test_none_in_a_pipe(self, environ, store_path) -> None:
        fill(store_path)
        for args in (("sessions",), ("show", TRIP), ("show", TRIP, "--step", "2")):
            assert "\x1b" not in printed(look(environ, *args, TERM="xterm"))


@pytest.mark.parametrize(
    "args", [("show", "last"), ("show", "last", "--json"), ("show", "last", "--content")]
)
def test_a_pipe_that_is_closed(environ, store_path, args) -> None:
    with closing(open_store(str(store_path))) as store:
        store.begin(Session(TRIP, "long", pid=2**22 + 1))
        for number in range(150):
            kept = recorded(request(f"{number} {'x' * 400}"), 200, (), answer("word " * 100))
            store.prepare(step(TRIP, str(number)), kept)()
    process = subprocess.Popen(
        [sys.executable, "-m", "rewind_auto.cli.main", *args, "--store", str(store_path)],
        env={**environ, "COLUMNS": "400"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == -signal.SIGPIPE


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_store_that_may_not_be_read(environ, store_path) -> None:
    fill(store_path)
    store_path.chmod(0)
    assert "Permission denied" in refused(look(environ, "sessions"))


def test_a_real_run(environ, rewind_run, provider, tmp_path) -> None:
    program = tmp_path / "agent.py"
    program.write_text(
        "import httpx2, sys\n"
        "body = {'model': 'gpt-5.4-mini', 'messages': [{'role': 'user', 'content': 'Say hello.'}]}\n"
        "with httpx2.Client(headers={'authorization': 'Bearer sk-0123456789abcdef0123'}) as client:\n"
        "    print(client.post(sys.argv[1], json=body).text)\n"
        "    body |= {'stream': True, 'stream_options': {'include_usage': True}}\n"
        "    client.post(sys.argv[1], json=body)\n"
    )
    url = f"{provider.url}/v1/chat/completions"
    run = ("--name", "hello", "--hosts", "127.0.0.1", sys.executable, str(program), url)
    ran = rewind_run(*run)
    assert (ran.returncode, ran.stderr) == (0, "")
    provider.stop()
    again = rewind_run("--replay", "hello", *run)
    assert (again.returncode, again.stderr, again.stdout) == (0, "", ran.stdout)

    replay, recording = json.loads(printed(look(environ, "sessions", "--json")))
    assert recording["command"] == [sys.executable, str(program), url]
    assert (recording["name"], recording["mode"], recording["decisions"]) == (
        "hello",
        "record",
        {"record": 2},
    )
    assert (replay["mode"], replay["parent"], replay["decisions"]) == ("replay", recording["id"], {"hit": 2})

    shown = json.loads(printed(look(environ, "show", recording["id"], "--json", "--content")))
    assert shown["steps"][0]["response"] == ran.stdout.removesuffix("\n")
    assert [s["stream"] for s in shown["steps"]] == [False, True]
    assert all(s["usage"]["input_tokens"] > 0 for s in shown["steps"])
    assert [s["call_site"] for s in shown["steps"]] == [f"{program}:4", f"{program}:6"]
    hits = json.loads(printed(look(environ, "show", "last", "--json")))["steps"]
    assert [hit["source"] for hit in hits] == [{"session": recording["id"], "step": n} for n in (1, 2)]
    assert [hit["fingerprint"] for hit in hits] == [s["fingerprint"] for s in shown["steps"]]
    told = json.loads(ran.stdout)["choices"][0]["message"]["content"]
    for ref in ("last", recording["id"]):
        assert told.splitlines()[0] in printed(look(environ, "show", ref, COLUMNS="300"))
