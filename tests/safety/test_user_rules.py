"""REWIND_REDACT: what a user's rules name leaves the process in nothing that is written."""

from __future__ import annotations

import gzip
import json
import sys

import pytest
from servers import Server, answer, reply

from rewind_auto.store import open_store

SECRET = "ACME-73920174"
RULES = r"x-tenant,ssn,/ACME-\d{8}/"
PROGRAM = f"""
    import sys, httpx
    SECRET = "{SECRET}"
    messages = [{{"role": "user", "content": SECRET}}]
    with httpx.Client(trust_env=False) as client:
        for path in ("", "/zipped"):
            said = client.post(
                URL + path, params={{"ssn": "blue"}}, headers={{"X-Tenant": "blue"}},
                json={{"model": f"m-{{SECRET}}", "ssn": 5550123, "messages": messages}},
            )
            print(said.json()["id"], len(said.text))
"""


@pytest.fixture
def server():
    def said(seen):
        body = {"id": "chatcmpl-1", "object": "chat.completion", "model": f"m-{SECRET}"}
        message = {"role": "assistant", "content": f"as {SECRET} has it"}
        body["choices"] = [{"index": 0, "finish_reason": "stop", "message": message}]
        return body

    with Server() as running:
        running.on("/v1/chat/completions", lambda seen: answer(said(seen), X_Tenant="blue"))
        zipped = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")]
        running.on(
            "/v1/chat/completions/zipped",
            lambda seen: reply(gzip.compress(json.dumps(said(seen)).encode()), 200, zipped),
        )
        yield running


@pytest.fixture
def collector():
    with Server() as running:
        running.on("/v1/traces", reply(b"", 200, [("Content-Type", "application/x-protobuf")]))
        yield running


def test_in_store_spans_and_exports(program, command, collector, server, store_path, files):
    content = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true", "REWIND_REDACT": RULES}
    said, _ = program(PROGRAM, "--name", f"of {SECRET}", "--otlp", collector.url, **content)
    spans = b"".join(seen.raw for seen in collector.seen)
    written = [files(), spans]
    written += [command("main", "export", "--all", "--format", how)[0].encode() for how in ("jsonl", "har")]
    written.append(command("main", "show", "last", "--json", "--content")[0].encode())
    assert [
        data for data in written if SECRET.encode() in data or b"blue" in data or b"5550123" in data
    ] == []
    assert b"[redacted]" in spans
    assert b"*" * len(SECRET) in written[2]
    server.stop()
    # The same again, and with another secret in the same place: both are served.
    assert program(PROGRAM, "--replay", "last", "--redact", RULES) == (said, "")
    other = PROGRAM.replace(SECRET, "ACME-00000001").replace("5550123", "1").replace("blue", "red")
    assert program(other, "--replay", "last", REWIND_REDACT=RULES) == (said, "")
    _, refused = program(
        other.replace('"role": "user"', '"role": "x"'), "--replay", "last", "--redact", RULES, code=86
    )
    assert "ACME" not in refused
    assert "5550123" not in refused


def test_a_cache_serves_nobody_the_answer_of_another(program, server):
    """Two questions that differ in what is taken out have one fingerprint."""
    server.on("/v1/chat/completions", lambda _: answer(len(server.seen)))
    source = """
        import httpx
        for number in ("73920174", "73920175", "73920174"):
            print(httpx.post(URL, json={"messages": f"ACME-{number} KEY-{number}"}).text)
    """
    for key, rules in (("k", RULES), ("sk-0123456789abcdef", "x-none")):
        server.forget()
        said, _ = program(source.replace("KEY", key), "--cache", REWIND_REDACT=rules)
        assert said == "1\n2\n1\n"


def test_the_command_line_of_a_replay_is_redacted(program, command, files, server, tmp_path):
    server.on("/v1/chat/completions", answer(1))
    program("import httpx; httpx.post(URL, content='{}')", "--name", "first")
    words = ("--hosts", "127.0.0.1", "--replay", "first", sys.executable, tmp_path / "program.py", SECRET)
    command("run", *words, REWIND_REDACT=RULES)
    assert b"program.py" in files()
    assert SECRET.encode() not in files()


def test_on_the_way_in(program, command, store_path, tmp_path):
    program(PROGRAM, "--name", "free")
    exported = command("main", "export", "free")[0]
    assert SECRET in exported
    assert SECRET not in command("main", "export", "free", REWIND_REDACT=RULES)[0]
    (tmp_path / "x.jsonl").write_text(exported)
    other = tmp_path / "other" / "rewind.db"
    command("main", "--store", other, "import", tmp_path / "x.jsonl", REWIND_REDACT=RULES)
    shown = command("main", "--store", other, "show", "free", "--json", "--content")[0]
    assert SECRET not in shown
    assert "*" * len(SECRET) in shown


@pytest.mark.parametrize("rule", ["a b", "/open", "/[/", "/x*/"])
def test_a_rule_that_makes_no_sense(program, command, rule, server):
    for run in (
        lambda: program("print('ran')", "--redact", rule, code=2),
        lambda: program("print('ran')", REWIND_REDACT=rule, code=2),
        lambda: command("main", "sessions", REWIND_REDACT=rule, code=2),
    ):
        out, error = run()
        assert (out, len(error.splitlines())) == ("", 1), error
        assert "redact" in error.lower()


def test_a_conversation_that_is_called_what_a_rule_takes_out(program, command, files):
    source = f"""
        import httpx
        for number in range(2):
            headers = {{"x-conversation": f"{SECRET}{{number}}"}}
            print(len(httpx.post(URL, headers=headers, json={{"model": "m", "n": number}}).text))
    """
    by = {"REWIND_SESSION_BY": "header:x-conversation", "REWIND_REDACT": r"/ACME-\d{8}/"}
    said, _ = program(source, "--name", "server", **by)
    assert SECRET.encode() not in files()
    names = [one["name"] for one in json.loads(command("main", "sessions", "--json")[0])]
    assert sorted(names) == ["[redacted]0", "[redacted]1", "server"]
    assert program(source, "--replay", "server", **by) == (said, "")


@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "Cookie"])
def test_no_session_is_named_after_a_credential(program, header):
    _, error = program("print('ran')", REWIND_SESSION_BY=f"header:{header}", code=2)
    assert "holds a credential" in error


def test_a_call_that_is_not_kept_names_no_secret(program, store_path, files):
    """Its error is all that is kept, and quotes what the request had."""
    program(
        """
        import httpx
        class Broken(httpx.BaseTransport):
            def handle_request(self, request):
                request.read()
                raise httpx.ProxyError("no " + request.headers["x-api-key"])
        with httpx.Client(transport=Broken(), headers={"x-api-key": "an-odd-secret-0123"}) as client:
            try:
                client.post(URL, content=b"x" * 4000)
            except httpx.ProxyError as error:
                print(error)
        """,
        REWIND_MAX_BODY="1k",
    )
    assert b"an-odd-secret" not in files()
    store = open_store(str(store_path))
    [step] = store.steps(store.resolve("last").id)
    store.close()
    assert (step.decision, step.error) == ("bypass", "ProxyError: no [redacted]")
