"""``rewind-auto diff``: two runs, aligned by what they ask."""

from __future__ import annotations

import json
import sys
import textwrap

import pytest
from looking import look
from servers import Server, answer

PROGRAM = """
    import json, sys
    import httpx2
    url, run, *prompts = sys.argv[1:]
    for number, prompt in enumerate(prompts):
        body = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
        if run:
            body["metadata"] = {"run": run, "number": number}
        httpx2.post(url, json=body)
"""


@pytest.fixture
def provider():
    """Says what it was asked, so that two runs differ in nothing else."""

    def act(seen):
        asked = json.loads(seen.body)["messages"][-1]["content"]
        message = {"role": "assistant", "content": f"about {asked}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return answer(
            {"id": f"chatcmpl-{len(running.seen)}", "object": "chat.completion", "choices": [choice]}
        )

    with Server() as running:
        running.on("/v1/chat/completions", act)
        yield running


@pytest.fixture
def record(rewind_run, provider, tmp_path):
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))

    def start(name, *prompts, run=""):
        url = f"{provider.url}/v1/chat/completions"
        done = rewind_run(
            "--hosts", "127.0.0.1", "--name", name, sys.executable, "program.py", url, run, *prompts
        )
        assert (done.returncode, done.stderr) == (0, "")

    return start


@pytest.fixture
def diff(environ):
    return lambda *args, **variables: look(environ, "diff", *args, **variables)


def test_json(record, diff):
    record("a", "one", "two", "three")
    record("b", "one", "zero", "2", "three")
    said = json.loads(diff("a", "b", "--json").stdout)
    assert said["first_divergence"] == 2
    states = [(step["step_a"], step["step_b"], step["state"]) for step in said["steps"]]
    assert states[0] == (1, 1, "same")
    assert states[-1] == (3, 4, "same")
    assert sorted(state for _, _, state in states[1:-1]) == ["changed", "only_b"]
    changed = next(step for step in said["steps"] if step["state"] == "changed")
    assert changed["changes"][0]["path"] == "request.messages[0].content"
    assert changed["changes"][0]["old"] == "two"
    assert any(change["path"].startswith("response.messages") for change in changed["changes"])
    assert [step["changes"] for step in said["steps"] if step["state"] != "changed"] == [[], [], []]


def test_a_session_and_itself(record, diff):
    record("a", "one", "two")
    said = json.loads(diff("a", "last", "--json").stdout)
    assert said["first_divergence"] is None
    assert {step["state"] for step in said["steps"]} == {"same"}
    assert "the runs are the same" in diff("a", "a").stdout


def test_for_people(record, diff):
    record("a", "one", "two")
    record("b", "one", "2", "more")
    said = diff("a", "b").stdout
    assert 'messages[0].content (role user): "two"' in said
    assert "1 of 3 calls are the same" in said
    assert "first difference: step 2" in said
    assert "only in B" in said
    assert "same" in diff("a", "b", "--all").stdout


def test_what_to_ignore(record, diff, rewind_run, provider, tmp_path):
    record("a", "one", "two", run="monday")
    record("b", "one", "two", run="tuesday")
    said = json.loads(diff("a", "b", "--suggest-ignore", "--json").stdout)
    assert said == {
        "ignore": "metadata.run",
        "paths": [{"path": "metadata.run", "steps": 2}],
        "changed": 2,
        "same_with_it": 2,
    }
    assert "REWIND_IGNORE='metadata.run'" in diff("a", "b", "--suggest-ignore").stdout
    provider.stop()
    url = f"{provider.url}/v1/chat/completions"
    program = ("--replay", "a", sys.executable, "program.py", url, "wednesday", "one", "two")
    assert rewind_run(*program).returncode == 86
    assert rewind_run(*program, REWIND_IGNORE=said["ignore"]).returncode == 0
    assert (
        json.loads(diff("a", "b", "--json", REWIND_IGNORE=said["ignore"]).stdout)["first_divergence"] is None
    )


def test_nothing_to_ignore(record, diff):
    record("a", "one")
    record("b", "one")
    assert "nothing to ignore" in diff("a", "b", "--suggest-ignore").stdout


def test_unknown_sessions(record, diff):
    record("a", "one")
    done = diff("a", "nosuch")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


SESSIONS = """
    import sys
    import httpx2
    import rewind_auto
    for given in sys.argv[2:]:
        name, *prompts = given.split(",")
        with rewind_auto.session(name):
            for prompt in prompts:
                body = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
                httpx2.post(sys.argv[1], json=body)
"""


@pytest.fixture
def record_sessions(rewind_run, provider, tmp_path):
    (tmp_path / "sessions.py").write_text(textwrap.dedent(SESSIONS))

    def start(name, *given):
        command = (sys.executable, "sessions.py", f"{provider.url}/v1/chat/completions", *given)
        done = rewind_run("--hosts", "127.0.0.1", "--name", name, *command)
        assert (done.returncode, done.stderr) == (0, "")

    return start


def test_a_replay_goes_by_what_it_was_served(record, diff, rewind_run, provider, tmp_path):
    """Equal requests have different answers here, and a replay may ask for them in another order."""
    provider.on("/v1/chat/completions", lambda _: answer(len(provider.seen)))
    source = """
        import sys, threading
        import httpx2
        def ask():
            body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
            httpx2.post(sys.argv[1], json=body)
        for name in sys.argv[2]:
            thread = threading.Thread(target=ask, name=name)
            thread.start()
            thread.join()
    """
    (tmp_path / "threads.py").write_text(textwrap.dedent(source))
    command = (sys.executable, "threads.py", f"{provider.url}/v1/chat/completions")
    rewind_run("--hosts", "127.0.0.1", "--name", "a", *command, "xyz")
    provider.stop()
    assert rewind_run("--replay", "a", "--name", "b", *command, "zxy").returncode == 0
    said = json.loads(diff("a", "b", "--json").stdout)
    assert [(step["step_a"], step["step_b"], step["state"]) for step in said["steps"]] == [
        (1, 2, "same"), (2, 3, "same"), (3, 1, "same"),
    ]  # fmt: skip
    assert said["first_divergence"] is None


def test_sessions_inside(record_sessions, diff):
    """With the one of the same name that asks most of the same."""
    record_sessions("a", "chat,one,two", "chat,three,four", "gone,five")
    record_sessions("b", "chat,three,4", "chat,one,two", "new,six")
    said = json.loads(diff("a", "b", "--json").stdout)
    states = [(step["step_a"], step["step_b"], step["state"]) for step in said["steps"]]
    assert states == [
        (1, 1, "same"), (2, 2, "same"), (1, 1, "same"), (2, 2, "changed"),
        (1, None, "only_a"), (None, 1, "only_b"),
    ]  # fmt: skip
    assert said["first_divergence"] == 2
    assert said["first_divergence_in"] == said["steps"][3]["session_a"]
    assert len({step["session_a"] for step in said["steps"]}) == 4
    shown = diff("a", "b").stdout
    assert "3 of 6 calls are the same" in shown
    assert "first difference: step 2 of chat" in shown
    assert "the runs are the same" in diff("a", "a").stdout
