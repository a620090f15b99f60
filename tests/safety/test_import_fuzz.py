"""Whatever a file has in it, `import` brings all of it in, or nothing, and says why in one line."""

from __future__ import annotations

import json
import random
from contextlib import closing
from copy import deepcopy

import pytest
import yaml

from rewind_auto.cli import main
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
from rewind_auto.store import open_store

ODD = [
    None,
    0,
    -1,
    1 << 70,
    1e400,
    "",
    "\ud800",
    "x" * 300,
    [],
    {},
    [[]],
    {"a": {}},
    True,
    "!!python/name:os.system",
    {"$ref": "#"},
]
CHAT = '{"model":"m","messages":[{"role":"user","content":"hi"}]}'
SAID = '{"model":"m","choices":[],"usage":{"prompt_tokens":1}}'
CASSETTE = {
    "version": 1,
    "interactions": [
        {
            "request": {
                "method": "POST",
                "uri": "https://api.openai.com/v1/chat/completions",
                "headers": {"a": ["b"]},
                "body": CHAT,
            },
            "response": {
                "status": {"code": 200, "message": "OK"},
                "headers": {"content-type": ["application/json"]},
                "body": {"string": SAID},
            },
        },
        {
            "request": {
                "method": "GET",
                "uri": "https://api.mistral.ai/v1/models",
                "headers": {},
                "body": None,
            },
            "response": {
                "status": {"code": 404, "message": None},
                "headers": {"content-encoding": ["gzip"]},
                "body": {"base64_string": "H4sIAAAAAAAA"},
            },
        },
    ],
}


@pytest.fixture
def export(store_path, capsys):
    """The lines of an export with something of everything in it."""
    with closing(open_store(str(store_path))) as store:
        for number, uid in enumerate(("a" * 32, "b" * 32)):
            store.begin(
                Session(uid, f"trip {number}", command=("a", "--b"), llm_hosts=("h.test",), outer=None)
            )
            fault = Fault("httpx", "ReadError", "broken", "body", {"within": {"name": "a"}})
            for kept in (
                Recording(request(), Head(200, ((b"a", b"b"),), b"OK"), b"\xff\x00", ((2, 5),)),
                Recording(request(), fault=fault),
            ):
                step = Step(
                    uid,
                    0,
                    url="https://api.openai.com/v1/x",
                    started_at=1.0,
                    usage={"input_tokens": 1},
                    detail={"a": [1]},
                )
                step.fingerprint = Fingerprint(b"e" * 16, b"c" * 16)
                store.prepare(step, kept)()
        store.begin(Session("c" * 32, "again", Mode.REPLAY, parent="a" * 32))
        store.claim_step(
            Step("c" * 32, 0, decision=Decision.HIT, url="https://h/", started_at=1.0),
            "a" * 32,
            1,
            Match.EXACT,
        )
    assert main.run(["--store", str(store_path), "export", "--all"]) == 0
    return capsys.readouterr().out.splitlines()


def request():
    return Request("POST", "https://api.openai.com/v1/x", ((b"x", b"y"),), b'{"a":1}')


def changed(source, value):
    """The value with something else in one place."""
    if isinstance(value, (dict, list)) and value and source.random() < 0.85:
        key = source.choice(list(value)) if isinstance(value, dict) else source.randrange(len(value))
        roll = source.random()
        if roll < 0.08:
            del value[key]
        elif roll < 0.12 and isinstance(value, list):
            value.append(deepcopy(value[key]))
        else:
            value[key] = changed(source, value[key])
        return value
    # Of its own: the next change would otherwise be one of what is odd itself, until that held itself.
    return deepcopy(source.choice(ODD))


def bytes_changed(source, data):
    data = bytearray(data)
    for _ in range(source.choice([1, 1, 3, 20])):
        at = source.randrange(len(data) + 1)
        length = source.choice([0, 1, 1, 5, 200])
        data[at : at + length] = source.choice(
            [b"", source.randbytes(3), b'"', b"{", b"\n", b"&a", b"*a", b"!!python/object:os.x"]
        )
    return bytes(data)


def jsonl(source, export):
    lines = [json.loads(line) for line in export]
    for _ in range(source.choice([1, 1, 2])):
        number = source.randrange(len(lines))
        lines[number] = changed(source, lines[number])
    if source.random() < 0.2:
        lines.append(source.choice(lines))
    data = "\n".join(json.dumps(line) for line in lines).encode()
    return bytes_changed(source, data) if source.random() < 0.3 else data


def cassette(source, _):
    made = changed(source, json.loads(json.dumps(CASSETTE)))
    try:
        data = (json.dumps(made) if source.random() < 0.3 else yaml.safe_dump(made)).encode(
            "utf-8", "surrogatepass"
        )
    except yaml.YAMLError:
        return b"["
    return bytes_changed(source, data) if source.random() < 0.4 else data


def brought_in(path, capsys, tmp_path, data, number):
    """How it ends, and how many sessions are there then."""
    file, store = tmp_path / "file", tmp_path / f"{number}" / "rewind.db"
    file.write_bytes(data)
    code = main.run(["--store", str(store), "import", str(file)])
    out, error = capsys.readouterr()
    assert (code, len(error.splitlines())) in ((0, 0), (2, 1)), (data, error)
    assert "\x1b" not in out + error
    sessions = []
    if store.exists():
        with closing(open_store(str(store), create=False)) as brought:
            sessions = brought.sessions()
            for session in sessions:
                assert session.steps == len(
                    [brought.recording(session.id, one.step) for one in brought.steps(session.id)]
                )
        for words in (("show", session.id) for session in sessions):
            assert main.run(["--store", str(store), *words, "--content"]) == 0, data
            assert "\x1b" not in capsys.readouterr().out
    assert len(sessions) == 0 or code == 0, (data, error)
    return code


@pytest.mark.parametrize("make", [jsonl, cassette])
@pytest.mark.parametrize("seed", range(3))
def test_files_that_were_changed(export, capsys, tmp_path, make, seed):
    fuzz(random.Random(seed), 40, export, capsys, tmp_path, make)


@pytest.mark.slow
@pytest.mark.parametrize("make", [jsonl, cassette])
@pytest.mark.parametrize("seed", range(100, 120))
def test_many_files_that_were_changed(export, capsys, tmp_path, make, seed):
    fuzz(random.Random(seed), 400, export, capsys, tmp_path, make)


def fuzz(source, rounds, export, capsys, tmp_path, make):
    codes = [brought_in(None, capsys, tmp_path, make(source, export), number) for number in range(rounds)]
    assert {0, 2} <= set(codes)


def test_the_files_themselves_are_brought_in(export, capsys, tmp_path):
    assert brought_in(None, capsys, tmp_path, "\n".join(export).encode(), 1) == 0
    assert brought_in(None, capsys, tmp_path, yaml.safe_dump(CASSETTE).encode(), 2) == 0


LAUGHS = "\n".join(
    [
        f"l0: &l0 [{', '.join('x' * 10)}]",
        *(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10)),
    ]
)
ASKED = (
    "interactions: [{request: {method: GET, uri: 'http://h/', headers: {}, body: *b},"
    " response: {status: {code: 200}, headers: {}, body: {}}}]"
)


@pytest.mark.parametrize(
    "text",
    [
        f"{LAUGHS}\nb: &b *l9\n{ASKED}".replace("b: &b *l9", "b: &b [*l9]"),
        f"b: &b [*b]\n{ASKED}",
        f"b: &b {{a: *b}}\n{ASKED}",
        "[\n" * 100_000,
        "[\n" * 100_000 + "]" * 100_000,
        "- " * 20_000 + "a",
        "\n".join(" " * n + "a:" for n in range(2000)),
        "interactions: " + "[" * 90_000,
        '{"interactions":' + "[" * 90_000 + "]" * 90_000 + "}",
        "!!python/object/apply:os.system ['touch pwned']",
        "interactions: !!python/object/new:subprocess.Popen [['touch', 'pwned']]",
        "interactions: [!!python/name:os.system '']",
        '{"format":"rewind-auto","version":1}\n' + '{"session":' + "[" * 50_000,
        '{"format":"rewind-auto","version":"\\ud800\\u001b[31m"}',
        ASKED.replace("200", ".inf").replace("*b", "b"),
        ASKED.replace("http://h/", "http://[").replace("*b", "b"),
    ],
    ids=range(16),
)
def test_files_that_are_made_to_hurt(tmp_path, store_path, command, text):
    (tmp_path / "file").write_text(text)
    out, error = command("main", "import", "file", code=2)
    assert (out, len(error.splitlines())) == ("", 1)
    assert "\x1b" not in error
    assert not (tmp_path / "pwned").exists()
    assert not store_path.exists()


def test_nothing_of_several_files_is_brought_in_if_one_is_wrong(export, command, tmp_path):
    (tmp_path / "good.jsonl").write_text("\n".join(export))
    (tmp_path / "cassette.json").write_text(json.dumps(CASSETTE))
    (tmp_path / "bad.jsonl").write_text("\n".join(export[:3]) + "\n{")
    # A hit whose recording is in neither.
    (tmp_path / "half.jsonl").write_text("\n".join([export[0], *export[-2:]]).replace("a" * 32, "d" * 32))
    for names, made in (("bad.jsonl", False), ("nosuch", False), ("half.jsonl", True)):
        store = tmp_path / f"of {names}" / "rewind.db"
        command("main", "--store", store, "import", "cassette.json", names, code=2)
        assert store.exists() == made
        if made:  # it was seen only when it came to writing
            assert json.loads(command("main", "--store", store, "sessions", "--json")[0]) == []
