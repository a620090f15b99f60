"""``rewind-auto doctor``."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from looking import fill, look

import rewind_auto
from rewind_auto.boot.launch import inject_dir
from rewind_auto.cli import doctor
from rewind_auto.core.errors import StoreError
from rewind_auto.store.schema import SCHEMA_VERSION

NAMES = [
    "python",
    "package",
    "dependencies",
    "inject",
    "child",
    "httpx",
    "httpx2",
    "requests",
    "aiohttp",
    "settings",
    "store",
    "exporter",
]
NAMES += ["hosts", "other tools"]


def checked(done) -> dict[str, tuple[bool, str]]:
    """Each check's verdict and detail, once all are seen to fit together."""
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert report.keys() == {"ok", "checks"}
    checks = {check.pop("name"): (check.pop("ok"), check.pop("detail")) for check in report["checks"]}
    assert not any(report["checks"])
    assert list(checks) == NAMES
    assert report["ok"] == all(ok for ok, _ in checks.values())
    assert done.returncode == (0 if report["ok"] else 1)
    return checks


def failing(done) -> dict[str, str]:
    return {name: detail for name, (ok, detail) in checked(done).items() if not ok}


def test_all_is_well(environ, store_path, tmp_path) -> None:
    checks = checked(look(environ, "doctor", "--json"))
    assert {ok for ok, _ in checks.values()} == {True}
    assert checks["python"][1] == f"{sys.version.split()[0]} in {sys.executable}"
    assert checks["package"][1].startswith(f"rewind-auto {rewind_auto.__version__} in ")
    assert all(name in checks["dependencies"][1] for name in doctor.DEPENDENCIES)
    assert inject_dir() in checks["inject"][1]
    assert checks["httpx"][1].endswith(", hooked")
    assert checks["httpx2"][1].endswith(", hooked")
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
    @pytest.mark.parametrize("variable", ["REWIND_OTLP", "OTEL_EXPORTER_OTLP_ENDPOINT"])
    def test_a_collector(self, monkeypatch, variable) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            monkeypatch.setenv(variable, f"http://user:hush@127.0.0.1:{port}")
            assert doctor._exporter() == f"127.0.0.1:{port} is reachable"
        with pytest.raises(doctor._FailedError) as caught:
            doctor._exporter()
        assert str(caught.value) == f"nobody listens at 127.0.0.1:{port}: Connection refused"

    @pytest.mark.parametrize(
        ("variables", "where"),
        [
            ({}, ("localhost", 4318)),
            ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ("localhost", 4317)),
            ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example/x"}, ("collector.example", 443)),
            ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1]:99"}, ("::1", 99)),
            (
                {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "c.example:99"},
                ("c.example", 99),
            ),
        ],
    )
    def test_where_a_collector_is(self, monkeypatch, variables, where) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert doctor._collector(None) == where

    @pytest.mark.parametrize("url", ["http://host:port", "http:///v1/traces"])
    def test_no_url(self, monkeypatch, url) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        with pytest.raises(doctor._FailedError, match="the endpoint"):
            doctor._exporter()

    def test_the_console(self, monkeypatch) -> None:
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
        assert doctor._exporter() == "spans are written to stderr"


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


def test_a_library_that_is_not_there(monkeypatch) -> None:
    monkeypatch.setattr(doctor, "WATCHED", ("no_such_library",))
    monkeypatch.setattr(doctor, "DEPENDENCIES", ("rich", "no-such-dependency"))
    found = {check.name: check for check in doctor._checks(argparse.Namespace(store=None))}
    assert found["no_such_library"][1:] == (True, "not installed")
    assert found["dependencies"][1:] == (False, "missing: no-such-dependency")


def test_other_tools(monkeypatch) -> None:
    monkeypatch.setattr(doctor, "OTHER_TOOLS", ("rich", "no-such-tool"))
    assert doctor._other_tools() == f"rich {metadata.version('rich')}"


def test_hosts(monkeypatch) -> None:
    assert doctor._hosts().endswith("none of your own")
    monkeypatch.setenv("REWIND_LLM_HOSTS", "llm.example,*.corp.example")
    assert doctor._hosts().endswith("and yours: llm.example, *.corp.example")
