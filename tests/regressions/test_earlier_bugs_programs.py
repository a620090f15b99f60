"""Bugs that the authors of an earlier recorder had to fix, by commit: whole programs, SDKs, secrets.

See ``test_earlier_bugs.py``. That calls were dropped where openai-agents is installed (part of fa4301b) has
no test: nothing here asks what else there is.
"""

from __future__ import annotations

import json
import signal
import ssl
import stat
import sys

import pytest
import trustme
from running import RUN
from servers import Server, answer, sse

from rewind_auto.cli import main
from rewind_auto.core import typed

CHAT = "/v1/chat/completions"
PRELUDE = """
import os, subprocess, sys, threading, time
import httpx2
import rewind_auto
from rewind_auto import cached_call

def ask(text, url=None, **headers):
    url = (url or sys.argv[1]) + "/v1/chat/completions"
    return httpx2.post(url, content=text, headers=headers, trust_env=False).text

def child(code):
    program = open(sys.argv[0]).read().partition("\\n# end of prelude")[0] + "\\n" + code
    return subprocess.run([sys.executable, "-c", program, *sys.argv[1:]], stdout=subprocess.PIPE, text=True)
# end of prelude
"""


@pytest.fixture
def url(server):
    """A server's, each of whose answers is another."""
    server.on("", lambda seen: answer(f"{len(server.seen)} {seen.body.decode()}"))
    return server.url


@pytest.fixture
def run(program, url):
    """Runs a program as users do: what it printed. It may say nothing on stderr."""

    def start(source, *options, code=0, said="", **variables):
        done = program(PRELUDE + source, *options, arguments=[url], **variables)
        assert (done.returncode, done.stderr if not said else "") == (code, "")
        assert said in done.stderr
        return done.stdout

    return start


def decisions(steps):
    return [step.decision.value for step in steps]


# --- processes


def test_023bd3f_a_child_process_of_a_fork_is_in_the_fork(run, kept):
    source = """
print(ask("one"), flush=True)
print(child("print(ask('two')); print(ask('three'))").stdout, end="")
"""
    assert run(source) == '"1 one"\n"2 two"\n"3 three"\n'
    assert run(source, "--fork", "last@3") == '"1 one"\n"2 two"\n"4 three"\n'
    assert [decisions(steps) for _, steps in kept()] == [["record"] * 3, ["hit", "hit", "record"]]


def test_67ad4eb_processes_of_a_replay_share_its_answers(run, server, kept):
    """Whoever asks first what all ask the same way, none of them gets what another has."""
    source = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(3) as pool:
    children = list(pool.map(child, ["print(ask('same'))"] * 3))
print(*sorted(one.stdout for one in children), sep="", end="")
"""
    recorded = run(source)
    assert recorded == '"1 same"\n"2 same"\n"3 same"\n'
    server.stop()
    assert run(source, "--replay", "last") == recorded


def test_040d913_workers_of_a_server_share_the_session_of_a_conversation(run, server, kept):
    """And what carries no key, or an empty one, is in no conversation: it does not make one of its own."""
    source = """
for _ in range(2):
    child("for name in ('ann', 'bob', ''): ask('hello', **({'x-chat': name}))")
ask("nobody")
"""
    run(source, "--name", "server", REWIND_SESSION_BY="header:x-chat")
    found = {session.name: (session.outer, len(steps)) for session, steps in kept()}
    [around] = [session.id for session, _ in kept() if session.name == "server"]
    assert found == {"server": (None, 3), "ann": (around, 2), "bob": (around, 2)}
    server.stop()
    run(source, "--replay", "server")  # the recording says what its calls went by


def test_171_a_part_of_the_variables_takes_nobodys_session(run, program, url, kept):
    """Of a run that is gone, or that was set by hand."""
    source = "print(ask('one'))\n"
    assert run(source, "--name", "first") == '"1 one"\n'
    install = "rewind_auto.install()\n"
    for variables, code, said in (
        ({"REWIND_MODE": "replay"}, 1, "REWIND_FROM is not set"),
        ({"REWIND_MODE": "fork"}, 0, "REWIND_FROM is not set"),
        ({"REWIND_FROM": "first"}, 0, ""),
        ({"REWIND_ROOT_PID": "1"}, 0, ""),
    ):
        variables["REWIND_LLM_HOSTS"] = "127.0.0.1"
        done = program(PRELUDE + install + source, arguments=[url], under=[], **variables)
        assert (done.returncode, done.stderr if not said else "") == (code, "")
        assert said in done.stderr
    assert [decisions(steps) for _, steps in kept()] == [["record"]] * 3


# --- sessions that end, and that do not


def test_c996e64_a_crashed_session_is_interrupted_and_a_running_one_is_not(run, kept):
    assert run("ask('one')\nos.kill(os.getpid(), 9)\n", code=-signal.SIGKILL) == ""
    source = """
with rewind_auto.session("inside"):
    ask("two")
    from rewind_auto.cli import main
    main.run(["sessions", "--json", "--status", "running"])
"""
    running = json.loads(run(source))
    assert [session["name"] for session in running] == ["inside", "program"]
    assert [session.status for session, _ in kept()] == ["interrupted", "completed", "completed"]


def test_4484add_a_conversation_goes_on_in_its_session_and_a_failed_run_is_none_that_went_well(run, kept):
    """After it was let go of for others, and was over for all one could see."""
    source = """
from rewind_auto import runtime
runtime._KEYED = 1
for name in ("ann", "bob", "ann"):
    ask("hello", **{"x-chat": name})
"""
    run(source, REWIND_SESSION_BY="header:x-chat")
    assert {session.name: (len(steps), session.status) for session, steps in kept()} == {
        "program": (0, "completed"),
        "ann": (2, "completed"),
        "bob": (1, "completed"),
    }
    run("ask('one')", "--name", "recorded")
    run("ask('two')", "--replay", "recorded", code=86, said="ask")
    assert kept()[-1][0].status == "diverged"


def test_3facc2d_what_is_called_at_exit_is_still_recorded(run, kept):
    assert run("import atexit\natexit.register(lambda: print(ask('late')))\nask('one')\n") == '"2 late"\n'
    [(session, steps)] = kept()
    assert (session.status, decisions(steps)) == ("completed", ["record"] * 2)


# --- functions


def test_0b3b8a8_a_key_alone_tells_calls_apart_and_no_session_has_to_be_begun(run):
    source = """
@cached_call(key=lambda client, question: question)
def look(client, question):
    print("looking")
    return question

print(look(object(), "a"), look([time.time()], "a"))
"""
    assert run(source) == "looking\nlooking\na a\n"
    assert run(source, "--replay", "last") == "a a\n"
    assert run(source, "--cache") == "a a\n"


def test_384992e_what_is_stored_makes_no_object_that_the_program_has_not_recorded():
    for stored in (
        {"$": "dataclass", "c": "subprocess:Popen", "v": {"args": ["true"]}},
        {"$": "model", "c": "subprocess:Popen", "v": {}},
        {"$": "enum", "c": "os:system", "v": "true"},
        {"$": "namedtuple", "c": "this:module", "v": []},
        {"$": "object", "c": "os:system", "v": []},
    ):
        with pytest.raises(typed.UntypedError):
            typed.load(json.dumps(stored).encode(), {})
    assert "this" not in sys.modules


# --- SDKs

SDKS = """
from anthropic import Anthropic
from openai import OpenAI
said = [{"role": "user", "content": "hello"}]
openai = OpenAI(base_url=sys.argv[1] + "/v1", api_key="any")
anthropic = Anthropic(base_url=sys.argv[1], api_key="any")
asked, told = dict(model="gpt-5", messages=said), dict(model="claude-x", max_tokens=9, messages=said)
"""
STREAMS = (
    SDKS
    + """
for chunk in openai.chat.completions.create(**asked, stream=True):
    print(chunk.model_dump_json())
with openai.chat.completions.stream(**asked) as stream:
    print([event.type for event in stream], stream.get_final_completion().choices[0].message.content)
for event in anthropic.messages.create(**told, stream=True):
    print(event.model_dump_json())
with anthropic.messages.stream(**told) as stream:
    print([event.type for event in stream], stream.get_final_text())
"""
)


def test_6c8e04c_both_streaming_interfaces_of_the_sdks(program, provider, kept):
    recorded = program(PRELUDE + STREAMS, arguments=[provider.url], NO_PROXY="*")
    assert (recorded.returncode, recorded.stderr) == (0, "")
    [(_, steps)] = kept()
    assert [(step.stream, step.complete, bool(step.usage)) for step in steps[2:]] == [(True, True, True)] * 2
    assert [(step.stream, step.complete) for step in steps] == [(True, True)] * 4
    provider.stop()
    replayed = program(PRELUDE + STREAMS, "--replay", "last", arguments=[provider.url], NO_PROXY="*")
    assert (replayed.returncode, replayed.stdout) == (0, recorded.stdout)


def test_31aa4aa_the_arguments_of_a_tool_call_are_not_part_of_the_text(program, server, capsys):
    events = [
        {"type": "message_start", "message": {"model": "claude-x", "usage": {"input_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Let me look."}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}},
        },
        {
            "type": "content_block_delta",
            "index": 1,
            "delta": {"type": "input_json_delta", "partial_json": '{"city": "Ulm"}'},
        },
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]
    server.on("/v1/messages", sse(*map(json.dumps, events), done=False))
    source = "httpx2.post(sys.argv[1] + '/v1/messages', json={'stream': True}, trust_env=False)"
    assert program(PRELUDE + source, arguments=[server.url]).returncode == 0
    assert main.run(["show", "last"]) == 0
    assert 'Let me look.  look(city="Ulm")\n' in capsys.readouterr().out


def test_fa4301b_a_replay_counts_each_step_once_and_its_hits_have_spans(program, provider, kept):
    source = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
"""
    source += SDKS + "openai.chat.completions.create(**asked); anthropic.messages.create(**told)\n"
    for options in ([], ["--replay", "last"]):
        done = program(PRELUDE + source, *options, arguments=[provider.url], NO_PROXY="*")
        assert (done.returncode, done.stderr) == (0, "")
    (first, recorded), (again, replayed) = kept()
    assert [len(steps) for steps in (recorded, replayed)] == [first.steps, again.steps] == [2, 2]
    assert all(step.span_id and step.trace_id for step in (*recorded, *replayed))
    assert len({step.span_id for step in (*recorded, *replayed)}) == 4


# --- safety


def test_574140c_certificates_are_verified_as_without_us(program, kept):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    source = """
try:
    ask("hello")
except httpx2.ConnectError as error:
    print("CERTIFICATE_VERIFY_FAILED" in str(error))
"""
    with Server(context) as server:
        for under in ([], RUN):
            options = ("--hosts", "127.0.0.1") if under else ()
            done = program(PRELUDE + source, *options, arguments=[server.url], under=under)
            assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
        assert server.seen == []
    assert [step.error.partition(":")[0] for _, steps in kept() for step in steps] == ["ConnectError"]


def test_5d1d012_no_key_is_on_disk_and_2b444f4_nobody_else_can_read_it(program, server, store_path, written):
    """In headers, URLs, bodies of either kind, and an upload that looks like a stream of events."""
    keys = [f"{'sk-' if number > 1 else ''}canary{number}-{'0123456789' * 3}" for number in range(6)]
    server.on("", answer(1))
    source = f"""
keys = {keys!r}
url = sys.argv[1] + "/v1/chat/completions"
send = lambda **options: httpx2.post(options.pop("url", url), trust_env=False, **options)
send(headers={{"Authorization": "Bearer " + keys[0], "x-api-key": keys[1]}})
send(url=url + "?key=" + keys[2])
said = [{{"role": "user", "content": "mine is " + keys[4]}}]
send(json={{"model": "m", "api_key": keys[3], "messages": said}})
send(content="data: " + keys[5] + "\\n\\ndata: [DONE]\\n\\n", headers={{"Content-Type": "text/event-stream"}})
"""
    assert program(PRELUDE + source, arguments=[server.url]).returncode == 0
    assert len(server.seen) == 4
    kept = written()
    assert b"mine is " in kept
    assert [key for key in keys if key[:12].encode() in kept] == []
    folder = store_path.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
