"""``rewind-auto edit``: what if the model had said something else."""

from __future__ import annotations

import json
import sys
import textwrap

import pytest
from looking import look

from rewind_auto.core.model import Decision
from rewind_auto.store import open_store

OPENAI = """
    import sys, openai
    client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="k", max_retries=0)
    said = "hello"
    for turn in range(3):
        messages = [{"role": "user", "content": f"{turn} {said}"}]
        if "stream" in sys.argv:
            chunks = client.chat.completions.create(model="m", messages=messages, stream=True)
            said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        elif "responses" in sys.argv:
            said = client.responses.create(model="m", input=messages[0]["content"]).output_text
        else:
            said = client.chat.completions.create(model="m", messages=messages).choices[0].message.content
        print(said)
"""
ANTHROPIC = """
    import sys, anthropic
    client = anthropic.Anthropic(base_url=sys.argv[1], api_key="k", max_retries=0)
    said = "hello"
    for turn in range(3):
        options = dict(model="m", max_tokens=50, messages=[{"role": "user", "content": f"{turn} {said}"}])
        if "stream" in sys.argv:
            with client.messages.stream(**options) as stream:
                said = "".join(stream.text_stream)
        else:
            said = client.messages.create(**options).content[0].text
        print(said)
"""
PROGRAMS = {
    "openai": (OPENAI,),
    "openai-stream": (OPENAI, "stream"),
    "openai-responses": (OPENAI, "responses"),
    "anthropic": (ANTHROPIC,),
    "anthropic-stream": (ANTHROPIC, "stream"),
}


@pytest.fixture
def run(rewind_run, provider, tmp_path):
    def start(kind, *options):
        source, *words = PROGRAMS[kind]
        (tmp_path / "program.py").write_text(textwrap.dedent(source))
        return rewind_run(
            "--hosts", "127.0.0.1", *options, sys.executable, "program.py", provider.url, *words
        )

    return start


@pytest.fixture
def edit(environ):
    return lambda *args, **options: look(environ, "edit", *args, **options)


def session(store_path):
    store = open_store(str(store_path))
    latest = store.sessions()[0]
    steps = store.steps(latest.id)
    recordings = [store.recording(latest.id, step.step) for step in steps]
    store.close()
    return latest, steps, recordings


@pytest.mark.parametrize("kind", PROGRAMS)
def test_what_if_the_model_had_said(run, edit, store_path, kind):
    recorded = run(kind, "--name", "first")
    assert (recorded.returncode, recorded.stderr) == (0, "")
    done = edit("first", "--step", "2", "--text", "Nobody knows ☃.", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    made, steps, _ = session(store_path)
    assert (made.id, made.name, made.fork_step) == (said["id"], "first edited", 2)
    assert [step.decision for step in steps] == [Decision.HIT, Decision.RECORD]
    forked = run(kind, "--fork", said["id"])
    assert (forked.returncode, forked.stderr) == (0, "")
    first, second, third = forked.stdout.splitlines()
    assert [first, second] == [recorded.stdout.splitlines()[0], "Nobody knows ☃."]
    assert third != recorded.stdout.splitlines()[2]
    assert [step.decision for step in session(store_path)[1]] == [Decision.HIT, Decision.HIT, Decision.MISS]


def test_what_if_it_had_failed(run, edit):
    run("openai", "--name", "first")
    assert edit("first", "--step", "1", "--status", "500", "--name", "failing").returncode == 0
    failed = run("openai", "--fork", "failing")
    assert failed.returncode == 1
    assert "InternalServerError" in failed.stderr


def test_a_body_of_its_own(run, edit, store_path, tmp_path):
    run("openai", "--name", "first")
    (tmp_path / "answer.json").write_text('{"anything": 1}')
    assert edit("first", "--step", "3", "--body", str(tmp_path / "answer.json")).returncode == 0
    _, steps, recordings = session(store_path)
    assert recordings[2].body == b'{"anything": 1}'
    assert (b"content-length", b"15") in recordings[2].head.headers
    assert steps[2].note == "edited: step 3 of first"


def test_in_an_editor(run, edit, store_path):
    run("openai", "--name", "first")
    assert edit("first", "--step", "1", EDITOR="sed -i s/chat.completion/CHANGED/").returncode == 0
    assert b"CHANGED" in session(store_path)[2][0].body
    for editor, says in (
        ("true", "nothing was changed"),
        ("false", "ended with 1"),
        ("nosuch", "cannot run"),
    ):
        done = edit("first", "--step", "1", EDITOR=editor)
        assert (done.returncode, says in done.stderr) == (2, True)
    assert "set EDITOR" in edit("first", "--step", "1", EDITOR="", VISUAL="").stderr


def test_the_source_is_as_it_was(run, edit, environ):
    run("openai", "--name", "first")
    before = look(environ, "show", "first", "--json", "--content").stdout
    edit("first", "--step", "2", "--text", "other")
    assert look(environ, "show", "first", "--json", "--content").stdout == before


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("first", "--step", "9", "--text", "x"), "no recorded answer at step 9"),
        (("nosuch", "--step", "1", "--text", "x"), "no session"),
        (("first", "--step", "0", "--text", "x"), "not the number of a step"),
        (("first", "--step", "1", "--body", "/no/such"), "cannot read"),
        (("first", "--step", "1", "--status", "7"), "not an HTTP status"),
        (("first", "--text", "x"), "--step"),
    ],
)
def test_wrong_use(run, edit, args, says, store_path):
    run("openai", "--name", "first")
    done = edit(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert session(store_path)[0].name == "first"
