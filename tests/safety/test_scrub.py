"""``rewind-auto scrub``: nothing of a secret is left in a store, and what was recorded is still served."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from unittest.mock import patch

import pytest

from rewind_auto.cli import main, source
from rewind_auto.core import redact, secret_shapes
from rewind_auto.core.canonical import Canonicalizer
from rewind_auto.core.model import Fault, Head, Recording, Request, Session, Step
from rewind_auto.store import codec, open_store

SECRET = "ACME-73920174"
RULE = r"/ACME-\d{8}/"
CALLS = """
    import httpx, sys
    with httpx.Client(trust_env=False, headers={"x-note": "%s"}) as client:
        for number in range(3):
            turns = [f"turn {n} of %s " + "word " * 300 for n in range(number + 1)]
            messages = [{"role": "user", "content": turn} for turn in turns]
            print(client.post(URL, json={"model": "m", "messages": messages}).text[-40:])
"""
CALLS = CALLS.replace("%s", SECRET)


def scrub(command, *words, code=0):
    return json.loads(command("main", "scrub", *words, "--json", code=code)[0])


def unpacked(path):
    """All content of a store, with its compression undone."""
    with closing(sqlite3.connect(path)) as db:
        blobs = [codec.unpack(*row) for row in db.execute("SELECT packed, data FROM blobs")]
        docs = [repr(codec.load_doc(doc)).encode() for (doc,) in db.execute("SELECT doc FROM steps")]
    return b"\n".join(blobs + docs)


def test_nothing_is_left_and_all_is_served(program, command, server, store_path, files):
    said, _ = program(CALLS, "--name", "trip")
    assert SECRET.encode() in unpacked(store_path)
    assert scrub(command, "trip", "--redact", RULE, "--dry-run") == {
        "sessions": [json.loads(command("main", "sessions", "--json")[0])[0]["id"]],
        "steps": 3,
        "changed": 3,
        "dry_run": True,
        "erased": None,
        "running": [],
    }
    assert SECRET.encode() in unpacked(store_path)
    done = scrub(command, "--all", "--redact", RULE)
    assert (done["changed"], done["erased"]) == (3, True)
    assert SECRET.encode() not in unpacked(store_path) + files()
    assert scrub(command, "--all", "--redact", RULE)["changed"] == 0
    server.stop()
    replayed, trouble = program(CALLS, "--replay", "trip")
    assert (replayed, trouble) == (said.replace(SECRET, "*" * len(SECRET)), "")
    # Under the rule, whatever stands in the place of the secret.
    other = CALLS.replace(SECRET, "ACME-00000001")
    again, _ = program(other, "--replay", "trip", "--redact", RULE)
    assert again == replayed


def test_bodies_deleted_before_are_gone_too(command, store_path, files):
    """Bytes of deleted rows lie about in the file until it is written anew."""
    with closing(open_store(str(store_path))) as store:
        for name in ("a" * 32, "b" * 32):
            store.begin(Session(name))
            for _ in range(9):
                request = Request("POST", "http://h/", (), SECRET.encode() + os.urandom(3000))
                store.prepare(Step(name, 0), Recording(request, Head(200, ())))()
    with closing(sqlite3.connect(store_path, isolation_level=None)) as db:
        db.execute("PRAGMA secure_delete=OFF")  # the default of SQLite itself, if not of every system
        db.execute("DELETE FROM steps WHERE session = 1")
        db.execute("DELETE FROM blobs WHERE id IN (SELECT id FROM blobs ORDER BY id LIMIT 9)")
    assert files().count(SECRET.encode()) > 9  # of the other nine
    assert scrub(command, "b" * 32, "--redact", RULE)["erased"] is True
    assert SECRET.encode() not in files()


def test_the_rules_of_this_release(command, store_path, files):
    """What an earlier one let through: shapes that it did not know."""
    key, uid = "sk-0123456789abcdef0123", "a" * 32
    request = Request("POST", f"http://h/?x={key}", ((b"x-odd", key.encode()),), b'{"a":"%b"}' % key.encode())
    fingerprint = Canonicalizer().fingerprint(request)
    fault = Fault("httpx", "ReadError", f"not {key}", "body", {"within": {"message": key}})
    kept = Recording(request, Head(200, ((b"x-api-key", key.encode()),)), b"said", ((4, 1),), fault=fault)
    step = Step(uid, 0, url=request.url, error=key, note=key, detail={"diff": [{"old": key}]})
    step.fingerprint = fingerprint
    with (
        patch.object(secret_shapes, "clean", lambda body: body),
        patch.object(secret_shapes, "is_name", lambda _: False),
        closing(open_store(str(store_path))) as store,
    ):
        redact.use(())
        store.begin(Session(uid, name=f"with {key}", command=("a", key)))
        store.prepare(step, kept)()
    redact.use(())
    assert key.encode() in files()
    assert scrub(command, "--all")["changed"] == 1
    assert key.encode() not in unpacked(store_path) + files()
    with closing(open_store(str(store_path))) as store:
        [kept_step], recording = store.steps(uid), store.recording(uid, 1)
        assert kept_step.fingerprint == fingerprint
        assert recording.body == b"said"
        assert "[redacted]" in store.resolve("last").name


def test_what_a_rule_names_may_be_cut_in_pieces(program, command, store_path, files):
    program(CALLS, "--name", "trip")
    assert scrub(command, "trip", "--redact", "messages")["changed"] == 3
    assert b"turn 0 of" not in unpacked(store_path).replace(b'\\"', b'"').partition(b"echo")[0]
    shown = json.loads(command("main", "show", "trip", "--json", "--content")[0])["steps"]
    for step in shown:
        assert {m["content"] for m in json.loads(step["request"])["messages"]} == {"[redacted]"}


def test_nor_is_it_recorded_in_pieces(program, command):
    program(CALLS, "--redact", "messages")
    for step in json.loads(command("main", "show", "last", "--json", "--content")[0])["steps"]:
        assert "turn" not in step["request"]


def test_while_a_program_records(program, command, store_path, tmp_path, server, files):
    """Nothing of what it writes is lost, and what it wrote is redacted. It may hold up the erasing."""
    program(CALLS, "--name", "before")
    source = CALLS.replace("range(3)", "range(40)").replace(SECRET, "nothing")
    path = tmp_path / "busy.py"
    path.write_text(f"URL = {server.url + '/v1/chat/completions'!r}\n" + textwrap.dedent(source))
    line = [sys.executable, "-m", "rewind_auto.cli.run", "--hosts", "127.0.0.1", "--name", "busy"]
    command_line = [*line, sys.executable, str(path)]
    # Unbuffered: `communicate` does not give what a buffer has.
    recorder = subprocess.Popen(command_line, stdout=subprocess.PIPE, cwd=tmp_path, bufsize=0)
    try:
        assert recorder.stdout.readline()
        done = json.loads(command("main", "scrub", "--all", "--redact", RULE, "--json")[0])
    finally:
        said, _ = recorder.communicate(timeout=60)
    assert recorder.returncode == 0
    assert len(said.splitlines()) == 39
    assert done["changed"] >= 3
    assert SECRET.encode() not in unpacked(store_path) + files()
    sessions = json.loads(command("main", "sessions", "--json")[0])
    assert [(one["name"], one["steps"]) for one in sessions] == [("busy", 40), ("before", 3)]


def test_a_reader_that_stays_holds_up_the_erasing(program, command, store_path, monkeypatch, capsys):
    program(CALLS, "--name", "trip")
    monkeypatch.setattr(source, "_PATIENCE", 0.2)
    with closing(sqlite3.connect(store_path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM steps").fetchone()
        assert main.run(["scrub", "--all", "--redact", RULE]) == 1
        assert "scrub once more" in capsys.readouterr().out
    redact.use(())
    done = scrub(command, "--all", "--redact", RULE)
    assert (done["changed"], done["erased"]) == (0, True)
    assert SECRET.encode() not in unpacked(store_path)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "scrub what?"),
        (("nosuch",), "no session"),
        (("--all", "--redact", "/[/"), "no regular expression"),
        (("--all", "--redact", "a b"), "neither a name"),
    ],
)
def test_wrong_use(program, command, words, says):
    program("print('no call')")
    program(CALLS)
    out, error = command("main", "scrub", *words, code=2)
    assert (out, len(error.splitlines())) == ("", 1)
    assert says in error
