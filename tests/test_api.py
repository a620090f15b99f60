"""`install` and `uninstall` in a running program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import httpx2
import pytest

import rewind_auto
from rewind_auto import driver, intercept
from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.core.model import Mode, Request
from rewind_auto.predicates import DefaultPredicates, LLMRequest, Predicates
from rewind_auto.settings import SettingsError

SEAMS = ((httpx, "Client"), (httpx, "AsyncClient"), (httpx2, "Client"), (httpx2, "AsyncClient"))


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    # Set, so that it is taken back: a session of this process is begun by install().
    monkeypatch.setenv("REWIND_SESSION_ID", "0" * 32)
    yield
    rewind_auto.uninstall()


def seams() -> list[object]:
    return [getattr(module, name).__dict__["_transport_for_url"] for module, name in SEAMS]


def test_install_and_uninstall_leave_the_same_attributes() -> None:
    before = seams()
    assert not rewind_auto.is_installed()
    rewind_auto.install()
    rewind_auto.install()
    assert rewind_auto.is_installed()
    assert not set(before) & set(seams())
    rewind_auto.uninstall()
    rewind_auto.uninstall()
    assert not rewind_auto.is_installed()
    assert seams() == before


def test_installing_again_changes_what_is_given() -> None:
    class Mine(DefaultPredicates):
        pass

    mine = Mine()
    rewind_auto.install(mine, speed=1, hosts=["a.test"])
    rewind_auto.install(name="second")
    current = driver.current()
    assert current.predicates is mine
    assert (current.settings.speed, current.settings.llm_hosts) == (1.0, ("a.test",))
    assert current.settings.session_name == "second"
    rewind_auto.install(name="second")
    assert driver.current() is current
    rewind_auto.uninstall()
    rewind_auto.install()
    assert driver.current().predicates is None
    assert driver.current().settings.speed == 0


def test_off_in_the_environment_keeps_it_out(monkeypatch) -> None:
    before = seams()
    monkeypatch.setenv("REWIND_MODE", "off")
    rewind_auto.install(mode="record")
    assert not rewind_auto.is_installed()
    assert seams() == before


def test_off_given_later_takes_it_out() -> None:
    before = seams()
    rewind_auto.install()
    rewind_auto.install(mode="off")
    assert not rewind_auto.is_installed()
    assert seams() == before


def test_malformed_arguments_install_nothing() -> None:
    before = seams()
    with pytest.raises(SettingsError):
        rewind_auto.install(mode="tape")
    with pytest.raises(SettingsError):
        rewind_auto.install(mode="replay")
    with pytest.raises(TypeError):
        rewind_auto.install(object())  # type: ignore[arg-type]
    assert not rewind_auto.is_installed()
    assert seams() == before
    rewind_auto.install()
    assert driver.current().settings.mode is Mode.RECORD


def test_a_malformed_environment_stops_only_a_replay(monkeypatch, capsys) -> None:
    monkeypatch.setenv("REWIND_SPEED", "fast")
    rewind_auto.install()
    assert not rewind_auto.is_installed()
    assert "REWIND_SPEED='fast'" in capsys.readouterr().err
    with pytest.raises(SettingsError, match="REWIND_SPEED"):
        rewind_auto.install(mode="replay", source="last")
    assert not rewind_auto.is_installed()
    monkeypatch.setenv("REWIND_MODE", "replay")
    monkeypatch.setenv("REWIND_FROM", "last")
    with pytest.raises(RewindReplayDivergenceError, match="REWIND_SPEED"):
        rewind_auto.install()
    assert not rewind_auto.is_installed()


@pytest.mark.parametrize("when", ["before", "after"])
def test_records_a_client_made_before_or_after(provider, store_path: Path, when: str) -> None:
    """In a process of its own, on its own: nothing but install() is called."""
    code = f"""
import httpx, rewind_auto
client = httpx.Client() if {when!r} == "before" else None
rewind_auto.install(hosts=["127.0.0.1"], name="mine")
client = client or httpx.Client()
print(client.post("{provider.url}/v1/chat/completions", json={{"model": "m", "messages": []}}).status_code)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(rewind_auto.__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr
    from rewind_auto.store import open_store

    (session,) = open_store(str(store_path)).sessions()
    assert (session.name, session.steps) == ("mine", 1)


class TestPackage:
    def test_importing_it_loads_nothing_else(self) -> None:
        code = "import sys; a = set(sys.modules); import rewind_auto; print(*(set(sys.modules) - a))"
        root = Path(rewind_auto.__file__).parents[1]
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
        )
        assert done.stdout.split() == ["rewind_auto"]

    def test_every_public_name_is_there(self) -> None:
        for name in rewind_auto.__all__:
            assert getattr(rewind_auto, name) is not None
            assert name in dir(rewind_auto)
        assert rewind_auto.RewindReplayDivergenceError is RewindReplayDivergenceError

    def test_other_names_are_not(self) -> None:
        with pytest.raises(AttributeError, match="module 'rewind_auto' has no attribute 'nothing'"):
            _ = rewind_auto.nothing
        assert not hasattr(rewind_auto, "__wrapped__")

    def test_the_earlier_interface_is_the_same_functions(self) -> None:
        assert intercept.install is rewind_auto.install
        assert intercept.uninstall is rewind_auto.uninstall
        assert intercept.is_installed is rewind_auto.is_installed


class TestRequest:
    def test_is_what_the_seam_saw(self) -> None:
        headers = ((b"Content-Type", b"Application/JSON; charset=utf-8"), (b"X-A", b"1"), (b"x-a", b"2"))
        request = LLMRequest.of(Request("post", "http://h/p", headers, b"{}"))
        assert (request.url, request.method, request.body) == ("http://h/p", "POST", b"{}")
        assert request.headers == {"content-type": "Application/JSON; charset=utf-8", "x-a": "1, 2"}
        assert request.content_type() == "application/json"
        assert request.header("X-A") == "1, 2"
        assert request.header("nothing") == ""

    @pytest.mark.parametrize(
        ("accept", "body", "stream"),
        [
            (b"text/event-stream", b"", True),
            (b"*/*", b'{"stream": true}', True),
            (b"*/*", b'{"messages": "' + b"x" * 20_000 + b'", "stream" :true}', True),
            (b"*/*", b'{"metadata": {"stream": true}}', False),
            (b"*/*", b'{"stream": false, "x": "\\"stream\\": true"}', False),
            (b"*/*", b'"stream": true', False),
        ],
    )
    def test_knows_a_stream(self, accept: bytes, body: bytes, stream: bool) -> None:
        request = LLMRequest.of(Request("POST", "http://h/", ((b"accept", accept),), body))
        assert request.stream is stream


class TestPredicates:
    @pytest.mark.parametrize(
        ("url", "llm"),
        [
            ("https://api.openai.com/v1/models", True),
            ("https://API.OpenAI.com:443/", True),
            ("https://api.openai.com.evil.test/", False),
            ("http://localhost:8000/v1", True),
            ("http://localhost/v1", False),
            ("https://mine.test/", True),
            ("https://mine.test:8443/", False),
            ("http://mine.test/", False),
            ("https://user@api.anthropic.com/", True),
            ("http://[bad", False),
            ("http://h:99999/", False),
        ],
    )
    def test_the_default_goes_by_host(self, url: str, llm: bool) -> None:
        predicates = DefaultPredicates(["localhost:8000", "mine.test:443"])
        assert predicates.is_llm_call(LLMRequest(url)) is llm
        assert predicates.is_tool_call(LLMRequest(url)) is False

    def test_both_methods_make_one(self) -> None:
        class Half:
            def is_llm_call(self, _request: LLMRequest) -> bool:
                return True

        assert isinstance(DefaultPredicates(), Predicates)
        assert not isinstance(Half(), Predicates)
