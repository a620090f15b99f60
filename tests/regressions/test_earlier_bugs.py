"""Bugs that the authors of an earlier recorder, rewind, had to fix, by commit: forks, replays, edits, views.

Those of whole programs are in ``test_earlier_bugs_programs.py``. No test is there for what cannot be here:

- webhooks, replay jobs and their states, dispatch tokens, callback URLs (27e0cff, parts of 27bdf09, f795f2b):
  a replay is a command, ``rewind-run --replay``;
- a server and the events that it sends (parts of e567e72, 040d913, b146f53, 2b444f4): the store is a file;
- a query language (cc0a3f4): ``--json`` is for programs, and any client of SQLite reads the file;
- replay contexts that end after a time or are used up (parts of 3facc2d, 27bdf09): each replay is a session.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from drivers import HTTPX_SYNC
from servers import answer, reply

import rewind_auto
from rewind_auto.cli import main
from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.core.model import Kind, Mode

CHAT, MODELS = "/v1/chat/completions", "/v1/models"
TURNS = 4


@pytest.fixture
def driver():
    return HTTPX_SYNC[1]


@pytest.fixture
def scenario(driver, server):
    """An agent, each of whose questions has the last answer in it."""
    server.on(CHAT, lambda seen: said(f"{len(server.seen)} to [{asked(seen.body)}]"))
    return agent(driver, server)


@pytest.fixture
def command(capsys):
    """Runs ``rewind-auto``: what it printed, as JSON if that was asked for."""

    def start(*arguments, code=0):
        capsys.readouterr()
        assert main.run(arguments) == code
        printed = capsys.readouterr()
        if code:
            assert len(printed.err.splitlines()) == 1, printed.err
            return printed.err
        return json.loads(printed.out) if "--json" in arguments else printed.out

    return start


def agent(driver, server, turns=TURNS, begin="hello"):
    async def run():
        seen, last = [], begin
        async with driver.client() as client:
            for turn in range(turns):
                body = question(f"{turn} {last}")
                got = await driver.exchange(client, "POST", f"{server.url}{CHAT}", content=body)
                last = json.loads(got.body)["choices"][0]["message"]["content"]
                seen.append(last)
        return seen

    return run


def question(text):
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()


def asked(body):
    return json.loads(body)["messages"][0]["content"]


def said(text):
    message = {"role": "assistant", "content": text}
    return answer({"object": "chat.completion", "model": "m", "choices": [{"index": 0, "message": message}]})


def decisions(steps):
    return [step.decision.value for step in steps]


def bodies(command, ref):
    """The answers that a session shows, by step."""
    steps = command("show", ref, "--json", "--content")["steps"]
    return {step["step"]: json.loads(step["response"])["choices"][0]["message"]["content"] for step in steps}


# --- forks


def test_8446bfb_a_fork_numbers_its_steps_from_one_and_shows_each_once(trial, scenario, command):
    trial.record(scenario)
    seen, steps = trial.run_as(Mode.FORK, scenario, source=f"{trial.session}@3")
    assert [step.step for step in steps] == [1, 2, 3, 4]
    assert decisions(steps) == ["hit", "hit", "record", "record"]
    assert list(bodies(command, trial.session).values()) == seen


def test_e3d4c33_a_replay_of_a_fork_begins_at_its_first_step(trial, scenario):
    """Not at the cut: from there, everything would be off by as many."""
    trial.record(scenario)
    forked, _ = trial.run_as(Mode.FORK, scenario, source=f"{trial.session}@3")
    assert trial.replay(scenario) == forked
    assert [step.source.step for step in trial.steps(trial.replaying)] == [1, 2, 3, 4]


def test_1c00f1e_an_edited_step_stands_in_place_of_the_inherited_one(trial, scenario, command):
    recorded, _ = trial.record(scenario)
    made = command("edit", trial.session, "--step", "2", "--text", "edited", "--json")
    assert bodies(command, made["id"]) == {1: recorded[0], 2: "edited"}


def test_20684d4_e567e72_forks_of_forks_find_what_they_inherited_from_any_of_them(trial, scenario, command):
    recorded, _ = trial.record(scenario)
    sessions = [trial.session]
    for cut in (4, 3, 4):
        seen, _ = trial.run_as(Mode.FORK, scenario, source=f"{sessions[-1]}@{cut}")
        sessions.append(trial.session)
    assert seen[:2] == recorded[:2]
    assert list(bodies(command, sessions[-1]).values()) == seen
    assert [command("show", one, "--json")["session"]["parent"] for one in sessions] == [None, *sessions[:-1]]
    assert trial.replay(scenario) == seen


def test_2b61373_an_edit_changes_no_session_that_is_there(trial, scenario, command):
    """The step that is edited is the root's, seen through two forks of it."""
    trial.record(scenario)
    root = trial.session
    forks = [trial.run_as(Mode.FORK, scenario, source=f"{root}@{cut}") and trial.session for cut in (3, 4)]
    before = {one: command("show", one, "--json", "--content") for one in (root, *forks)}
    made = command("edit", forks[0], "--step", "1", "--text", "edited", "--json")
    assert bodies(command, made["id"]) == {1: "edited"}
    assert {one: command("show", one, "--json", "--content") for one in before} == before


def test_27645b0_3cbbc6f_a_fork_of_an_edit_goes_on_from_the_edit(trial, scenario, server, command):
    """And writes what it does into its own session, not into what it reads from."""
    recorded, _ = trial.record(scenario)
    made = command("edit", trial.session, "--step", "2", "--text", "edited", "--json")["id"]
    server.forget()
    seen, steps = trial.run_as(Mode.FORK, scenario, source=made)
    assert seen == [recorded[0], "edited", "1 to [2 edited]", f"2 to [3 {seen[2]}]"]
    assert decisions(steps) == ["hit", "hit", "miss", "record"]
    assert list(bodies(command, made).values()) == [recorded[0], "edited"]
    assert list(bodies(command, trial.session).values()) == seen


def test_fe6f9e4_a_fork_at_the_first_step_is_live_and_steps_keep_their_kind(
    trial, driver, server, scenario, command
):
    async def listing():
        async with driver.client() as client:
            await driver.exchange(client, "GET", f"{server.url}{MODELS}")
        return await scenario()

    server.on(MODELS, answer([]))
    trial.record(listing)
    source = trial.session
    _, steps = trial.run_as(Mode.FORK, listing, source=f"{source}@1")
    assert decisions(steps) == ["record"] * 5
    _, steps = trial.run_as(Mode.FORK, listing, source=f"{source}@2")
    assert decisions(steps) == ["hit"] + ["record"] * 4
    assert [step.kind for step in steps] == [Kind.HTTP] + [Kind.LLM] * 4
    made = command("edit", source, "--step", "1", "--status", "500", "--json")
    assert [step["kind"] for step in command("show", made["id"], "--json")["steps"]] == ["http"]


def test_96397e7_one_fork_makes_one_session_and_no_id_breaks_a_command(trial, scenario, command):
    trial.record(scenario)
    trial.run_as(Mode.FORK, scenario, source=f"{trial.session}@3")
    assert len(command("sessions", "--json")) == 2
    for ref in ("é", "0", "☃" * 40, trial.session[:3], trial.session + "0"):
        assert "no session is called" in command("show", ref, code=2)


def test_b146f53_sessions_at_the_same_time_show_their_own_steps_alone(server, scenario, store_path, command):
    together = threading.Barrier(2)

    def work(name):
        with rewind_auto.session(name, mode="fork", source="first@3") as session:
            together.wait(10)
            with httpx2.Client(trust_env=False) as client:
                for text in ("0 hello", f"1 of {name}", f"2 of {name}"):
                    client.post(f"{server.url}{CHAT}", content=question(text))
                    together.wait(10)
        return session.id

    rewind_auto.install(hosts=["127.0.0.1"], name="first")
    try:
        with httpx2.Client(trust_env=False) as client:
            for text in ("0 hello", "1 hello", "2 hello"):
                client.post(f"{server.url}{CHAT}", content=question(text))
        with ThreadPoolExecutor(2) as pool:
            made = dict(zip("ab", pool.map(work, "ab"), strict=True))
    finally:
        rewind_auto.uninstall()
    for name, session in made.items():
        shown = command("show", session, "--json", "--content")["steps"]
        assert [asked(step["request"]) for step in shown] == ["0 hello", f"1 of {name}", f"2 of {name}"]
        assert [step["decision"] for step in shown] == ["hit", "miss", "miss"]


# --- replays


def test_e82f49b_a_divergence_uses_nothing_up(trial, driver, server, scenario):
    recorded, _ = trial.record(scenario)

    async def run():
        async with driver.client() as client:
            with pytest.raises(RewindReplayDivergenceError):
                await driver.exchange(client, "POST", f"{server.url}{CHAT}", content=question("another"))
        return await scenario()

    assert trial.replay(run, clean=False) == recorded
    assert decisions(trial.steps(trial.replaying)) == ["blocked"] + ["hit"] * TURNS


@pytest.mark.parametrize(
    "body",
    [
        b'{"status":418,"headers":[["x","y"]],"body":"aGVsbG8="}',  # as that one kept a response
        b'{"$":"dataclass","c":"subprocess:Popen","v":{}}',  # as this one keeps what a function gives
        b'{"stream":true,"choices":[{"del',
        b"data: {}\n\ndata: [DO",
    ],
)
def test_e82f49b_a_body_is_what_it_is_whatever_it_looks_like(trial, driver, server, body):
    server.on(CHAT, reply(body, headers=[("Content-Type", "application/json")]))

    async def scenario():
        async with driver.client() as client:
            return (await driver.exchange(client, "POST", f"{server.url}{CHAT}", content=body)).body

    assert trial.record(scenario)[0] == body
    assert trial.replay(scenario) == body


def test_e82f49b_keys_that_a_server_sends_back_are_not_kept(trial, driver, server, written):
    told = {"X_Api_Key": "canary-1", "Set_Cookie": "session=canary-2", "Authorization": "Bearer canary-3"}
    server.on(CHAT, answer(1, Connection="X-Hop, close", X_Hop="parrot", **told))
    trial.record(agent_of_one(driver, server))
    assert b"parrot" in written()
    assert b"canary" not in written()
    [got] = trial.replay(agent_of_one(driver, server))
    assert (b"X-Hop", b"parrot") in got.response["headers"]


def agent_of_one(driver, server, **options):
    async def scenario():
        async with driver.client() as client:
            url = f"{server.url}{CHAT}"
            return [await driver.exchange(client, "POST", url, content=question("hello"), **options)]

    return scenario


def test_27bdf09_a_strict_replay_is_strict_and_each_begins_anew(trial, driver, server, scenario):
    recorded, _ = trial.record(scenario)
    server.forget()
    for _ in range(2):
        session = uuid.uuid4().hex
        with trial.agent(Mode.REPLAY, session, source=trial.session):
            assert driver.run(scenario()) == recorded
            with pytest.raises(RewindReplayDivergenceError):
                driver.run(scenario())
        assert decisions(trial.steps(session)) == ["hit"] * TURNS + ["blocked"]
    assert server.seen == []


def test_27bdf09_what_a_fork_sends_is_recorded_in_the_fork(trial, driver, server, scenario):
    """A call before the cut that was not recorded, too."""
    trial.record(scenario)
    source, before = trial.session, trial.steps()
    _, steps = trial.run_as(Mode.FORK, agent(driver, server, begin="bye"), source=f"{source}@4")
    assert decisions(steps) == ["miss"] * TURNS
    assert trial.steps(source) == before


def test_ee1767c_a_source_that_is_removed_under_a_replay_ends_it(trial, driver, server, scenario):
    """Nothing is sent instead; and what the replay has served so far can still be looked at."""
    trial.record(scenario)
    server.forget()
    session = uuid.uuid4().hex
    with trial.agent(Mode.REPLAY, session, source=trial.session), trial._reading() as store:
        assert len(driver.run(agent(driver, server, turns=2)())) == 2
        store.remove([trial.session])
        with pytest.raises(RewindReplayDivergenceError):
            driver.run(scenario())
    assert server.seen == []


def test_ee1767c_removing_takes_all_of_one_session_and_nothing_of_another(trial, scenario, command):
    trial.record(scenario)
    source = trial.session
    trial.run_as(Mode.FORK, scenario, source=f"{source}@3")
    assert "replays or forks show" in command("rm", source, code=2)
    assert "no session is called" in command("rm", source[:3], code=2)  # too short to be meant
    assert command("rm", source[:12], "--dependents", "--json")["removed"] == [trial.session, source]
    with trial._reading() as store, store._connection.reading() as db:
        for table in ("steps", "nodes", "blobs"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table


def test_3facc2d_a_write_that_is_tried_again_burns_no_number_and_leaves_nothing(
    trial, driver, server, scenario
):
    trial.record(scenario)
    other = sqlite3.connect(trial.store, isolation_level=None)
    session = uuid.uuid4().hex
    with trial.agent(Mode.RECORD, session) as running:
        driver.run(scenario())
        other.execute("BEGIN IMMEDIATE")
        driver.run(agent(driver, server, turns=1, begin="while it is locked")())
        other.execute("COMMIT")
        running.runtime().behind.flush(5)
        driver.run(agent(driver, server, turns=1, begin="again")())
    other.close()
    assert [step.step for step in trial.steps(session)] == list(range(1, TURNS + 3))
    with trial._reading() as store:
        whole = store.used_bytes()
        store.remove([])  # takes what nobody has
        assert store.used_bytes() == whole


# --- what is shown


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_fa7d54f_every_view_shows_the_body_itself(trial, driver, server, command, coding, tmp_path):
    told = json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": "canary"}}]})
    headers = [("Content-Type", "application/json")]
    for text in ("canary", "parrot"):
        body = told.replace("canary", text).encode()
        if coding:
            server.on(CHAT, reply(gzip.compress(body), headers=[*headers, ("Content-Encoding", "gzip")]))
        else:
            server.on(CHAT, reply(body, headers=headers))
        trial.record(agent_of_one(driver, server))
    first, second = [one["id"] for one in reversed(command("sessions", "--json"))]
    command("export", first, "--format", "har", "--output", str(tmp_path / "first.har"))
    views = {
        "show": command("show", first),
        "show --step": command("show", first, "--step", "1"),
        "show --content": command("show", first, "--content"),
        "show --json": command("show", first, "--json", "--content")["steps"][0]["response"],
        "diff": command("diff", first, second),
        "diff --json": json.dumps(command("diff", first, second, "--json")),
        "har": json.loads((tmp_path / "first.har").read_text())["log"]["entries"][0]["response"]["content"][
            "text"
        ],
    }
    assert [view for view, shown in views.items() if "canary" not in shown] == []
    command("edit", first, "--step", "1", "--text", "edited")
    assert bodies(command, "last") == {1: "edited"}


def test_0cded18_a_ref_means_the_same_to_every_command(trial, scenario, command, tmp_path):
    trial.options["session_name"] = "named"
    trial.record(scenario)
    trial.record(scenario)
    newest = trial.session
    for ref in (newest, newest[:8], newest[:4].upper(), "named", "last"):
        assert command("show", ref, "--json")["session"]["id"] == newest
        assert command("diff", ref, newest, "--json")["first_divergence"] is None
        assert command("stats", ref, "--json")["steps"] == TURNS
        assert command("edit", ref, "--step", "1", "--text", "x", "--name", "e", "--json")["parent"] == newest
        assert command("rm", "e", "--json")["removed"] != [newest]
        with trial._reading() as store:
            assert store.resolve(ref, for_replay=True).id == newest
    assert command("rm", "last", "--json")["removed"] == [newest]
