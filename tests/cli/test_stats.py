"""``rewind-auto stats``."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from looking import AGAIN, START, TRIP, fill, look, printed, recorded, request, step, told
from test_main import refused
from test_sessions import AGAIN_JSON

from rewind_auto.core.errors import StoreBusyError
from rewind_auto.core.model import Match, Mode, Session
from rewind_auto.store import open_store

# The two answers of the trip that have tokens: 1250 * 2 + 16 * 10 and 30 * 2 + 8 * 10 USD per million.
FIRST = {"input_tokens": 1250, "output_tokens": 16, "cost_usd": 0.00266, "time_s": 0.0041}
SPENT = {"input_tokens": 1280, "output_tokens": 24, "cost_usd": 0.0028, "time_s": 5.0856}
BOTH = {"input_tokens": 1280, "output_tokens": 24, "cost_usd": 0.0028, "time_s": 0.0692}
NOTHING = {"input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0, "time_s": 0.0}
SHOWN = """\
2 sessions, 10 steps, {size} MB
spent  8 live calls: 1,280 → 24 tokens, $0.0028, 5.09 s of waiting
saved  1 hit: 1,250 → 16 tokens, $0.0027, 4.1 ms of waiting

model                live      tokens     cost  hits      tokens     cost
openai gpt-5.4-mini     2  1,280 → 24  $0.0028     1  1,250 → 16  $0.0027
"""
REPLAY_SHOWN = """\
trip  e5f6a7b8  2 steps
spent  0 live calls
saved  1 hit: 1,250 → 16 tokens, $0.0027, 4.1 ms of waiting

model                hits      tokens     cost
openai gpt-5.4-mini     1  1,250 → 16  $0.0027
"""


def stats(environ, *args: str, **variables) -> dict:
    return json.loads(printed(look(environ, "stats", "--json", *args, **variables)))


def shown(environ, *args: str, **variables) -> str:
    return "\n".join(
        line.rstrip() for line in printed(look(environ, "stats", *args, **variables)).splitlines()
    )


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.iterdir() if not file.name.endswith("-shm"))


def answered(
    path: Path, model: str, usage: dict[str, int], *, provider: str = "openai", number: int = 1
) -> None:
    """More answers in the trip."""
    kept = recorded(request("x"), 200, (), b"{}")
    with closing(open_store(str(path))) as store:
        for _ in range(number):
            made = step(TRIP, "x", model=model, provider=provider, usage=usage, **told(kept))
            store.prepare(made, kept)()


class TestJson:
    def test_of_all_sessions(self, environ, store_path) -> None:
        fill(store_path)
        assert stats(environ) == {
            "sessions": 2,
            "steps": 10,
            "hits": 1,
            "saved": FIRST,
            "spent": SPENT,
            "models": [
                {
                    "provider": "openai",
                    "model": "gpt-5.4-mini",
                    "steps": 3,
                    "hits": 1,
                    "saved": FIRST,
                    "spent": BOTH,
                }
            ],
            "unpriced": [],
            "bytes": size_of(store_path),
        }

    def test_of_one_session(self, environ, store_path) -> None:
        fill(store_path)
        for ref in ("last", AGAIN[:8]):
            found = stats(environ, ref)
            assert found["session"].items() >= AGAIN_JSON.items()
            assert (found["sessions"], found["steps"], found["hits"]) == (1, 2, 1)
            assert (found["saved"], found["spent"]) == (FIRST, NOTHING)
            assert [(model["steps"], model["hits"]) for model in found["models"]] == [(1, 1)]
        found = stats(environ, TRIP)
        assert (found["steps"], found["hits"], found["saved"], found["spent"]) == (8, 0, NOTHING, SPENT)

    @pytest.mark.parametrize(
        ("since", "counts"),
        [
            ("2027-01-15T08:00:00Z", (2, 10, 1)),
            ("2027-01-15T08:00:30", (1, 2, 1)),
            ("2027-01-15T09:00:30+01:00", (1, 2, 1)),
            ("2027-01-16", (0, 0, 0)),
        ],
    )
    def test_since_a_time(self, environ, store_path, since, counts) -> None:
        fill(store_path)
        found = stats(environ, "--since", since)
        assert (found["sessions"], found["steps"], found["hits"]) == counts
        assert found["saved"] == (FIRST if counts[2] else NOTHING)

    def test_since_some_time_ago(self, environ, store_path) -> None:
        fill(store_path)
        with closing(open_store(str(store_path))) as store:
            store.begin(Session("9" * 32, "old", started_at=time.time() - 86_400, pid=2**22 + 1))
        assert stats(environ)["sessions"] == 3
        assert (
            stats(environ, "--since", "12h")["sessions"] == 2
        )  # of a time that is yet to come, for the clock

    def test_a_session_without_steps(self, environ, store_path) -> None:
        with closing(open_store(str(store_path))) as store:
            store.begin(Session(TRIP, "x", pid=2**22 + 1))
        found = stats(environ, "x")
        assert (found["sessions"], found["steps"], found["hits"]) == (1, 0, 0)
        assert found["saved"] == found["spent"] == NOTHING
        assert found["models"] == []

    def test_sessions_inside_count_with_the_one_around(self, environ, store_path) -> None:
        fill(store_path)
        with closing(open_store(str(store_path))) as store:
            store.begin(Session("1" * 32, "around", Mode.CACHE, started_at=START))
            store.begin(Session("2" * 32, "inside", Mode.CACHE, outer="1" * 32, started_at=START))
            asked = step("2" * 32, "one")
            assert asked.fingerprint
            assert store.reuse(asked, asked.fingerprint.exact, Match.EXACT, since=0.0)
        found = stats(environ, "around")
        assert (found["sessions"], found["steps"], found["hits"], found["saved"]) == (2, 1, 1, FIRST)

    def test_each_model_the_most_expensive_first(self, environ, store_path, tmp_path) -> None:
        fill(store_path)
        answered(store_path, "big", {"input_tokens": 100, "output_tokens": 0}, provider="anthropic", number=2)
        answered(store_path, "unheard-of", {"input_tokens": 10**9}, provider="custom")
        prices = tmp_path / "p.json"
        big = {"model": "b*", "provider": "anthropic", "input": 75, "output": 0}
        prices.write_text(json.dumps({"prices": [big, {"model": "gpt*", "input": 1, "output": 1}]}))
        found = stats(environ, REWIND_PRICES=str(prices))
        assert [(model["model"], model["spent"]["cost_usd"]) for model in found["models"]] == [
            ("big", 0.015),
            ("gpt-5.4-mini", 0.001304),
            ("unheard-of", None),
        ]
        assert found["unpriced"] == [{"provider": "custom", "model": "unheard-of"}]
        assert found["spent"]["input_tokens"] == 1280 + 200 + 10**9  # tokens without money
        assert found["spent"]["cost_usd"] == 0.016304

    def test_by_genai_prices(self, environ, store_path) -> None:
        fill(store_path)
        answered(store_path, "gpt-4o-mini", {"input_tokens": 1000, "output_tokens": 200})
        from genai_prices import Usage, calc_price

        theirs = calc_price(Usage(input_tokens=1000, output_tokens=200), "gpt-4o-mini", provider_id="openai")
        costs = {m["model"]: m["spent"]["cost_usd"] for m in stats(environ)["models"]}
        assert costs == {"gpt-5.4-mini": 0.0028, "gpt-4o-mini": pytest.approx(float(theirs.total_price))}


class TestForPeople:
    def test_of_all_sessions(self, environ, store_path) -> None:
        fill(store_path)
        assert shown(environ) + "\n" == SHOWN.format(size=f"{size_of(store_path) / 1e6:.1f}")

    def test_of_one_session(self, environ, store_path) -> None:
        fill(store_path)
        assert shown(environ, "last") + "\n" == REPLAY_SHOWN

    def test_models_without_a_price_are_named(self, environ, store_path) -> None:
        fill(store_path)
        answered(store_path, "unheard-of", {"input_tokens": 12_345, "output_tokens": 1}, provider="custom")
        lines = shown(environ, TRIP).splitlines()
        assert lines[1].endswith("13,625 → 25 tokens, $0.0028, 5.09 s of waiting")
        assert lines[-3].split() == ["custom", "unheard-of", "1", "12.3", "k", "→", "1"]
        assert lines[-1].startswith("no price is known for custom unheard-of;")

    def test_where_the_terminal_is_narrow_the_names_give_way(self, environ, store_path) -> None:
        fill(store_path)
        lines = shown(environ, COLUMNS="40").splitlines()
        assert lines[-2].endswith("2  1,280 → 24  $0.0028     1  1,250 → 16  $0.0027")
        assert lines[-2].split()[0] == "openai"

    def test_names_cannot_steer_the_terminal(self, environ, store_path) -> None:
        fill(store_path)
        answered(store_path, "a\x1b[2Jb", {"input_tokens": 1}, provider="\x9bx")
        assert not set(shown(environ)) & set("\x1b\x9b")


class TestWithoutPrices:
    @pytest.fixture
    def hidden(self, environ, tmp_path) -> dict[str, str]:
        """An environment in which genai-prices cannot be imported."""
        (tmp_path / "hiding").mkdir()
        hiding = "raise ModuleNotFoundError(name='genai_prices')"
        (tmp_path / "hiding" / "genai_prices.py").write_text(hiding)
        return {**environ, "PYTHONPATH": f"{tmp_path / 'hiding'}:{environ['PYTHONPATH']}"}

    def test_tokens_and_a_word_on_how_to_see_money(self, hidden, store_path) -> None:
        fill(store_path)
        advice = "tokens only; for money: pip install 'rewind-auto[prices]'"
        lines = shown(hidden, REWIND_PRICES=None).splitlines()
        assert lines[-1] == advice
        assert lines[1] == "spent  8 live calls: 1,280 → 24 tokens, 5.09 s of waiting"
        assert "$" not in "".join(lines)
        said = printed(look(hidden, "show", "last", REWIND_PRICES=None)).splitlines()
        assert said[-1] == advice
        assert "cost" not in said[4]
        found = stats(hidden, REWIND_PRICES=None)
        assert (found["saved"]["cost_usd"], found["saved"]["input_tokens"]) == (None, 1250)
        (step, _) = json.loads(printed(look(hidden, "show", "last", "--json", REWIND_PRICES=None)))["steps"]
        assert step["cost_usd"] is None

    def test_the_users_own_suffice(self, hidden, store_path) -> None:
        fill(store_path)
        assert shown(hidden, "last") + "\n" == REPLAY_SHOWN
        assert "rewind-auto[prices]" not in printed(look(hidden, "show", "last"))

    @pytest.mark.parametrize("verb", [("stats",), ("show", "last"), ("show", "last", "--json")])
    def test_malformed_prices(self, environ, store_path, tmp_path, verb) -> None:
        fill(store_path)
        (tmp_path / "p.toml").write_text("[[prices]]\nmodel = 'm'\n")
        said = refused(look(environ, *verb, REWIND_PRICES=str(tmp_path / "p.toml")))
        assert said == f"REWIND_PRICES='{tmp_path / 'p.toml'}': price 1 has no input price"


def test_while_it_is_written(environ, store_path) -> None:
    fill(store_path)
    stop = threading.Event()

    def write() -> None:
        kept = recorded(request("x"), 200, (), b"{}")
        with closing(open_store(str(store_path))) as store:
            while not stop.is_set():
                with suppress(StoreBusyError):
                    store.prepare(step(TRIP, "x", usage={"input_tokens": 1}, **told(kept)), kept)()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = [stats(environ) for _ in range(3)]
    finally:
        stop.set()
        writer.join()
    for found in seen:  # what came in between counting and adding up is in the one or in both
        added = found["steps"] - 10
        assert 0 <= found["spent"]["input_tokens"] - 1280 - added < 10_000
    assert seen[0]["steps"] < seen[1]["steps"] < seen[2]["steps"]


def test_while_it_is_locked(environ, store_path) -> None:
    """As it is for a moment by a program that ends."""
    fill(store_path)
    with closing(sqlite3.connect(store_path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        opening = threading.Timer(1.5, other.close)
        opening.start()
        assert stats(environ)["steps"] == 10
        opening.join()


def test_many_steps_show_progress_to_who_looks(environ, store_path, monkeypatch, capsys) -> None:
    """On stderr, and only on a terminal: what is printed stays the same."""
    fill(store_path)
    code = (
        "import sys; from rewind_auto.cli import main, stats; stats._LONG = 1\nsys.exit(main.run(['stats']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environ, "REWIND_PRICES": str(Path(__file__).with_name("prices.toml")), "FORCE_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "adding up" in done.stderr
    assert "adding up" not in done.stdout


CALLS = """
import sys
from openai import OpenAI
client = OpenAI(base_url=sys.argv[1], api_key="any")
for model in ("gpt-4o-mini", "my-model", "gpt-4o-mini"):
    messages = [{"role": "user", "content": f"Hello, {model}."}]
    usage = client.chat.completions.create(model=model, messages=messages).usage
    print(usage.prompt_tokens, usage.completion_tokens)
"""


def test_a_run_and_its_replay(environ, rewind_run, provider, tmp_path, store_path) -> None:
    """What the program was told that it used, by hand; and what the replay did not use."""
    (tmp_path / "agent.py").write_text(CALLS)
    command = (sys.executable, "agent.py", f"{provider.url}/v1")
    hosts = ("--hosts", "127.0.0.1")
    live = rewind_run(*hosts, "--name", "live", *command)
    assert live.returncode == 0, live.stderr
    provider.stop()
    again = rewind_run(*hosts, "--replay", "live", *command)
    assert (again.returncode, again.stdout) == (0, live.stdout), again.stderr
    used = [[int(word) for word in line.split()] for line in live.stdout.splitlines()]
    assert all(read and written for read, written in used)
    read, written = (sum(column) for column in zip(*used, strict=True))

    (tmp_path / "p.toml").write_text("[[prices]]\nmodel = 'gpt-4o-mini*'\ninput = 1.5\noutput = 20\n")
    usd = sum(used[place][0] * 1.5e-6 + used[place][1] * 20e-6 for place in (0, 2))
    mine = {"REWIND_PRICES": str(tmp_path / "p.toml")}
    assert [stats(environ, ref, **mine)["hits"] for ref in ("live", "last")] == [0, 3]
    found = stats(environ, **mine)
    saved = found["saved"]
    assert (saved["input_tokens"], saved["output_tokens"]) == (read, written)
    assert saved["cost_usd"] == pytest.approx(usd)
    assert found["spent"] == saved
    assert saved["time_s"] > 0
    assert [model["model"] for model in found["unpriced"]] == ["my-model"]
    assert found["sessions"] == 2
    for ref in ("live", "last"):
        steps = json.loads(printed(look(environ, "show", ref, "--json", **mine)))["steps"]
        first, unknown, _ = (step["cost_usd"] for step in steps)
        assert first == pytest.approx(used[0][0] * 1.5e-6 + used[0][1] * 20e-6)
        assert unknown is None
