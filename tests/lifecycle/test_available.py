"""Environments that have none of the libraries, or one alone: real ones, with everything else in them."""

from __future__ import annotations

import json
import site
import venv
from contextlib import closing
from pathlib import Path

import pytest
from calling import WAYS, library

from rewind_auto.boot.tripwire import WATCHED
from rewind_auto.store import open_store

ROOT = Path(__file__).parents[2]
RUN = ("-m", "rewind_auto.cli.run", "--hosts", "127.0.0.1")
ANY = ("none", *WATCHED)
CALL = "import sys, {library}; from calling import call; print(call({library}, {way!r}, sys.argv[1]))"


@pytest.fixture(scope="module")
def python_with(tmp_path_factory):
    """The interpreter of an environment with this one of the libraries, or with "none"."""
    made = {}

    def make(one):
        if one not in made:
            place = tmp_path_factory.mktemp(one) / "venv"
            venv.create(place, symlinks=True, with_pip=False)
            (packages,) = place.glob("lib/python*/site-packages")
            for entry in Path(site.getsitepackages()[0]).iterdir():
                name = entry.name.removesuffix(".dist-info").partition("-")[0]
                if (name not in WATCHED or name == one) and entry.suffix != ".pth":
                    (packages / entry.name).symlink_to(entry)
            (packages / "checkout.pth").write_text(f"{ROOT}\n")
            made[one] = str(place / "bin" / "python")
        return made[one]

    return make


def steps(store_path):
    with closing(open_store(str(store_path))) as store:
        return [[step.library for step in store.steps(session.id)] for session in store.sessions()]


@pytest.mark.parametrize("one", ANY)
def test_install(start, python_with, one):
    code = f"""
import importlib.util, sys
import rewind_auto
rewind_auto.install()
rewind_auto.install(hosts=["127.0.0.1"])
there = [name for name in {WATCHED} if importlib.util.find_spec(name)]
assert there == [name for name in {WATCHED} if name == {one!r}], there
for name in {WATCHED}:
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        assert name != {one!r} and error.name == name and str(error) == f"No module named {{name!r}}"
print(rewind_auto.is_installed())
rewind_auto.uninstall()
print(rewind_auto.is_installed())
"""
    done = start("-c", code, python=python_with(one))
    assert (done.stdout.split(), done.stderr) == (["True", "False"], "")


def test_a_program_without_any(start, python_with, store_path):
    python = python_with("none")
    code = "import sys, urllib.request; print('rewind_auto.boot.tripwire' in sys.modules); sys.exit(3)"
    done = start(*RUN, python, "-c", code, python=python)
    assert (done.returncode, done.stdout, done.stderr) == (3, "True\n", "")
    assert not store_path.exists()


@pytest.mark.parametrize("way", WAYS)
def test_one_alone_is_recorded_and_replayed(start, server, python_with, store_path, way):
    python = python_with(library(way))
    code = CALL.format(library=library(way), way=way)
    recorded = start(*RUN, python, "-c", code, server.url, python=python)
    assert (recorded.returncode, recorded.stdout, recorded.stderr) == (0, "answer\n", "")
    server.stop()
    replayed = start(*RUN, "--replay", "last", python, "-c", code, server.url, python=python)
    assert (replayed.returncode, replayed.stdout, replayed.stderr) == (0, "answer\n", "")
    assert steps(store_path) == [[library(way)]] * 2


@pytest.mark.parametrize("one", ANY)
def test_doctor(start, python_with, one):
    done = start("-m", "rewind_auto.cli.main", "doctor", "--json", python=python_with(one))
    assert done.returncode == 0, done.stdout + done.stderr
    said = {check["name"]: check["detail"] for check in json.loads(done.stdout)["checks"]}
    assert {name: ", hooked at " in said[name] for name in WATCHED} == {name: name == one for name in WATCHED}
    assert {said[name] for name in WATCHED if name != one} == {"not installed"}


def test_the_exporter_without_the_library_that_it_needs(start, server, python_with, store_path):
    """It says so once, there are no spans, and all the rest is as ever."""
    python = python_with("httpx")
    code = CALL.format(library="httpx", way="httpx")
    url = f"{server.url}/v1/chat/completions"
    done = start(*RUN, "--otlp", server.url, python, "-c", code, url, python=python, REWIND_TESTING="")
    assert (done.returncode, done.stdout) == (0, "answer\n")
    (line,) = done.stderr.splitlines()
    assert "No module named 'requests'" in line
    assert len(server.seen) == 1
    assert steps(store_path) == [["httpx"]]
