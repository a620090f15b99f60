"""We and others in the same libraries; the program is `with_others`, which asserts the most of it itself."""

from __future__ import annotations

import sqlite3
from unittest import mock

import httpx
import pytest
from tools import TOOLS

import rewind_auto


@pytest.mark.parametrize("first_off", ["tool", "us"])
@pytest.mark.parametrize("tool", TOOLS)
def test_both_at_work(said, tool, first_off):
    """Whoever is first on, the tool says what it says alone, word for word."""
    alone = said(tool, "alone", first_off)
    assert alone
    assert said(tool, "us", first_off) == alone
    if tool != "requests-mock":
        assert said(tool, "tool", first_off) == alone


@pytest.mark.xfail(reason="it gives the sessions that it mocks the get_adapter of when it was started")
def test_requests_mock_that_was_at_work_before(said):
    assert said("requests-mock", "tool", "us") == said("requests-mock", "alone", "us")


def test_tools_that_trace_databases_see_none_of_ours(server, monkeypatch):
    """ddtrace and OpenTelemetry replace ``sqlite3.connect``: our queries are not the program's."""
    monkeypatch.setenv("REWIND_SESSION_ID", "a" * 32)
    with mock.patch.object(sqlite3, "connect", wraps=sqlite3.connect) as connect:
        rewind_auto.install(hosts=["127.0.0.1"])
        try:
            assert httpx.post(server.url).text == "answer"
        finally:
            rewind_auto.uninstall()
    assert connect.call_count == 0


class TestPytestHttpx:
    """Its fixture, before and after us; it answers below us, so what it answers is a call."""

    pytestmark = pytest.mark.httpx_mock(should_mock=lambda request: request.url.path != "/out")

    @pytest.mark.parametrize("first", ["tool", "us"])
    def test_both_at_work(self, request, server, monkeypatch, first):
        monkeypatch.setenv("REWIND_SESSION_ID", "a" * 32)
        tool = request.getfixturevalue("httpx_mock") if first == "tool" else None
        rewind_auto.install(hosts=["127.0.0.1"])
        try:
            tool = tool or request.getfixturevalue("httpx_mock")
            tool.add_response(url=f"{server.url}/mocked", text="by the tool")
            assert httpx.post(f"{server.url}/mocked").text == "by the tool"
            assert httpx.post(f"{server.url}/out").text == "answer"
            steps = rewind_auto.driver.current().runtime().store.steps("a" * 32)
            assert [step.url for step in steps] == [f"{server.url}/mocked", f"{server.url}/out"]
        finally:
            rewind_auto.uninstall()
        assert [str(got.url) for got in tool.get_requests()] == [f"{server.url}/mocked"]
        assert [seen.path for seen in server.seen] == ["/out"]
