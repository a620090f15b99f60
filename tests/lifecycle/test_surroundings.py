"""What programs and test suites do around `install` and `uninstall`: put back, stub, start threads."""

from __future__ import annotations

import asyncio
import functools
import importlib
import sys
import threading
import types
from contextlib import closing
from unittest import mock

import aiohttp
import httpx
import httpx2
import pytest
import requests
import requests_mock
import vcr
import vcr.patch
from calling import WAYS, call, library, seams

import rewind_auto
from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.store import open_store

LIBRARIES = {"httpx": httpx, "httpx2": httpx2, "requests": requests, "aiohttp": aiohttp}


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """Whatever a test does in between, the attributes are the original objects after `uninstall`."""
    monkeypatch.setenv("REWIND_SESSION_ID", "a" * 32)
    monkeypatch.setenv("NO_PROXY", "*")
    originals = [seams(module) for module in LIBRARIES.values()]
    yield
    rewind_auto.uninstall()
    assert [seams(module) for module in LIBRARIES.values()] == originals


def install(**options):
    rewind_auto.install(hosts=["127.0.0.1"], **options)


def steps(store_path, session="a" * 32):
    with closing(open_store(str(store_path))) as store:
        return [step.library for step in store.steps(session)]


def test_finders_that_are_put_back(monkeypatch):
    """Fixtures that restore ``sys.meta_path`` take the tripwire with them, but not what it has done."""
    before = sys.meta_path[:]
    install()
    monkeypatch.setattr(sys, "meta_path", before)
    assert not rewind_auto.is_installed()
    rewind_auto.uninstall()


@pytest.mark.parametrize("stub", [object(), mock.MagicMock(), types.ModuleType("httpx"), None])
def test_stubs_in_a_librarys_place(monkeypatch, stub):
    install()
    for name in LIBRARIES:
        monkeypatch.setitem(sys.modules, name, stub)
    rewind_auto.uninstall()
    assert not rewind_auto.is_installed()


def test_modules_that_are_put_back(server, store_path, monkeypatch):
    """``mock.patch.dict(sys.modules)``: what was imported under it is there still, for those who have it."""
    install()
    with mock.patch.dict(sys.modules):
        for name in [name for name in sys.modules if name.partition(".")[0] == "requests"]:
            del sys.modules[name]
        another = importlib.import_module("requests")
    assert sys.modules["requests"] is requests is not another
    for module in (another, requests):
        assert call(module, "requests", server.url) == "answer"
    assert steps(store_path) == ["requests"] * 2
    rewind_auto.uninstall()
    for module in (another, requests):
        assert call(module, "requests", server.url) == "answer"
    assert steps(store_path) == ["requests"] * 2


def test_many_threads_at_once(request):
    """In the end nothing is left, whatever they did to one another."""
    request.addfinalizer(functools.partial(sys.setswitchinterval, sys.getswitchinterval()))
    sys.setswitchinterval(1e-6)
    start = threading.Barrier(8)
    errors = []

    def turn():
        try:
            start.wait()
            for _ in range(20):
                install()
                rewind_auto.uninstall()
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=turn) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_outlives_it(server, store_path, way):
    """Made before, used on, off and on again."""
    hello = {"content" if way.startswith("httpx") else "data": b"hello"}
    if way in ("httpx async", "httpx2 async", "aiohttp"):

        async def main():
            module = LIBRARIES[library(way)]
            client = module.ClientSession() if way == "aiohttp" else module.AsyncClient()
            async with client:
                for on in (True, False, True):
                    (install if on else rewind_auto.uninstall)()
                    response = await client.post(server.url, **hello)
                    await (response.text() if way == "aiohttp" else response.aread())

        asyncio.run(main())
    else:
        module = LIBRARIES[way]
        with (module.Session if way == "requests" else module.Client)() as client:
            for on in (True, False, True):
                (install if on else rewind_auto.uninstall)()
                assert client.post(server.url, **hello).text == "answer"
    assert len(server.seen) == 3
    assert steps(store_path) == [library(way)] * 2


@pytest.mark.parametrize("mode", ["record", "replay"])
def test_vcr_that_was_imported_before(server, store_path, tmp_path, monkeypatch, mode):
    """It calls the ``_request`` that it found then, and not what is there when it starts."""
    original = vcr.patch._AiohttpClientSessionRequest
    install()
    assert call(aiohttp, "aiohttp", server.url) == "answer"
    if mode == "replay":
        rewind_auto.uninstall()
        monkeypatch.setenv("REWIND_SESSION_ID", "b" * 32)
        install(mode="replay", source="a" * 32)
    with vcr.use_cassette(str(tmp_path / "cassette.yaml")) as cassette:
        assert call(aiohttp, "aiohttp", server.url) == "answer"
        if mode == "replay":
            with pytest.raises(RewindReplayDivergenceError):
                call(aiohttp, "aiohttp", f"{server.url}/never", "asked")
    assert len(cassette) == 1
    assert len(server.seen) == (2 if mode == "record" else 1)
    assert steps(store_path) == ["aiohttp"] * (2 if mode == "record" else 1)
    rewind_auto.uninstall()
    assert vcr.patch._AiohttpClientSessionRequest is original


def test_a_session_that_requests_mock_has_had(server, store_path):
    """It leaves the method that it found in every session: what was ours then is ours again."""
    with requests.Session() as session:
        install()
        with requests_mock.Mocker(real_http=True):
            assert session.post(server.url, data=b"1").text == "answer"
        rewind_auto.uninstall()
        assert session.post(server.url, data=b"2").text == "answer"
        install()
        assert session.post(server.url, data=b"3").text == "answer"
    assert len(server.seen) == 3
    assert steps(store_path) == ["requests"] * 2
