"""``rewind-auto doctor``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from looking import fill, look
from servers import CUT, HANG, Server, reply

import rewind_auto
from rewind_auto.boot.launch import inject_dir
from rewind_auto.boot.tripwire import WATCHED
from rewind_auto.cli import doctor, main, probe, urls
from rewind_auto.cli.collector import CollectorError, locate
from rewind_auto.core.errors import StoreError
from rewind_auto.settings import load
from rewind_auto.store.schema import SCHEMA_VERSION

NAMES = [
    "python",
    "package",
    "dependencies",
    "inject",
    "child",
    "enabled",
    "httpx",
    "httpx2",
    "requests",
    "aiohttp",
    "settings",
    "store",
    "exporter",
    "hosts",
    "startup",
    "other tools",
]


def checked(done) -> dict[str, tuple[bool, str]]:
    """Each check's verdict and detail, once all are seen to fit together."""
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert report.keys() == {"ok", "checks"}
    checks = {check.pop("name"): (check.pop("ok"), check.pop("detail")) for check in report["checks"]}
    assert not any(report["checks"])
    assert [name for name in checks if name != "url"] == NAMES
    assert report["ok"] == all(ok for ok, _ in checks.values())
    assert done.returncode == (0 if report["ok"] else 1)
    return checks


def options(*words: str) -> argparse.Namespace:
    return main._parser(words).parse_args(words)


def failing(done) -> dict[str, str]:
    return {name: detail for name, (ok, detail) in checked(done).items() if not ok}


def test_all_is_well(environ, store_path, tmp_path) -> None:
    checks = checked(look(environ, "doctor", "--json"))
    assert {ok for ok, _ in checks.values()} == {True}
    assert checks["python"][1] == f"{sys.version.split()[0]} in {sys.executable}"
    assert checks["package"][1].startswith(f"rewind-auto {rewind_auto.__version__} in ")
    assert all(name in checks["dependencies"][1] for name in doctor.DEPENDENCIES)
    assert inject_dir() in checks["inject"][1]
    places = "hooked at AsyncClient._transport_for_url, Client._transport_for_url"
    assert checks["httpx"][1] == f"{metadata.version('httpx')}, {places}"
    assert checks["httpx2"][1] == f"{metadata.version('httpx2')}, {places}"
    assert checks["requests"][1] == f"{metadata.version('requests')}, hooked at Session.get_adapter"
    assert checks["aiohttp"][1] == f"{metadata.version('aiohttp')}, hooked at ClientSession._request"
    assert checks["enabled"][1].startswith("no: python -I, -E")
    assert checks["settings"][1] == "mode record; set: REWIND_STORE, REWIND_PRICES"
    assert checks["store"][1] == f"will be created at {store_path}"
    assert checks["exporter"][1].startswith("not configured")
    assert not store_path.parent.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_for_people(environ) -> None:
    done = look(environ, "doctor", REWIND_SPEED="fast")
    assert (done.returncode, done.stderr) == (1, "")
    lines = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert [line[2:14].rstrip() for line in lines] == NAMES
    assert [line[:2] for line in lines] == ["✗ " if name == "settings" else "✓ " for name in NAMES]
    assert "✗ settings      REWIND_SPEED='fast': not a number" in lines
    assert "\x1b" not in done.stdout


def test_dependencies_are_those_of_the_project() -> None:
    project = tomllib.loads((Path(rewind_auto.__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert [needed.partition(">")[0] for needed in project["dependencies"]] == list(doctor.DEPENDENCIES)


class TestStore:
    def test_there(self, store_path) -> None:
        fill(store_path)
        before = store_path.read_bytes()
        detail = doctor._store(str(store_path))
        assert detail.startswith(f"{store_path}: readable and writable, format {SCHEMA_VERSION}, 0.")
        assert [path.name for path in store_path.parent.iterdir()] == ["rewind.db"]
        assert store_path.read_bytes() == before

    def test_empty(self, store_path) -> None:
        store_path.parent.mkdir()
        store_path.touch()
        assert "readable and writable" in doctor._store(str(store_path))
        assert store_path.read_bytes() == b""

    def test_something_else(self, environ, store_path) -> None:
        store_path.parent.mkdir()
        store_path.write_text("dear diary")
        assert "is not a store" in failing(look(environ, "doctor", "--json"))["store"]
        assert store_path.read_text() == "dear diary"

    def test_below_a_file(self, tmp_path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StoreError, match="Not a directory"):
            doctor._store(str(tmp_path / "file" / "rewind.db"))

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_that_may_not_be_written(self, store_path) -> None:
        store_path.parent.mkdir(mode=0o500)
        with pytest.raises(doctor._FailedError, match="cannot be created"):
            doctor._store(str(store_path))
        store_path.parent.chmod(0o700)
        fill(store_path)
        store_path.chmod(0o400)
        with pytest.raises(doctor._FailedError, match="is not writable"):
            doctor._store(str(store_path))


class TestExporter:
    @pytest.fixture
    def collector(self, monkeypatch):
        server = Server().start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
        yield server
        server.stop()

    @pytest.mark.parametrize("variable", ["REWIND_OTLP", "OTEL_EXPORTER_OTLP_ENDPOINT"])
    def test_a_collector(self, monkeypatch, collector, variable) -> None:
        collector.on("/v1/traces", reply(b""))
        monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
        monkeypatch.setenv(variable, collector.url.replace("//", "//me:hush%21@"))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Api-Key=a%20b,x=y")
        assert doctor._exporter() == f"127.0.0.1:{collector.port} is reachable and answers 200"
        (seen,) = collector.seen
        assert (seen.method, seen.path, seen.body) == ("POST", "/v1/traces", b"")
        assert seen.header("content-type") == b"application/x-protobuf"
        assert seen.header("authorization") == b"Basic bWU6aHVzaCE="
        assert (seen.header("api-key"), seen.header("x")) == (b"a b", b"y")

    def test_nobody(self, monkeypatch, collector) -> None:
        collector.stop()
        monkeypatch.setenv("REWIND_OTLP", f"http://user:hush@127.0.0.1:{collector.port}")
        with pytest.raises(CollectorError) as caught:
            doctor._exporter()
        assert str(caught.value).startswith(
            f"127.0.0.1:{collector.port}: Connection refused; start a collector"
        )
        assert "hush" not in str(caught.value)

    @pytest.mark.parametrize(
        ("status", "said"),
        [(401, "answers 401: OTEL_EXPORTER_OTLP_HEADERS needs a valid key"), (404, "the path"), (503, "503")],
    )
    def test_one_that_would_not_take_spans(self, collector, status, said) -> None:
        collector.on("/v1/traces", reply(b"", status))
        with pytest.raises(CollectorError, match=said):
            doctor._exporter()

    def test_one_that_redirects(self, collector) -> None:
        """The keys do not go along."""
        collector.on("/v1/traces", reply(b"", 302, (("location", f"{collector.url}/elsewhere"),)))
        with pytest.raises(CollectorError, match="answers 302: it redirects"):
            doctor._exporter()
        assert [seen.path for seen in collector.seen] == ["/v1/traces"]

    def test_one_that_wants_spans_in_a_request(self, collector) -> None:
        collector.on("/v1/traces", reply(b"", 400))
        assert doctor._exporter().endswith("is reachable and answers 400")

    @pytest.mark.parametrize(
        "acts", [[HANG], [b"HTTP/1.1 2", *[0.02, b"0"] * 100, CUT]], ids=["hangs", "trickles"]
    )
    def test_one_that_hangs(self, monkeypatch, collector, acts) -> None:
        monkeypatch.setattr("rewind_auto.cli.collector._PATIENCE", 0.3)
        collector.on("/v1/traces", acts)
        with pytest.raises(CollectorError, match=r"does not answer within 0\.3 s"):
            doctor._exporter()

    def test_something_else(self, collector) -> None:
        collector.on("/v1/traces", [b"SSH-2.0-OpenSSH_9\r\n", CUT])
        with pytest.raises(CollectorError, match="speaks no HTTP"):
            doctor._exporter()

    def test_over_grpc_it_is_connected_to(self, monkeypatch, collector) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        assert doctor._exporter() == f"127.0.0.1:{collector.port} is reachable (gRPC)"
        assert collector.seen == []

    def test_the_command_ends_though_the_collector_hangs(self, environ, collector) -> None:
        """And names what fails: nothing else does."""
        collector.on("/v1/traces", [b"HTTP/1.1 2", *[0.5, b"0"] * 1000])
        found = failing(look(environ, "doctor", "--json", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url))
        assert list(found) == ["exporter"]

    @pytest.mark.parametrize(
        ("variables", "where"),
        [
            ({}, ("http://localhost:4318/v1/traces", "localhost", 4318, False)),
            ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ("http://localhost:4317", "localhost", 4317, True)),
            (
                {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example/x"},
                ("https://collector.example/x/v1/traces", "collector.example", 443, False),
            ),
            (
                {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1]:99"},
                ("http://[::1]:99/v1/traces", "::1", 99, False),
            ),
            (
                {
                    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://other.example",
                    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c.example/own",
                },
                ("http://c.example/own", "c.example", 80, False),
            ),
            (
                {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "c.example:99"},
                ("http://c.example:99", "c.example", 99, True),
            ),
        ],
    )
    def test_where_a_collector_is(self, monkeypatch, variables, where) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert locate(None) == where

    @pytest.mark.parametrize("url", ["http://host:port", "http:///v1/traces"])
    def test_no_url(self, monkeypatch, url) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        with pytest.raises(CollectorError, match="the endpoint"):
            doctor._exporter()

    def test_the_console(self, monkeypatch) -> None:
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
        assert doctor._exporter() == "spans are written to stderr"


class TestUrls:
    @pytest.mark.parametrize(
        ("url", "said"),
        [
            (
                "https://api.openai.com/v1/chat/completions",
                "as an LLM call: chat of openai, read as openai-chat",
            ),
            ("https://api.openai.com:443/v1/models", "as a call to openai that is no inference (no span)"),
            (
                "http://llm.example:81/v1/messages?key=hush",
                "as an LLM call: chat of anthropic, read as anthropic",
            ),
            ("http://tool.example/search", "as a call of a tool"),
        ],
    )
    def test_recorded(self, url, said) -> None:
        settings = load({"REWIND_LLM_HOSTS": "llm.example:81", "REWIND_TOOL_HOSTS": "tool.example"})
        assert urls.look(url, settings) == f"{url.partition('?')[0]}: recorded, {said}"

    @pytest.mark.parametrize(
        ("url", "said"),
        [
            (
                "https://llm.example/v1/messages",
                "left alone, its host is no provider's that is known: --hosts llm.",
            ),
            ("http://me:hush@llm.example:80/v1", "http://llm.example:80/v1: left alone"),
            ("api.openai.com/v1/responses", "not a URL"),
            ("https://[::1/v1", "Invalid IPv6 URL"),
        ],
    )
    def test_not_recorded(self, url, said) -> None:
        with pytest.raises(urls.NotRecordedError) as caught:
            urls.look(url, load({}))
        assert said in str(caught.value)
        assert "hush" not in str(caught.value)

    def test_every_tool(self) -> None:
        settings = load({"REWIND_TOOL_HOSTS": "all"})
        assert urls.look("http://a.example/", settings).endswith("as a call of a tool")

    def test_what_is_said_is_what_happens(self, environ, rewind_run, provider, store_path) -> None:
        """Of the same URL, by the command and by a run."""
        url = f"{provider.url}/v1/chat/completions"
        code = "import httpx2, sys; httpx2.post(sys.argv[1], json={'model': 'm', 'messages': []})"
        for hosts, recorded in ((), False), (("--hosts", f"127.0.0.1:{urlsplit(url).port}"), True):
            rewind_run(*hosts, sys.executable, "-c", code, url)
            assert store_path.exists() == recorded
            found = failing(look(environ, "doctor", "--json", *hosts, url))
            assert ("url" not in found) == recorded

    def test_wrong_hosts(self, environ) -> None:
        found = failing(look(environ, "doctor", "--json", "--hosts", "http://x", "https://api.openai.com/"))
        assert found.keys() == {"hosts", "url"}
        assert "leave out the scheme" in found["url"]


OTHERS = """
from unittest.mock import patch

import httpx, wrapt
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
HTTPXClientInstrumentor().instrument()
patch.object(httpx.Client, "_transport_for_url").start()
patch.object(httpx.Client, "send", autospec=True).start()

@wrapt.when_imported("aiohttp")
def later(_):
    import inner, outer, requests
    requests.Session.get_adapter = outer.around(inner.around(requests.Session.get_adapter))
"""
TOOL = """
from functools import wraps
def around(found):
    return wraps(found)(lambda *args: found(*args))
"""


def test_who_else_has_patched_what(environ, tmp_path) -> None:
    """Below ours, around ours, and in other places."""
    (tmp_path / "sitecustomize.py").write_text(OTHERS)
    for name in ("inner", "outer"):
        (tmp_path / f"{name}.py").write_text(TOOL)
    path = f"{environ['PYTHONPATH']}{os.pathsep}{tmp_path}"
    checks = checked(look(environ, "doctor", "--json", PYTHONPATH=path))
    said = {name: checks[name][1].partition("; also patched: ")[2] for name in WATCHED}
    assert said["httpx"].split(", ") == [
        "Client._transport_for_url by unittest.mock",
        "below ours",
        "Client.send by generated code",
        "HTTPTransport.handle_request by opentelemetry.instrumentation.httpx",
        "AsyncHTTPTransport.handle_async_request by opentelemetry.instrumentation.httpx",
    ]
    assert said["requests"] == "Session.get_adapter by outer and inner, around ours"
    assert checks["startup"][1].startswith(str(tmp_path / "sitecustomize.py"))


def test_an_import_that_ends_the_process(environ, tmp_path) -> None:
    (tmp_path / "requests.py").write_text("import os; os._exit(7)")
    path = f"{tmp_path}{os.pathsep}{environ['PYTHONPATH']}"
    found = failing(look(environ, "doctor", "--json", PYTHONPATH=path))
    assert "exit code 7" in found["requests"]
    assert "aiohttp" in found


def test_files_of_the_directory_it_is_asked_in_are_not_run(environ, tmp_path, monkeypatch) -> None:
    (tmp_path / "httpx.py").write_text("import os; os._exit(7)")
    monkeypatch.chdir(tmp_path)
    checks = checked(look(environ, "doctor", "--json"))
    assert checks["httpx"][1].startswith(f"{metadata.version('httpx')}, hooked at")


def test_a_child_that_the_agent_cannot_load_into(environ, tmp_path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.meta_path = tuple(sys.meta_path)")
    done = look(environ, "doctor", "--json", PYTHONPATH=f"{environ['PYTHONPATH']}{os.pathsep}{tmp_path}")
    found = failing(done)
    assert "'tuple' object has no attribute 'insert'" in found["child"]
    assert "not hooked" in found["httpx2"]


def test_a_library_without_the_seam(environ, tmp_path) -> None:
    (tmp_path / "httpx2.py").write_text("__version__ = '9.9'\nclass Client: ...\nclass AsyncClient: ...\n")
    done = look(environ, "doctor", "--json", PYTHONPATH=f"{tmp_path}{os.pathsep}{environ['PYTHONPATH']}")
    found = failing(done)
    assert found.keys() == {"httpx2"}
    assert "9.9 lacks the seam" in found["httpx2"]


def test_a_library_that_does_not_import(environ, tmp_path) -> None:
    (tmp_path / "httpx.py").write_text("raise ImportError('half an installation')")
    done = look(environ, "doctor", "--json", PYTHONPATH=f"{tmp_path}{os.pathsep}{environ['PYTHONPATH']}")
    assert failing(done) == {"httpx": "ImportError: half an installation"}


def test_what_is_not_there(monkeypatch) -> None:
    assert probe.verdict({"there": False}) == (True, "not installed")
    monkeypatch.setattr(doctor, "DEPENDENCIES", ("rich", "no-such-dependency"))
    with pytest.raises(doctor._FailedError, match="missing: no-such-dependency; pip install"):
        doctor._dependencies()


def test_a_child_that_does_not_start(monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    found = {check.name: check for check in doctor._checks(options("doctor"))}
    assert not found["child"].ok
    assert "No such file" in found["child"].detail
    assert {found[name][1:] for name in WATCHED} == {(False, "not looked at: see child")}


def test_other_tools(monkeypatch) -> None:
    monkeypatch.setattr(
        doctor, "OTHER_TOOLS", ("rich", "no-such-tool", "opentelemetry-exporter-otlp-proto-h")
    )
    assert doctor._other_tools() == f"rich {metadata.version('rich')}"
    monkeypatch.setattr(doctor, "OTHER_TOOLS", ("pytest-timeou-", "pytest-"))
    assert f"pytest-timeout {metadata.version('pytest-timeout')}" in doctor._other_tools()


def test_hosts() -> None:
    assert doctor._hosts(load({})).endswith("none of your own")
    settings = load({"REWIND_LLM_HOSTS": "llm.example,*.corp.example", "REWIND_TOOL_HOSTS": "t.example"})
    assert doctor._hosts(settings).endswith("and yours: llm.example, *.corp.example; tools: t.example")
