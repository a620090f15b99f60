"""``rewind-auto export`` and ``import``: sessions travel whole, also from and to other tools."""

from __future__ import annotations

import json
import sys
import textwrap

import httpx
import pytest
import vcr
from looking import AGAIN, TRIP, fill, look
from servers import Server, answer, sse

from rewind_auto.store import open_store

CHAT = "/v1/chat/completions"


@pytest.fixture
def rewind_auto(environ):
    return lambda *args, **options: look(environ, *args, **options)


@pytest.fixture
def other(tmp_path):
    """Path of another store."""
    return str(tmp_path / "other" / "rewind.db")


def told(rewind_auto, ref, *args):
    shown = json.loads(rewind_auto(*args, "show", ref, "--json", "--content").stdout)
    shown["session"].pop("status")
    return shown


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("by", ["name", "link", "hard link"])
def test_an_export_onto_the_store_is_refused(rewind_auto, store_path, tmp_path, ending, by):
    fill(store_path)
    target = file = store_path.with_name(store_path.name + ending)
    if by == "link":
        file = tmp_path / "link"
        file.symlink_to(target)
    elif by == "hard link":
        target.touch()
        file = tmp_path / "link"
        file.hardlink_to(target)
    before = {path: path.read_bytes() for path in store_path.parent.iterdir()}
    done = rewind_auto("export", "--all", "-o", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"rewind-auto: cannot write {file}: it belongs to the store\n"
    assert {path: path.read_bytes() for path in store_path.parent.iterdir()} == before


def test_whole_sessions(rewind_auto, store_path, other, tmp_path):
    fill(store_path)
    file = tmp_path / "all.jsonl"
    assert rewind_auto("export", "--all", "-o", str(file)).returncode == 0
    assert file.stat().st_mode & 0o777 == 0o600
    brought = rewind_auto("--store", other, "import", str(file), "--json")
    assert brought.returncode == 0, brought.stderr
    assert sorted(json.loads(brought.stdout)["imported"]) == sorted([TRIP, AGAIN])
    for ref in (TRIP, AGAIN):
        assert told(rewind_auto, ref, "--store", other) == told(rewind_auto, ref)
    store, copy = open_store(str(store_path)), open_store(other)
    for uid in (TRIP, AGAIN):
        assert copy.resolve(uid).session_by == store.resolve(uid).session_by
        for step in store.steps(uid):
            assert copy.recording(uid, step.step) == store.recording(uid, step.step)
    store.close()
    copy.close()
    again = rewind_auto("--store", other, "export", "--all")
    assert again.stdout == file.read_text().replace('"status":"running"', '"status":"interrupted"')
    assert json.loads(rewind_auto("--store", other, "import", str(file), "--json").stdout)["imported"] == []


def test_what_a_session_shows_goes_with_it(rewind_auto, store_path, other):
    fill(store_path)
    lines = rewind_auto("export", AGAIN).stdout.splitlines()
    sessions = [json.loads(line)["session"]["id"] for line in lines if line.startswith('{"session"')]
    assert sessions == [TRIP, AGAIN]


def test_an_import_can_be_replayed(rewind_run, rewind_auto, provider, tmp_path, other):
    source = """
        import sys, openai
        client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="k")
        for turn in range(2):
            chunks = client.chat.completions.create(
                model="m", stream=True, messages=[{"role": "user", "content": f"hello {turn}"}]
            )
            print([c.choices[0].delta.content for c in chunks if c.choices])
    """
    (tmp_path / "program.py").write_text(textwrap.dedent(source))
    program = (sys.executable, "program.py", provider.url)
    recorded = rewind_run("--hosts", "127.0.0.1", "--name", "first", *program)
    file = tmp_path / "first.jsonl"
    assert rewind_auto("export", "first", "-o", str(file)).returncode == 0
    provider.stop()
    assert rewind_auto("--store", other, "import", str(file)).returncode == 0
    replayed = rewind_run("--store", other, "--replay", "first", *program)
    assert (replayed.returncode, replayed.stdout, replayed.stderr) == (0, recorded.stdout, "")


def test_an_archive_for_viewers(rewind_auto, store_path):
    fill(store_path)
    log = json.loads(rewind_auto("export", TRIP, "--format", "har").stdout)["log"]
    assert log["version"] == "1.2"
    shown = told(rewind_auto, TRIP)["steps"]
    kept = [step for step in shown if step["request_headers"] is not None]
    assert [(e["_step"], e["request"]["url"], e["response"]["status"]) for e in log["entries"]] == [
        (step["step"], step["url"], step["status"] or 0) for step in kept
    ]
    first = log["entries"][0]
    assert json.loads(first["request"]["postData"]["text"])["messages"]
    assert first["response"]["content"]["mimeType"] == "application/json"
    assert first["time"] == first["timings"]["wait"] + first["timings"]["receive"]


@pytest.mark.parametrize("serializer", ["yaml", "json"])
@pytest.mark.parametrize("decoded", [False, True])
def test_a_cassette(rewind_run, rewind_auto, tmp_path, serializer, decoded):
    cassette = tmp_path / f"trip.{serializer}"
    recorder = vcr.VCR(serializer=serializer, decode_compressed_response=decoded)
    with Server() as server:
        import gzip

        zipped = gzip.compress(b'{"zipped": true}')
        server.on(CHAT, answer({"said": 1}), sse('{"said":2}', '{"said":3}'))
        server.on("/v1/models", answer({"data": []}, 404))
        server.on(
            "/zipped",
            [
                b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(zipped)
                + zipped
            ],
        )
        if serializer == "json" and not decoded:
            server.on("/zipped", answer({"zipped": True}))  # JSON cannot hold bytes
        said = []
        with recorder.use_cassette(str(cassette)), httpx.Client(trust_env=False) as client:
            for number in (1, 2):
                response = client.post(
                    f"{server.url}{CHAT}",
                    json={"n": number},
                    headers={"authorization": "Bearer sk-secret-0123456789abcdef"},
                )
                said.append(response.text)
            said += [client.get(f"{server.url}{path}").text for path in ("/v1/models", "/zipped")]
        url = server.url
    brought = rewind_auto("import", str(cassette), "--json")
    assert brought.returncode == 0, brought.stderr
    shown = told(rewind_auto, "trip")["steps"]
    assert [step["status"] for step in shown] == [200, 200, 404, 200]
    assert [step["kind"] for step in shown] == ["llm", "llm", "http", "http"]
    assert "sk-secret" not in json.dumps(shown)
    program = f"""
        import httpx
        with httpx.Client(trust_env=False) as client:
            for number in (1, 2):
                print(repr(client.post({url + CHAT!r}, json={{"n": number}}).text))
            for path in ("/v1/models", "/zipped"):
                print(repr(client.get({url!r} + path).text))
    """
    (tmp_path / "program.py").write_text(textwrap.dedent(program))
    replayed = rewind_run("--replay", "trip", sys.executable, "program.py")
    assert (replayed.returncode, replayed.stdout) == (0, "".join(f"{text!r}\n" for text in said)), (
        replayed.stderr
    )
    assert json.loads(rewind_auto("import", str(cassette), "--json").stdout)["imported"] == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "neither an export"),
        ("{}", "neither an export"),
        ("just words", "neither an export"),
        ("a: [", "not YAML"),
        ("!!python/object/apply:os.system ['touch pwned']", "not YAML"),
        ('{"interactions": [{"request": {}}]}', "interaction 1: KeyError"),
        ('{"format":"rewind-auto","version":9}', "version 9"),
        ('{"format":"rewind-auto","version":1}\n{"step":{}}', "line 2: a step before any session"),
        ('{"format":"rewind-auto","version":1}\n{"session":{"id":"../x"}}', "line 2"),
        ('{"format":"rewind-auto","version":1}\nnot json', "line 2"),
    ],
)
def test_files_that_are_something_else(rewind_auto, tmp_path, text, says):
    file = tmp_path / "file.x"
    file.write_text(text)
    done = rewind_auto("import", str(file), REWIND_STORE=str(tmp_path / "s.db"))
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("at", "changed", "says"),
    [
        ("session", {"started_at": 1e300}, "no time"),
        ("session", {"status": "removed"}, "no status"),
        ("session", {"llm_hosts": [":::"]}, "line 2"),
        ("session", {"session_by": "the moon"}, "line 2"),
        ("step", {"url": "http://\ud800/"}, "line 3"),
        ("step", {"started_at": 1e300}, "no time"),
        ("step", {"usage": {"input_tokens": "many"}}, "no count"),
        ("step", {"step": 0}, "no number of a step"),
        ("step", {"step": 2}, "there twice"),
    ],
)
def test_what_would_break_later_is_not_let_in(rewind_auto, store_path, other, tmp_path, at, changed, says):
    fill(store_path)
    lines = [json.loads(line) for line in rewind_auto("export", TRIP).stdout.splitlines()]
    next(line[at] for line in lines if at in line).update(changed)
    file = tmp_path / "file.jsonl"
    file.write_text("\n".join(json.dumps(line, separators=(",", ":")) for line in lines))
    done = rewind_auto("--store", other, "import", str(file))
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_export_that_another_program_has_written_anew(rewind_auto, store_path, other, tmp_path):
    fill(store_path)
    file = tmp_path / "file.jsonl"
    lines = rewind_auto("export", TRIP).stdout.splitlines()
    file.write_text("\n".join(json.dumps(json.loads(line)) for line in lines))
    assert rewind_auto("--store", other, "import", str(file)).returncode == 0


def test_sessions_inside_each_other_are_no_circle(rewind_auto, store_path, other, tmp_path):
    fill(store_path)
    lines = [json.loads(line) for line in rewind_auto("export", TRIP).stdout.splitlines()]
    twin = json.loads(json.dumps(lines))
    lines[1]["session"]["outer"] = twin[1]["session"]["id"] = "f" * 32
    twin[1]["session"]["outer"] = lines[1]["session"]["id"]
    file = tmp_path / "file.jsonl"
    file.write_text("\n".join(json.dumps(line, separators=(",", ":")) for line in lines + twin[1:]))
    assert rewind_auto("--store", other, "import", str(file)).returncode == 0
    sessions = json.loads(rewind_auto("--store", other, "sessions", "--json").stdout)
    assert [session["outer"] for session in sessions] == [TRIP, None]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("export",), "export what?"),
        (("export", "nosuch"), "no session"),
        (("export", "--all", "-o", "/no/such/file"), "cannot write"),
        (("import", "/no/such/file"), "cannot read"),
        (("import",), "FILE"),
    ],
)
def test_wrong_use(rewind_auto, store_path, args, says):
    fill(store_path)
    done = rewind_auto(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


def test_a_hit_without_its_recording(rewind_auto, store_path, other, tmp_path):
    fill(store_path)
    lines = rewind_auto("export", AGAIN).stdout.splitlines(keepends=True)
    second = next(place for place, line in enumerate(lines) if f'"id":"{AGAIN}"' in line)
    (tmp_path / "half.jsonl").write_text(lines[0] + "".join(lines[second:]))
    done = rewind_auto("--store", other, "import", str(tmp_path / "half.jsonl"))
    assert done.returncode == 2
    assert "shows a recording that is not here" in done.stderr
    assert rewind_auto("--store", other, "sessions", "--json").stdout.strip() == "[]"
