"""Every option: what is accepted, what is refused, and who goes before whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from rewind_auto import settings
from rewind_auto.core.model import Mode
from rewind_auto.settings import OPTIONS, Settings, SettingsError, load


@pytest.fixture(autouse=True)
def nothing_given():
    yield
    settings.forget()


def test_the_table_is_whole() -> None:
    assert sorted(option.field for option in OPTIONS) == sorted(Settings.__dataclass_fields__)
    assert len({option.variable for option in OPTIONS}) == len(OPTIONS)
    assert all(option.variable.startswith("REWIND_") and option.help for option in OPTIONS)


def test_nothing_set_is_the_default() -> None:
    assert load({}) == Settings()
    assert load({option.variable: "" for option in OPTIONS}) == Settings()
    assert Settings().mode is Mode.RECORD
    assert Settings().store == str(Path.home() / ".rewind-auto" / "rewind.db")


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("REWIND_MODE", " Record ", Mode.RECORD),
        ("REWIND_MODE", "off", Mode.OFF),
        ("REWIND_MODE", "cache", Mode.CACHE),
        ("REWIND_SESSION_BY", "header:X-Chat", "header:x-chat"),
        ("REWIND_SESSION_BY", "process", ""),
        ("REWIND_FROM", "trace:abc", "trace:abc"),
        ("REWIND_SESSION_NAME", " nightly run ", "nightly run"),
        ("REWIND_STORE", "/a/../b.db", "/b.db"),
        ("REWIND_STORE", "b.db", str(Path.cwd() / "b.db")),
        ("REWIND_STORE", "sqlite:///b.db", str(Path.cwd() / "b.db")),
        ("REWIND_STORE", "sqlite:////b.db", "/b.db"),
        ("REWIND_STORE", "~/b.db", str(Path.home() / "b.db")),
        ("REWIND_SPEED", "0", 0.0),
        ("REWIND_SPEED", "2.5", 2.5),
        (
            "REWIND_LLM_HOSTS",
            "a.test, *.b.test,,[::1]:80,localhost:8000",
            ("a.test", "*.b.test", "[::1]:80", "localhost:8000"),
        ),
        ("REWIND_TOOL_HOSTS", "a.test,*.b.test", ("a.test", "*.b.test")),
        ("REWIND_TOOL_HOSTS", "All", ("all",)),
        ("REWIND_CACHE_TTL", "90", 90.0),
        ("REWIND_CACHE_TTL", "1.5h", 5400.0),
        ("REWIND_CACHE_TTL", "7d", 604800.0),
        ("REWIND_LOG", "DEBUG", "debug"),
        ("REWIND_IGNORE", "metadata.user_id, $.messages[*].name", ("metadata.user_id", "$.messages[*].name")),
        ("REWIND_MAX_BODY", "1000", 1000),
        ("REWIND_MAX_BODY", "2M", 2 << 20),
        ("REWIND_MAX_BODY", "256m", 256 << 20),
        ("REWIND_REDACT", "ssn, /a,b/", ("ssn", "/a,b/")),
        ("REWIND_PRICES", "/a/../p.toml", "/p.toml"),
        ("REWIND_PRICES", "~/p.json", str(Path.home() / "p.json")),
        ("REWIND_OTLP", "1", "1"),
        ("REWIND_OTLP", "0", None),
        ("REWIND_OTLP", "https://collector.test:4318", "https://collector.test:4318"),
        ("REWIND_OTLP", "HTTP://user:key@[::1]:4318/x?y#z", "HTTP://user:key@[::1]:4318/x?y#z"),
        ("REWIND_ALLOW_UNUSED", "yes", True),
        ("REWIND_ROOT_PID", "17", 17),
    ],
)
def test_accepted(variable: str, text: str, value: object) -> None:
    field = next(option.field for option in OPTIONS if option.variable == variable)
    assert getattr(load({variable: text}), field) == value


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("REWIND_MODE", "foo"),
        ("REWIND_SESSION_BY", "header:"),
        ("REWIND_SESSION_BY", "user"),
        ("REWIND_FROM", "  "),
        ("REWIND_SESSION_NAME", "last"),
        ("REWIND_SESSION_NAME", "trace:1"),
        ("REWIND_SESSION_NAME", "two\nlines"),
        ("REWIND_STORE", "mysql://host/db"),
        ("REWIND_STORE", "postgresql://host/db"),
        ("REWIND_STORE", "sqlite:///"),
        ("REWIND_STORE", "sqlite:///:memory:"),
        ("REWIND_STORE", "sqlite://host/x.db"),
        ("REWIND_SPEED", "x"),
        ("REWIND_SPEED", "-1"),
        ("REWIND_SPEED", "nan"),
        ("REWIND_SPEED", "inf"),
        ("REWIND_LLM_HOSTS", "http://a.test"),
        ("REWIND_LLM_HOSTS", "a.test/v1"),
        ("REWIND_LLM_HOSTS", "a.test:0"),
        ("REWIND_LLM_HOSTS", "a.test:http"),
        ("REWIND_LLM_HOSTS", "*"),
        ("REWIND_LLM_HOSTS", "ok.test,a b"),
        ("REWIND_TOOL_HOSTS", "http://a.test"),
        ("REWIND_CACHE_TTL", "0"),
        ("REWIND_CACHE_TTL", "h"),
        ("REWIND_CACHE_TTL", "5y"),
        ("REWIND_LOG", "loud"),
        ("REWIND_IGNORE", "a[x"),
        ("REWIND_MAX_BODY", "many"),
        ("REWIND_MAX_BODY", "257m"),
        ("REWIND_REDACT", "/[/"),
        ("REWIND_SESSION_BY", "header:X-Api-Key"),
        ("REWIND_PRICES", " "),
        ("REWIND_OTLP", "ftp://a"),
        ("REWIND_OTLP", "http://"),
        ("REWIND_OTLP", "collector:4317"),
        ("REWIND_OTLP", "http://[::1"),
        ("REWIND_OTLP", "http://a[b]/"),
        ("REWIND_OTLP", "http://a:99999999/"),
        ("REWIND_OTLP", "http://a:0/"),
        ("REWIND_OTLP", "http://a:http/"),
        ("REWIND_OTLP", "http://:4318"),
        ("REWIND_ALLOW_UNUSED", "maybe"),
        ("REWIND_ROOT_PID", "-1"),
    ],
)
def test_refused_in_one_line_that_names_it(variable: str, text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load({variable: text})
    assert str(raised.value).startswith(f"{variable}={text!r}: ")
    assert len(str(raised.value).splitlines()) == 1


def test_replay_needs_a_source() -> None:
    with pytest.raises(SettingsError, match="REWIND_FROM"):
        load({"REWIND_MODE": "replay"})
    assert load({"REWIND_MODE": "replay", "REWIND_FROM": "last"}).source == "last"


class TestGiven:
    """What a program gives, and what its environment says."""

    @pytest.fixture(autouse=True)
    def no_store(self, monkeypatch) -> None:
        monkeypatch.delenv("REWIND_STORE")

    def test_holds_where_the_environment_says_nothing(self) -> None:
        settings.give({"REWIND_SPEED": "1", "REWIND_STORE": "/a.db"})
        assert (settings.current().speed, settings.current().store) == (1.0, "/a.db")
        settings.give({"REWIND_SPEED": "2"})
        assert (settings.current().speed, settings.current().store) == (2.0, "/a.db")
        settings.forget()
        assert settings.current() == Settings()

    def test_the_environment_goes_first(self, monkeypatch) -> None:
        monkeypatch.setenv("REWIND_MODE", "replay")
        monkeypatch.setenv("REWIND_FROM", "last")
        settings.give({"REWIND_MODE": "record", "REWIND_FROM": "other"})
        assert (settings.current().mode, settings.current().source) == (Mode.REPLAY, "last")
        monkeypatch.setenv("REWIND_MODE", "off")
        assert settings.current().mode is Mode.OFF

    def test_but_the_launchers_default_does_not_undo_a_replay(self, monkeypatch) -> None:
        monkeypatch.setenv("REWIND_MODE", "record")
        settings.give({"REWIND_MODE": "replay", "REWIND_FROM": "last"})
        assert settings.current().mode is Mode.REPLAY

    def test_hosts_add_up(self, monkeypatch) -> None:
        monkeypatch.setenv("REWIND_LLM_HOSTS", "a.test")
        settings.give({"REWIND_LLM_HOSTS": "b.test"})
        assert set(settings.current().llm_hosts) == {"a.test", "b.test"}

    def test_a_malformed_value_changes_nothing(self) -> None:
        settings.give({"REWIND_SPEED": "1"})
        with pytest.raises(SettingsError):
            settings.give({"REWIND_SPEED": "x", "REWIND_LOG": "debug"})
        assert (settings.current().speed, settings.current().log) == (1.0, "warning")
