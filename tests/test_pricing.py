"""What a call cost: the user's prices, and those of genai-prices."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from rewind_auto.core.model import Step
from rewind_auto.price_file import load
from rewind_auto.pricing import PROVIDERS, Prices
from rewind_auto.providers.hosts import PROVIDERS as HOSTS
from rewind_auto.settings import SettingsError

NOW = 1_795_000_000.0
USAGE = {"input_tokens": 1000, "output_tokens": 200}
CACHED = {
    "input_tokens": 1000,
    "output_tokens": 200,
    "cache_read_input_tokens": 600,
    "cache_write_input_tokens": 100,
    "reasoning_output_tokens": 150,
}
TOML = """
[[prices]]
model = "exact"
input = 2
output = 10.5

[[prices]]
model = "cached*"
provider = "anthropic"
input = 3
output = 15
cache_read = 0.3
cache_write = 3.75

[[prices]]
model = "cached*"
input = 1
output = 1

[[prices]]
model = "*/free (beta)*"
input = 0
output = 0

[[prices]]
model = "gpt-4o-mini"
input = 1000
output = 1000
"""


@pytest.fixture
def own(tmp_path):
    """Prices of the user's, written as TOML and read."""

    def read(text: str = TOML, name: str = "prices.toml") -> Prices:
        (tmp_path / name).write_text(text)
        return load(str(tmp_path / name))

    return read


def calculated(model: str, provider: str, usage: dict[str, int], at: float = NOW) -> float:
    """What genai-prices itself says."""
    from genai_prices import Usage, calc_price

    tokens = Usage(
        input_tokens=usage.get("input_tokens"),
        output_tokens=usage.get("output_tokens"),
        cache_read_tokens=usage.get("cache_read_input_tokens"),
        cache_write_tokens=usage.get("cache_write_input_tokens"),
    )
    when = datetime.fromtimestamp(at, UTC)
    return float(calc_price(tokens, model, provider_id=provider, genai_request_timestamp=when).total_price)


class TestOwn:
    @pytest.mark.parametrize(
        ("provider", "model", "usage", "usd"),
        [
            ("openai", "exact", USAGE, 0.0041),  # 1000 * 2 + 200 * 10.5
            ("openai", "EXACT", USAGE, 0.0041),
            (None, "exact", USAGE, 0.0041),
            ("openai", "exact", CACHED, 0.0041),  # no price of its own for cached ones: that of input
            ("openai", "exact", {"input_tokens": 500}, 0.001),
            ("openai", "exact", {"output_tokens": 2}, 0.000021),
            ("openai", "exact", {"input_tokens": 0, "output_tokens": 0}, 0.0),
            # 300 * 3 + 600 * 0.3 + 100 * 3.75 + 200 * 15
            ("anthropic", "cached-1", CACHED, 0.004455),
            ("openai", "cached-1", CACHED, 0.0012),
            ("openai", "a/FREE (beta) 2", CACHED, 0.0),
            ("openai", "gpt-4o-mini", USAGE, 1.2),  # before genai-prices, which knows it
        ],
    )
    def test_the_first_that_fits(self, own, provider, model, usage, usd) -> None:
        assert own().cost(provider, model, usage, NOW) == usd

    @pytest.mark.parametrize("model", ["exact-2", "not exact", "a/free beta", "cache"])
    def test_none_that_fits(self, own, model) -> None:
        assert own().cost("openai", model, USAGE, NOW) is None

    def test_in_json(self, own) -> None:
        text = json.dumps({"prices": [{"model": "m*", "provider": "x", "input": 1, "output": 2.5}]})
        prices = own(text, "prices.JSON")
        assert prices.cost("x", "m1", USAGE, NOW) == 0.0015
        assert prices.cost("y", "m1", USAGE, NOW) is None

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("prices = 3", "is not a list of prices"),
            ("[prices.m]\ninput = 1\noutput = 1", "is not a list of prices"),
            ("currency = 'EUR'\n[[prices]]\nmodel = 'm'", "is not a list of prices"),
            ("", "is not a list of prices"),
            ("prices = ['m']", "price 1 is not a table"),
            ("[[prices]]\ninput = 1\noutput = 1", "price 1 has no model"),
            ("[[prices]]\nmodel = ''\ninput = 1\noutput = 1", "price 1 has no model"),
            ("[[prices]]\nmodel = 'm'\noutput = 1", "price 1 has no input price"),
            ("[[prices]]\nmodel = 'm'\ninput = 1", "price 1 has no output price"),
            ("[[prices]]\nmodel = 'm'\ninput = 1\noutput = -1", "its output price is not a number from 0 up"),
            ("[[prices]]\nmodel = 'm'\ninput = nan\noutput = 1", "its input price is not a number from 0 up"),
            (
                "[[prices]]\nmodel = 'm'\ninput = true\noutput = 1",
                "its input price is not a number from 0 up",
            ),
            ("[[prices]]\nmodel = 'm'\ninput = '1'\noutput = 1", "its input price is not a number from 0 up"),
            (f"[[prices]]\nmodel = 'm'\ninput = 1{'0' * 400}\noutput = 1", "too large"),
            ("[[prices]]\nmodel = 'm'\nprovider = 1\ninput = 1\noutput = 1", "its provider is not a text"),
            ("[[prices]]\nmodel = 'm'\ninput = 1\noutput = 1\ncached = 1", "price 1 has an unknown 'cached'"),
            (f"{TOML}[[prices]]\nmodel = 'm'\noutput = 1", "price 6 has no input price"),
            ("[[prices]\nmodel", "at line 1"),
            ("\x00", "Invalid"),
        ],
    )
    def test_refused_in_one_line_that_names_it(self, own, tmp_path, text, said) -> None:
        with pytest.raises(SettingsError) as raised:
            own(text)
        line = str(raised.value)
        assert line.startswith(f"REWIND_PRICES='{tmp_path / 'prices.toml'}': ")
        assert said in line
        assert len(line.splitlines()) == 1

    @pytest.mark.parametrize(
        ("content", "said"),
        [(b'{"prices": [', "Expecting value"), (b"\xff", "utf-8"), (b"[" * 100_000, "nested")],
    )
    def test_refused_json(self, tmp_path, content, said) -> None:
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(SettingsError, match=said):
            load(str(tmp_path / "a.json"))

    def test_no_such_file(self, tmp_path) -> None:
        with pytest.raises(SettingsError, match="No such file"):
            load(str(tmp_path / "none.toml"))
        with pytest.raises(SettingsError, match="directory"):
            load(str(tmp_path))


class TestListed:
    """Against genai-prices' own sums, whatever its release says."""

    @pytest.mark.parametrize("usage", [USAGE, CACHED, {"input_tokens": 3}, {"output_tokens": 1}])
    @pytest.mark.parametrize(
        ("provider", "model", "theirs"),
        [
            ("openai", "gpt-4o-mini", "openai"),
            ("openai", "gpt-4o-mini-2024-07-18", "openai"),
            ("anthropic", "claude-sonnet-4-5-20250929", "anthropic"),
            ("gcp.gemini", "gemini-2.5-pro", "google"),
            ("gcp.vertex_ai", "claude-sonnet-4-5@20250929", "google"),
            ("aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws"),
            ("azure.ai.openai", "gpt-4o-2024-08-06", "azure"),
            ("mistral_ai", "mistral-large-latest", "mistral"),
            ("together_ai", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "together"),
            ("perplexity", "sonar", "perplexity"),  # by the request too
        ],
    )
    def test_the_same_as_its_own_sum(self, provider, model, theirs, usage) -> None:
        assert Prices().cost(provider, model, usage, NOW) == pytest.approx(
            calculated(model, theirs, usage), abs=1e-12
        )

    def test_gpt_4o_mini_by_hand(self) -> None:
        # 0.15 and 0.60 USD per million tokens since July 2024
        assert Prices().cost("openai", "gpt-4o-mini", USAGE, NOW) == 0.00027

    @pytest.mark.parametrize("size", [1, 199_999, 200_000, 200_001, 900_000])
    def test_models_that_cost_more_for_long_inputs(self, size) -> None:
        usage = {"input_tokens": size, "output_tokens": 5000, "cache_read_input_tokens": size // 2}
        cost = Prices().cost("gcp.gemini", "gemini-2.5-pro", usage, NOW)
        assert cost == pytest.approx(calculated("gemini-2.5-pro", "google", usage), abs=1e-12)

    def test_sizes_do_not_get_mixed_up(self) -> None:
        prices = Prices()
        for size in (900_000, 1000, 900_000, 1000):
            usage = {"input_tokens": size, "output_tokens": 10}
            cost = prices.cost("gcp.gemini", "gemini-2.5-pro", usage, NOW)
            assert cost == pytest.approx(calculated("gemini-2.5-pro", "google", usage), abs=1e-12)

    def test_the_price_at_the_time_of_the_call(self) -> None:
        night, noon = NOW // 86_400 * 86_400 + 18 * 3600, NOW // 86_400 * 86_400 + 12 * 3600
        prices = Prices()
        costs = [prices.cost("deepseek", "deepseek-chat", USAGE, at) for at in (night, noon, night)]
        theirs = [calculated("deepseek-chat", "deepseek", USAGE, at) for at in (night, noon, night)]
        assert costs == pytest.approx(theirs, abs=1e-12)
        assert len(set(costs)) == 2

    def test_every_model_of_every_provider(self) -> None:
        from genai_prices import data_snapshot

        prices, compared = Prices(), 0
        for listed in data_snapshot.get_snapshot().providers:
            ours = next((name for name, theirs in PROVIDERS.items() if theirs == listed.id), None)
            for model in listed.models if ours else ():
                cost = prices.cost(ours, model.id, CACHED, NOW)
                if cost is not None:
                    compared += 1
                    assert cost == pytest.approx(calculated(model.id, listed.id, CACHED), abs=1e-12), model.id
        assert compared > 500

    @pytest.mark.parametrize("size", [600, 800])
    def test_more_cached_tokens_than_tokens_are_an_estimate_all_the_same(self, size) -> None:
        cost = Prices().cost(
            "openai", "gpt-4o-mini", {"input_tokens": size, "cache_read_input_tokens": 800}, NOW
        )
        assert cost == pytest.approx(
            calculated("gpt-4o-mini", "openai", {"input_tokens": 800, "cache_read_input_tokens": 800}),
            abs=1e-12,
        )

    @pytest.mark.parametrize(
        ("provider", "model", "theirs", "name"),
        [
            ("openai", "claude-sonnet-4-5-20250929", "anthropic", "claude-sonnet-4-5-20250929"),
            ("openai", "gemini-2.5-flash", "google", "gemini-2.5-flash"),
            ("openai", "groq/llama-3.3-70b-versatile", "groq", "llama-3.3-70b-versatile"),
            ("custom", "openai/gpt-4o-mini", "openai", "gpt-4o-mini"),
            ("anthropic", "gpt-4o-mini", "openai", "gpt-4o-mini"),
        ],
    )
    def test_behind_a_gateway_the_name_says_whose_it_is(self, provider, model, theirs, name) -> None:
        assert Prices().cost(provider, model, USAGE, NOW) == pytest.approx(
            calculated(name, theirs, USAGE), abs=1e-12
        )

    @pytest.mark.parametrize(
        ("provider", "model", "usage"),
        [
            ("openai", "my-own-model", USAGE),
            ("groq", "gpt-4o-mini", USAGE),  # not there: another provider's price would be a guess
            ("ollama", "deepseek-r1", USAGE),
            ("nobody", "gpt-4o-mini", USAGE),
            (None, "gpt-4o-mini", USAGE),
            ("openai", None, USAGE),
            ("openai", "", USAGE),
            ("openai", "gpt-4o-mini", None),
            ("openai", "gpt-4o-mini", {}),
            ("openai", "gpt-4o-mini", {"reasoning_output_tokens": 5}),
            ("openai", "tts-1", USAGE),  # by the character
        ],
    )
    def test_not_known(self, provider, model, usage) -> None:
        assert Prices().cost(provider, model, usage, NOW) is None

    def test_a_hit_cost_what_it_cost_when_it_was_recorded(self) -> None:
        noon, night = NOW // 86_400 * 86_400 + 12 * 3600, NOW // 86_400 * 86_400 + 18 * 3600
        hit = Step(
            "s",
            1,
            provider="deepseek",
            model="deepseek-chat",
            usage=USAGE,
            started_at=night,
            recorded_at=noon,
        )
        assert Prices().of_step(hit) == pytest.approx(
            calculated("deepseek-chat", "deepseek", USAGE, noon), abs=1e-12
        )

    def test_its_providers_are_ours(self) -> None:
        """Each host of ours that genai-prices knows is the provider that we take it for."""
        from genai_prices import data_snapshot

        snapshot = data_snapshot.get_snapshot()
        elsewhere = {  # run by one, with the host of another; and a site that has prices of its own
            "https://claude.googleapis.com",
            "https://open.bigmodel.cn",
        }
        known = set()
        for provider, hosts in HOSTS:
            for host in hosts:
                url = f"https://{host.replace('*', 'x')}"
                try:
                    theirs = snapshot.find_provider(None, None, url).id
                except LookupError:
                    continue
                known.add(provider)
                assert url in elsewhere or PROVIDERS.get(provider) == theirs, url
        assert {"openai", "anthropic", "gcp.gemini", "groq", "aws.bedrock", "azure.ai.openai"} <= known
        ids = {listed.id for listed in snapshot.providers}
        assert set(PROVIDERS.values()) <= ids


class TestWithoutIt:
    def test_not_installed(self, monkeypatch, own) -> None:
        monkeypatch.setitem(sys.modules, "genai_prices", None)
        prices = own()
        assert prices.cost("openai", "exact", USAGE, NOW) == 0.0041
        assert not prices.missing
        assert prices.cost("openai", "gpt-4o", USAGE, NOW) is None
        assert prices.missing

    def test_loaded_only_for_what_nobody_else_knows(self, tmp_path) -> None:
        (tmp_path / "p.toml").write_text(TOML)
        code = (
            "import sys; from rewind_auto import price_file; prices = price_file.load(sys.argv[1])\n"
            f"prices.cost('openai', 'exact', {USAGE}, 0.0); prices.cost('openai', 'gpt-4o', None, 0.0)\n"
            f"prices.cost('ollama', 'gpt-4o', {USAGE}, 0.0); prices.cost('openai', 'gpt-4o', {{}}, 0.0)\n"
            "print('genai_prices' in sys.modules)\n"
            f"prices.cost('openai', 'gpt-4o', {USAGE}, 0.0)\n"
            "print('genai_prices' in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "p.toml")], capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == ["False", "True"]

    @pytest.mark.parametrize("content", ["raise RuntimeError('half an upgrade')", "x = 1", "def broken(:"])
    def test_broken(self, tmp_path, content) -> None:
        (tmp_path / "genai_prices.py").write_text(content)
        code = (
            "from rewind_auto.pricing import Prices; prices = Prices()\n"
            f"print([prices.cost('openai', 'gpt-4o', {USAGE}, 0.0) for _ in range(3)])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "[None, None, None]\n"
        assert len(done.stderr.splitlines()) <= 1

    def test_nothing_is_fetched(self) -> None:
        """Not even where the package could: no connection, and no thread that would make one."""
        code = (
            "import socket, sys, threading\n"
            "def refuse(*args): raise AssertionError(args)\n"
            "sys.addaudithook(lambda name, args: name.startswith('socket.') and refuse(name, args))\n"
            "from rewind_auto.pricing import Prices\n"
            f"print(Prices().cost('openai', 'gpt-4o', {USAGE}, 0.0) > 0, threading.active_count())"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "True 1\n"
