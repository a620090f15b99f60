"""A store that somebody else made: all of it is data. Nothing of it runs, and nothing of it is endless."""

from __future__ import annotations

import dataclasses
import json
import random
import sqlite3
import sys
import types
import zlib
from contextlib import closing, suppress

import pydantic
import pytest

from rewind_auto import cached_call
from rewind_auto.adapters.functions import Function
from rewind_auto.cli import main
from rewind_auto.core import faults, typed
from rewind_auto.core.errors import RewindReplayDivergenceError, StoreError, UnknownReferenceError
from rewind_auto.core.model import (
    Decision,
    Fault,
    Fingerprint,
    Head,
    Match,
    Mode,
    Recording,
    Request,
    Session,
    Step,
)
from rewind_auto.core.reach import Reach
from rewind_auto.store import codec, open_store

UID = "a" * 32
ran: list[str] = []


@dataclasses.dataclass
class Plain:
    a: object = None


def stranger(name, namespace, *bases):
    """A class of a module that is loaded, and that no function here has to do with."""
    module = sys.modules.setdefault("a_stranger", types.ModuleType("a_stranger"))
    cls = type(name, bases, {**namespace, "__module__": "a_stranger", "__qualname__": name})
    setattr(module, name, cls)
    return cls


class Loader(pydantic.BaseModel):
    """What an attacker looks for: validating it imports what it is told to."""

    what: pydantic.ImportString


class Inner(pydantic.BaseModel):
    at: int


def declared() -> list[Inner] | None:
    """Of a module of its own, see below."""


@pytest.fixture(autouse=True)
def strangers():
    ran.clear()
    yield
    sys.modules.pop("a_stranger", None)
    sys.modules.pop("antigravity_of_ours", None)


def reach(source="def function(): ...", **names):
    """The reach of a function in a module of its own."""
    names |= {"__name__": "its_module"}
    exec(compile(source, "its_module.py", "exec"), names)
    return Reach(names["function"])


def load(value, of):
    return typed.load(json.dumps(value).encode(), of.names, of.allows)


# --- what a store names is not made unless it is to be expected


def attacks():
    noisy = {"__new__": lambda *_: ran.append("new"), "__setattr__": lambda *_: ran.append("setattr")}
    stranger("Model", {"__annotations__": {"what": pydantic.ImportString}}, pydantic.BaseModel)
    dataclasses.dataclass(stranger("Data", {"__annotations__": {"a": int}, **noisy}))
    stranger("Pair", {"_fields": ("a",), "_make": lambda *_: ran.append("make")}, tuple)
    yield {"$": "model", "c": "a_stranger:Model", "v": {"what": "antigravity_of_ours"}}
    yield {"$": "dataclass", "c": "a_stranger:Data", "v": {"a": 1}}
    yield {"$": "namedtuple", "c": "a_stranger:Pair", "v": [1]}
    yield {"$": "model", "c": "tests.safety:Loader", "v": {"what": "os.system"}}
    yield {"$": "model", "c": f"{__name__}:Loader", "v": {"what": "antigravity_of_ours"}}
    yield {"$": "model", "c": "subprocess:Popen", "v": ["true"]}
    yield {"$": "dataclass", "c": "os:system", "v": {}}
    yield {"$": "enum", "c": "builtins:eval", "v": "1"}
    yield {"$": "enum", "c": "antigravity_of_ours:X", "v": "1"}
    yield {"$": "object", "c": "os:system", "v": "1"}
    yield {"$": "pickle", "v": "gASVHAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAR0cnVllIWUUpQu"}
    yield {"$": "dataclass", "c": "builtins:type", "v": {}}


@pytest.mark.parametrize("number", range(12))
def test_a_class_that_is_not_expected_is_not_made(number, tmp_path, monkeypatch):
    (tmp_path / "antigravity_of_ours.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    value = list(attacks())[number]
    for nested in (value, [value], {"a": {"b": value}}, {"$": "tuple", "v": [value]}):
        with pytest.raises(typed.UntypedError):
            load(nested, reach())
    assert ran == []
    assert "antigravity_of_ours" not in sys.modules


def test_nothing_but_its_fields_is_set_on_an_object():
    for name in ("__class__", "__dict__", "b"):
        with pytest.raises(typed.UntypedError, match="no field"):
            load({"$": "dataclass", "c": f"{__name__}:Plain", "v": {name: {}}}, reach(Plain=Plain))


def test_what_a_function_can_be_expected_to_give():
    inner = {"$": "model", "c": f"{__name__}:Inner", "v": {"at": 1}}
    assert load(inner, reach("def function() -> 'list[Inner] | None': ...", Inner=Inner)) == Inner(at=1)
    assert load([inner], reach("def function(): ...", kind=declared)) == [Inner(at=1)]  # its module is used
    assert load(inner, reach(f"def function():\n    import {__name__}", json=json)) == Inner(at=1)
    with pytest.raises(typed.UntypedError, match="neither what the function declares"):
        load(inner, reach())
    function = types.FunctionType(declared.__code__, {"__name__": "its_module"}, "function")
    function.__module__ = "its_module"
    function.__annotations__ = {"return": list[Inner]}
    assert load(inner, Reach(function)) == Inner(at=1)


def test_an_exception_that_is_not_expected_is_made_without_its_constructor():
    def run(self, *args):
        ran.append("init")

    stranger("OddError", {"__init__": run}, Exception)
    stranger("Odd", {"__init__": run})
    told = Fault("a_stranger", "OddError", "words", "send", {"args": '{"$":"tuple","v":["words"]}'})
    names = {"__name__": "its_module"}
    exec("def function(): ...", names)
    function = Function(names["function"], lambda: None, name="x", key=None, ttl=None)
    error = function._errors.revived(told)
    assert (type(error).__name__, str(error), ran) == ("OddError", "words", [])
    for name in ("Odd", "__import__", "exit", "SystemExit"):
        other = function._errors.revived(dataclasses.replace(told, name=name, module="a_stranger"))
        assert type(other) is RuntimeError
    lazy = types.ModuleType("a_stranger")
    lazy.__getattr__ = ran.append
    assert faults.known_class(told, [lazy], (Exception,)) is None
    assert ran == []


def test_attributes_of_an_exception_are_data():
    """Of one that is not to be expected none is set, and of others no code of the class has a say."""

    def noted(*args):
        ran.append(args)

    class SetError(Exception):
        __setattr__ = noted
        watched = property(lambda _: 1, noted)

    SetError.__qualname__ = "SetError"
    stranger("OddError", {"__init__": noted, "__setattr__": noted}, Exception)
    names = {"__name__": "its_module", "SetError": SetError}
    exec("def function(): ...", names)
    errors = Function(names["function"], lambda: None, name="x", key=None, ttl=None)._errors
    attributes = ['{"watched":2}', '{"at":3}', '{"__notes__":["n"]}']
    told = {"args": '{"$":"tuple","v":["words"]}', "attributes": attributes}
    odd = errors.revived(Fault("a_stranger", "OddError", "words", "send", told))
    assert (type(odd).__name__, vars(odd)) == ("OddError", {"__notes__": ["n"]})
    sys.modules["a_stranger"].SetError = SetError
    error = errors.revived(Fault("a_stranger", "SetError", "words", "send", told))
    assert (type(error), error.at, error.watched) == (SetError, 3, 1)
    assert ran == []


@pytest.mark.parametrize(
    "made_up",
    [
        {"attributes": 1},
        {"attributes": [1, "{", "[1]", '{"a":{"$":"model","c":"a:B","v":1}}']},
        {"from": 1},
        {"from": [[1], True]},
        {"from": [["builtins", "ValueError", "x", "send", {"from": 1}], "yes"]},
    ],
)
def test_an_exception_of_which_nonsense_is_told(made_up):
    errors = Function(lambda: None, lambda: None, name="x", key=None, ttl=None)._errors
    facts = {"args": '{"$":"tuple","v":["words"]}', **made_up}
    error = errors.revived(Fault("builtins", "ValueError", "words", "send", facts))
    assert (type(error), error.args) == (ValueError, ("words",))


def test_a_store_cannot_choose_what_a_program_gets(tmp_path, store_path):
    """The whole way: what is put into a store by hand, and then replayed."""
    import rewind_auto

    names = {"cached_call": cached_call, "__name__": "its_module"}
    exec("@cached_call\ndef tool():\n    return 1", names)
    with rewind_auto.session("recorded"):
        assert names["tool"]() == 1
    value = {"$": "model", "c": f"{__name__}:Loader", "v": {"what": "antigravity_of_ours"}}
    with closing(sqlite3.connect(store_path)) as db, db:
        db.execute("UPDATE blobs SET data = ?, packed = 0 WHERE data = x'31'", (json.dumps(value).encode(),))
        (doc,) = db.execute("SELECT doc FROM steps").fetchone()
        changed = codec.load_doc(doc)
        changed["exchange"]["cuts"] = [len(json.dumps(value)), 1]
        db.execute("UPDATE steps SET doc = ?", (codec.encode_doc(changed),))
    with (
        rewind_auto.session("replayed", mode="replay", source="recorded"),
        pytest.raises(RewindReplayDivergenceError, match="neither what the function declares"),
    ):
        names["tool"]()


# --- what would run in SQLite, or would have no end


def filled(path, bodies=(b"said",)):
    with closing(open_store(str(path))) as store:
        store.begin(Session(UID, name="trip", command=("a", "b")))
        for number, body in enumerate(bodies):
            asked = b'{"model":"m","messages":[%b]}' % b",".join(
                b'{"a":"%b"}' % (b"words " * 300) for _ in range(16)
            )
            request = Request("POST", "https://api.openai.com/v1/chat/completions", ((b"a", b"b"),), asked)
            step = Step(UID, 0, method="POST", url=request.url, started_at=1.0, lane="main", status=200)
            step.fingerprint = Fingerprint(b"e%d" % number, b"c%d" % number)
            head = Head(200, ((b"content-type", b"application/json"),))
            store.prepare(step, Recording(request, head, body, ((len(body), 1),)))()
        store.begin(Session("b" * 32, name="again", mode=Mode.REPLAY, parent=UID))
        hit = Step("b" * 32, 0, decision=Decision.HIT, url="https://h/", started_at=1.0)
        store.claim_step(hit, UID, 1, Match.EXACT)
    return path


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON steps BEGIN DELETE FROM sessions; END",
        "CREATE VIEW v AS WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x FROM r) SELECT x FROM r",
        "CREATE VIRTUAL TABLE f USING fts5(a)",
        "CREATE TABLE other (a)",
        "CREATE INDEX other ON steps (hex(doc))",
    ],
)
def test_a_database_with_more_in_it_is_refused(store_path, statement, command):
    filled(store_path)
    with closing(sqlite3.connect(store_path)) as db, db:
        db.execute(statement)
    for words in (("sessions",), ("show", "trip"), ("scrub", "--all"), ("rm", "trip")):
        out, error = command("main", *words, code=2)
        assert (out, len(error.splitlines())) == ("", 1)
        assert "is not a store of rewind-auto: it has a" in error


def test_a_recording_that_is_not_whole_is_not_served(program, command, store_path, server):
    """Its chunks are said to be fewer bytes than there are."""
    source = "import httpx; print(httpx.post(URL, json={}).text)"
    program(source, "--name", "first")
    with closing(sqlite3.connect(store_path)) as db:
        (data,) = db.execute("SELECT doc FROM steps").fetchone()
        doc = codec.load_doc(data)
        doc["exchange"]["cuts"][0] -= 5
        db.execute("UPDATE steps SET doc = ?", (codec.encode_doc(doc),))
        db.commit()
    server.stop()
    out, error = program(source, "--replay", "first", code=86)
    assert out == ""
    assert "damaged" in error


def test_a_table_that_is_a_view_is_refused(store_path, command):
    filled(store_path)
    with closing(sqlite3.connect(store_path)) as db, db:
        db.execute("DROP TABLE sessions")
        db.execute(
            "CREATE VIEW sessions AS"
            " WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x FROM r) SELECT x FROM r"
        )
    assert "a view called 'sessions'" in command("main", "sessions", code=2)[1]


@pytest.mark.parametrize("where", ["response", "request", "details", "chain"])
def test_a_few_bytes_that_stand_for_gigabytes(store_path, where, start):
    filled(store_path)
    with closing(sqlite3.connect(store_path)) as db, db:
        bomb = zlib.compress(bytes(300 << 20), 1)
        if where == "details":
            packer = zlib.compressobj(1, zlib.DEFLATED, -12, zdict=codec._DICTIONARY)
            db.execute("UPDATE steps SET doc = ?", (packer.compress(b" " * (70 << 20)) + packer.flush(),))
        elif where == "chain":
            small = zlib.compress(bytes(100 << 20), 1)
            db.execute("UPDATE blobs SET packed = 1, data = ?", (small,))
        else:
            column = {"response": "response", "request": "request_tail"}[where]
            db.execute(
                f"UPDATE blobs SET packed = 1, data = ? WHERE id IN (SELECT {column} FROM steps)", (bomb,)
            )
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1_300_000_000,) * 2); "
    code = limit + "from rewind_auto.cli import main; main.main()"
    out, error = start("-c", code, "show", "trip", "--step", "1", code=2)
    assert (out, len(error.splitlines())) == ("", 1)


def test_steps_that_show_each_other(store_path, capsys):
    filled(store_path)
    with closing(sqlite3.connect(store_path)) as db, db:
        db.execute("UPDATE steps SET content_session = 3 - session, content_step = 1")
        db.execute("UPDATE sessions SET outer = uid, parent = uid")
    read_all(store_path, capsys)


# --- values that are not those written


ODD = [
    None,
    0,
    -1,
    1 << 62,
    1e300,
    float("nan"),
    "",
    "x" * 50,
    "\x00\ud7ff",
    "[]",
    "{}",
    '{"a":1}',
    b"",
    b"\xff" * 9,
    b"{}",
    b"{[]",
]
READS = (
    *(
        ("sessions",),
        ("sessions", "--json"),
        ("show", "trip"),
        ("show", "trip", "--content"),
        ("stats", "--json"),
    ),
    *(("show", "again", "--json", "--content"), ("export", "--all"), ("export", "--all", "--format", "har")),
    *(
        ("diff", "trip", "again"),
        ("scrub", "--all", "--dry-run"),
        ("show", "trace:" + "0" * 32),
        ("prune", "--keep", "9", "--dry-run"),
    ),
)


def damaged(source, db):
    """Put odd values into a few cells."""
    tables = {"sessions": [], "steps": [], "blobs": [], "nodes": []}
    for table in tables:
        tables[table] = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    for _ in range(source.choice([1, 1, 2, 5])):
        table = source.choice([*tables, "doc", "doc", "doc"])
        if table == "doc":
            session, number, doc = source.choice(
                db.execute("SELECT session, step, doc FROM steps").fetchall()
            )
            if isinstance(doc, bytes):
                try:
                    value = codec.load_doc(doc)
                except ValueError:
                    continue
                place = (
                    value.get("exchange")
                    if source.random() < 0.6 and isinstance(value.get("exchange"), dict)
                    else value
                )
                name = source.choice([*place, "extra"])
                odd = source.choice(
                    [None, -1, 1e300, "x", [], {}, [1], [None], ["a"], {"a": None}, True, [[1]], "\ud800"]
                )
                place[name] = odd
                db.execute(
                    "UPDATE steps SET doc = ? WHERE session = ? AND step = ?",
                    (codec.encode_doc(value), session, number),
                )
            continue
        column = source.choice(tables[table])
        key = "session" if table == "steps" else "rowid"
        with suppress(sqlite3.Error):  # which has its own types for some
            db.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = 1", (source.choice(ODD),))


def read_all(path, capsys):
    """Every verb that reads ends well, or in one line and 2."""
    for words in READS:
        code = main.run(["--store", str(path), *words])
        out, error = capsys.readouterr()
        assert (code, len(error.splitlines())) in ((0, 0), (2, 1), (1, 0)), (words, code, error)
        assert "\x1b" not in out


@pytest.mark.parametrize("seed", range(12))
def test_odd_values(store_path, seed, capsys):
    odd_values(store_path, random.Random(seed), 4, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 200))
def test_many_odd_values(store_path, seed, capsys):
    odd_values(store_path, random.Random(seed), 30, capsys)


ANSWERS = [b"said", b'{"choices":[{"message":{"content":"sure"}}]}', b"data: {}\n\n"]


@pytest.mark.parametrize("name", ["method", "url"])
@pytest.mark.parametrize("value", ["\ud800", "http://[", "http://a]b/", "http://h\u2100/"])
def test_an_address_that_is_none(store_path, capsys, name, value):
    """Of what has half a character in it, or brackets that do not match, no fingerprint can be made."""
    filled(store_path, ANSWERS)
    with closing(sqlite3.connect(store_path)) as db, db:
        for session, number, doc in db.execute("SELECT session, step, doc FROM steps").fetchall():
            damaged = codec.encode_doc({**codec.load_doc(doc), name: value})
            db.execute("UPDATE steps SET doc = ? WHERE session = ? AND step = ?", (damaged, session, number))
    read_all(store_path, capsys)


def test_a_host_with_a_secret_in_it(store_path, capsys):
    """What stands for the secret is in brackets, as an IPv6 address is."""
    with closing(open_store(str(store_path))) as store:
        for name in ("one", "other"):
            store.begin(Session(name * 8, name=name))
            url = f"http://sk-{'a1b2c3d4' * 6}.test/v1/chat/completions"
            request = Request("POST", url, (), b'{"model":"m","messages":[]}')
            head = Head(200, ((b"content-type", b"application/json"),))
            step = Step(name * 8, 0, method="POST", url=url, started_at=1.0)
            store.prepare(step, Recording(request, head, ANSWERS[1], ((len(ANSWERS[1]), 1),)))()
    read = (("show", "one", "--content"), ("diff", "one", "other"), ("export", "--all", "--format", "har"))
    for words in read:
        assert main.run(["--store", str(store_path), *words]) == 0
        out = capsys.readouterr().out
        assert "a1b2c3d4" not in out
        assert words[0] == "diff" or "[redacted].test" in out


def odd_values(path, source, rounds, capsys):
    filled(path, ANSWERS)
    whole = path.read_bytes()
    for _ in range(rounds):
        path.write_bytes(whole)
        with closing(sqlite3.connect(path)) as db, db:
            damaged(source, db)
        read_all(path, capsys)
        with closing(open_store(str(path))) as store:
            for use in (
                lambda: store.claim(Step("b" * 32, 0), UID, b"e1", Match.EXACT, lane="main"),
                lambda: list(store.unused("b" * 32, UID)),
                lambda: store.verdict("b" * 32),
                lambda: list(store.uses().each),
                lambda: store.timings(UID),
                lambda: store.scrub(UID),
            ):
                with suppress(StoreError, UnknownReferenceError):
                    use()
