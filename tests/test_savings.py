"""`rewind_auto.savings`: what this session was served instead of paying. Real programs, real recordings."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from offline_provider import OfflineProvider

import rewind_auto
from rewind_auto import SavingsSnapshot, intercept

PRELUDE = """
import json, os, sys, threading
import httpx, rewind_auto
client = httpx.Client()

def ask(number, model="priced", text=""):
    messages = [{"role": "user", "content": text or "word " * number}]
    answer = client.post(f"{sys.argv[1]}/v1/chat/completions", json={"model": model, "messages": messages})
    return answer.json()["usage"]

def show(found=None):
    found = found or rewind_auto.savings()
    print(json.dumps([found.hits, found.input_tokens, found.output_tokens, found.cost_usd]), flush=True)
"""
RECORD = "rewind_auto.install(hosts=['127.0.0.1'], name='source')\n"
REPLAY = "rewind_auto.install(hosts=['127.0.0.1'], mode='replay', source='source')\n"
ASKING = "for number in range(1, 6): print(json.dumps(ask(number)))\n"
PRICES = "[[prices]]\nmodel = 'priced'\ninput = 2.5\noutput = 40\n"
NOTHING = [0, 0, 0, 0.0]


def start(code: str, url: str, *command: str, said: str = "", **variables: str) -> list:
    """Run a program; returns what it printed, as JSON. On stderr it says ``said`` somewhere, or nothing."""
    done = subprocess.run(
        [*command, sys.executable, "-c", PRELUDE + code, url],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        cwd=Path(rewind_auto.__file__).parents[1],
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert (said in done.stderr) if said else not done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(autouse=True)
def prices(tmp_path, monkeypatch) -> None:
    (tmp_path / "prices.toml").write_text(PRICES)
    monkeypatch.setenv("REWIND_PRICES", str(tmp_path / "prices.toml"))


@pytest.fixture
def run(provider):
    return lambda code, **variables: start(code, provider.url, **variables)


@pytest.fixture(scope="module")
def tape(tmp_path_factory) -> tuple[Path, list[dict[str, int]]]:
    """A store with five calls, recorded as ``source``, and their usage: each asks one word more."""
    path = tmp_path_factory.mktemp("tape") / "rewind.db"
    with OfflineProvider() as provider:
        usages = start(RECORD + ASKING, provider.url, REWIND_STORE=str(path))
    assert len({usage["prompt_tokens"] for usage in usages}) == 5
    return path, usages


@pytest.fixture
def recorded(tape, store_path) -> list[dict[str, int]]:
    """The usage of what is in this test's store."""
    path, usages = tape
    store_path.parent.mkdir()
    shutil.copy(path, store_path)
    return usages


def replay(code: str, *command: str, **variables: str) -> list:
    """Run a program with nobody there to answer it."""
    return start(code, "http://127.0.0.1:9", *command, **variables)


def saved(usages, times: int = 1) -> list:
    """What it comes to: 2.5 and 40 USD per million tokens."""
    read = sum(usage["prompt_tokens"] for usage in usages) * times
    written = sum(usage["completion_tokens"] for usage in usages) * times
    return [len(usages) * times, read, written, pytest.approx((read * 2.5 + written * 40) / 1e6)]


class TestSnapshot:
    def test_nothing_yet(self) -> None:
        assert SavingsSnapshot() == SavingsSnapshot(0, 0, 0, 0.0, 0.0)

    def test_cannot_be_changed(self) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            SavingsSnapshot().hits = 1  # type: ignore[misc]

    def test_has_the_names_of_the_earlier_interface(self) -> None:
        found = SavingsSnapshot(3, 20, 10, 0.5, 1.0)
        earlier = (
            found.cache_hits,
            found.tokens_saved_in,
            found.tokens_saved_out,
            found.cost_saved_usd_estimate,
        )
        assert earlier == (3, 20, 10, 0.5)
        assert SavingsSnapshot(1, 1, 1, None).cost_saved_usd_estimate == 0.0

    def test_the_earlier_interface_is_the_same_function(self) -> None:
        assert intercept.savings is rewind_auto.savings
        assert rewind_auto.SavingsSnapshot is SavingsSnapshot


class TestBeforeACall:
    @pytest.mark.parametrize("begun", ["", "rewind_auto.install()\n"])
    def test_zeros_and_nothing_is_loaded_or_made(self, store_path, begun) -> None:
        code = (
            "before = set(sys.modules)\nshow()\n"
            "heavy = {'sqlite3', 'genai_prices', 'pydantic', 'opentelemetry', 'rewind_auto.runtime'}\n"
            "print(json.dumps(sorted(heavy & (set(sys.modules) - before))))"
        )
        assert replay(begun + code, REWIND_PRICES="") == [NOTHING, []]
        assert not store_path.parent.exists()

    @pytest.mark.usefixtures("recorded")
    def test_zeros_in_a_store_of_others(self) -> None:
        assert replay(REPLAY + "show()") == [NOTHING]

    def test_zeros_after_live_calls(self, run) -> None:
        assert run(RECORD + "ask(1)\nshow()\nprint(json.dumps('genai_prices' in sys.modules))") == [
            NOTHING,
            False,
        ]


class TestReplayed:
    def test_what_was_served_so_far(self, recorded) -> None:
        asking = "for number in range(1, 6): ask(number); show()"
        assert replay(REPLAY + asking) == [saved(recorded[:number]) for number in range(1, 6)]

    def test_the_time_that_the_recorded_calls_took(self, run) -> None:
        code = "ask(1, 'm', '[wait=0.3] a')\nprint(rewind_auto.savings().time_s)"
        assert run(RECORD + code) == [0]
        [seconds] = run(REPLAY + code)
        assert seconds >= 0.3

    def test_another_replay_starts_from_zero(self, recorded) -> None:
        for _ in range(2):
            assert replay(REPLAY + "show(); ask(2); show()") == [NOTHING, saved(recorded[1:2])]

    def test_a_replay_of_a_replay_saves_as_much(self, recorded) -> None:
        asking = "for number in range(1, 6): ask(number)\nshow()"
        again = "rewind_auto.install(hosts=['127.0.0.1'], mode='replay', source=sys.argv[2])\n"
        replay(
            "rewind_auto.install(hosts=['127.0.0.1'], mode='replay', source='source', name='again')\n"
            + asking
        )
        assert replay(again.replace("sys.argv[2]", "'again'") + asking) == [saved(recorded)]

    def test_answers_from_any_session(self, run, recorded) -> None:
        """Of a cache: the same one again and again, and none for what is new."""
        cache = "rewind_auto.install(hosts=['127.0.0.1'], mode='cache')\n"
        assert run(cache + "for _ in range(3): ask(2)\nask(7)\nshow()") == [saved(recorded[1:2], 3)]

    def test_by_genai_prices(self, run) -> None:
        from genai_prices import Usage, calc_price

        [usage] = run(RECORD + "print(json.dumps(ask(4, 'gpt-4o-mini')))")
        tokens = Usage(input_tokens=usage["prompt_tokens"], output_tokens=usage["completion_tokens"])
        theirs = float(calc_price(tokens, "gpt-4o-mini", provider_id="openai").total_price)
        [[*_, usd]] = run(REPLAY + "ask(4, 'gpt-4o-mini'); show()")
        assert usd == pytest.approx(theirs)

    def test_models_without_a_price_are_tokens_without_money(self, run) -> None:
        asking = "print(json.dumps([ask(1, 'unheard-of'), ask(2)]))\n"
        [usages] = run(RECORD + asking)
        [_, found] = run(REPLAY + asking + "show()")
        assert found == [*saved(usages)[:3], saved(usages[1:])[3]]
        [alone] = run(REPLAY + "ask(1, 'unheard-of'); show()")
        assert alone == [*saved(usages[:1])[:3], None]


class TestWhoCounts:
    def test_all_threads(self, run) -> None:
        code = (
            "usages = []\n"
            "work = lambda k: usages.extend([ask(k * 5 + n) for n in range(1, 6)])\n"
            "threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]\n"
            "for thread in threads: thread.start()\n"
            "seen = [rewind_auto.savings().hits for _ in range(20)]\n"
            "for thread in threads: thread.join()\n"
            "print(json.dumps([usages, seen]))\nshow()"
        )
        [[usages, _], _] = run(RECORD + code)
        [[_, seen], found] = run(REPLAY + code)
        assert found == saved(usages)
        assert seen == sorted(seen)

    def test_forked_processes_and_those_that_forked_them(self, recorded) -> None:
        code = (
            "ask(1)\n"
            "if os.fork() == 0:\n"
            "    ask(2); show(); sys.stdout.flush(); os._exit(0)\n"
            "os.wait(); ask(3); show()"
        )
        assert replay(REPLAY + code) == [saved(recorded[:2]), saved(recorded[:3])]

    def test_child_processes(self, recorded) -> None:
        """Of one that makes no call itself."""
        command = "[sys.executable, '-c', os.environ['CHILD'], sys.argv[1]]"
        code = f"{REPLAY}import subprocess; subprocess.run({command}, check=True)\nshow()"
        found = replay(code, CHILD=PRELUDE + REPLAY + "ask(1); ask(2)")
        assert found == [saved(recorded[:2])]

    def test_a_session_of_the_programs_own(self, recorded) -> None:
        code = (
            REPLAY + "ask(1)\n"
            "with rewind_auto.session('inner', mode='replay', source='source'): show(); ask(2); show()\n"
            "show()"
        )
        assert replay(code) == [NOTHING, saved(recorded[1:2]), saved(recorded[:2])]

    def test_uninstall_ends_it(self, recorded) -> None:
        assert replay(REPLAY + "ask(1)\nshow()\nrewind_auto.uninstall()\nshow()") == [
            saved(recorded[:1]),
            NOTHING,
        ]

    def test_not_the_session_of_the_environment(self, recorded) -> None:
        """Which goes on."""
        launcher = (
            sys.executable,
            "-m",
            "rewind_auto.cli.run",
            "--hosts",
            "127.0.0.1",
            "--replay",
            "source",
            "--allow-unused",
        )
        code = "ask(1)\nrewind_auto.install()\nrewind_auto.uninstall()\nshow()"
        assert replay(code, *launcher, REWIND_TESTING="") == [saved(recorded[:1])]


class TestTrouble:
    def test_malformed_prices(self, tmp_path) -> None:
        (tmp_path / "bad.toml").write_text("[[prices]]\nmodel = 'm'")
        code = (
            "from rewind_auto.settings import SettingsError\n"
            "try: show()\n"
            "except SettingsError as error: print(json.dumps(str(error)))"
        )
        [said] = replay(RECORD + code, REWIND_PRICES=str(tmp_path / "bad.toml"))
        assert said == f"REWIND_PRICES='{tmp_path / 'bad.toml'}': price 1 has no input price"

    def test_a_malformed_environment(self) -> None:
        said = "REWIND_SPEED='fast': not a number; nothing is recorded"
        assert replay("rewind_auto.install()\nshow()", said=said, REWIND_SPEED="fast") == [NOTHING]

    def test_a_store_that_cannot_be_read(self, store_path) -> None:
        store_path.parent.mkdir()
        store_path.write_text("dear diary\n" * 100)
        found = replay("rewind_auto.install()\nshow()\nshow()", said="savings are not known: ")
        assert found == [NOTHING, NOTHING]
        assert store_path.read_text() == "dear diary\n" * 100

    def test_while_another_process_writes(self, recorded) -> None:
        code = (
            "import sqlite3; ask(1)\n"
            "other = sqlite3.connect(os.environ['REWIND_STORE'], isolation_level=None)\n"
            "other.execute('BEGIN IMMEDIATE')\nshow()\nother.execute('ROLLBACK')"
        )
        assert replay(REPLAY + code) == [saved(recorded[:1])]

    @pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc")
    @pytest.mark.usefixtures("recorded")
    def test_nothing_is_left_open(self) -> None:
        code = (
            "import gc\nfrom rewind_auto.store.connection import Connection\n"
            "count = lambda: len(os.listdir('/proc/self/fd'))\n"
            "stores = lambda: sum(isinstance(found, Connection) for found in gc.get_objects())\n"
            "ask(1)\nrewind_auto.savings()\nbefore, connections = count(), stores()\n"
            "for _ in range(20): rewind_auto.savings()\n"
            "print(json.dumps([count() - before, threading.active_count(), stores() - connections]))"
        )
        [[descriptors, threads, connections]] = replay(REPLAY + code)
        # SQLite keeps one that it must not close while another connection of the process has its locks.
        assert descriptors <= 1
        assert (threads, connections) == (1, 0)
