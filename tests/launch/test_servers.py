"""Web servers and task queues, whose workers make the calls: started, asked, recycled, stopped, replayed."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from launching import LAUNCHER
from otlp_sink import OtlpSink
from serving import PROGRAMS, SLOW, Left, Running, environ, free_port, recorded_words, running

if TYPE_CHECKING:
    from servers import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# gunicorn, of a worker that had not yet started when it was to end; we, where workers write at once on a
# machine that has too much to do: what they write has to be there all the same.
BY_CHANCE = ("was sent SIGTERM!", "recordings are written as soon as it is free")
WORDS = tuple(f"word-{letter}" for letter in "abcdefghij")


@dataclass(frozen=True)
class Web:
    """A server and its arguments; ``{port}`` in them is where it listens.

    Attributes:
        recycled: how many of its processes have to answer at least.
        code: its exit code when it is stopped.
        status: of its session then.
        waits: whether it answers what it was asked before it was stopped.
        alone: calls that it makes before it is asked.
    """

    command: Sequence[str]
    recycled: int = 1
    stop: int = signal.SIGTERM
    waits: bool = True
    code: int = 0
    status: str = "completed"
    alone: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)


GUNICORN = ("gunicorn", "--bind", "127.0.0.1:{port}")
UVICORN = ("uvicorn", "--host", "127.0.0.1", "--port", "{port}", "asgi:app")
UVICORN_RELOAD = (*UVICORN, "--reload")
FLASK = ("flask", "--app", "web", "run", "--host", "127.0.0.1", "--port", "{port}")
FLASK_RELOAD = (*FLASK, "--debug", "--exclude-patterns", "*/rewind_auto/*:*/tests/*")
DJANGO = ("runserver", "--settings", "djangosite", "127.0.0.1:{port}")
DJANGO_SETTINGS = {"DJANGO_SETTINGS_MODULE": "djangosite"}

# uvicorn, once it has shut down, sends itself the signal that it was stopped by.
WEBS = {
    "gunicorn-sync": Web((*GUNICORN, "--workers", "2", "--max-requests", "4", "wsgi:app"), 3),
    "gunicorn-interrupted": Web((*GUNICORN, "--workers", "2", "wsgi:app"), 2, signal.SIGINT, waits=False),
    "gunicorn-gthread": Web(
        (*GUNICORN, "--worker-class", "gthread", "--threads", "4", "--max-requests", "6", "wsgi:app"), 2
    ),
    "gunicorn-gevent": Web((*GUNICORN, "--worker-class", "gevent", "wsgi:app")),
    "gunicorn-uvicorn": Web(
        (*GUNICORN, "--worker-class", "uvicorn_worker.UvicornWorker", "--workers", "2", "asgi:app")
    ),
    "gunicorn-preload": Web(
        (*GUNICORN, "--preload", "--workers", "2", "--max-requests", "4", "wsgi:app"),
        3,
        alone=("import",),
        variables={"ASK_AT_IMPORT": "import"},
    ),
    "uvicorn": Web(UVICORN, code=-signal.SIGTERM, status="interrupted"),
    "uvicorn-interrupted": Web(UVICORN, stop=signal.SIGINT),
    "uvicorn-workers": Web((*UVICORN, "--workers", "2")),
    "uvicorn-reload": Web(UVICORN_RELOAD),
    "flask": Web(FLASK, stop=signal.SIGINT, waits=False),
    "flask-reload": Web(FLASK_RELOAD, stop=signal.SIGINT, waits=False),
    "django": Web(("manage.py", *DJANGO, "--noreload"), stop=signal.SIGINT, waits=False),
    "django-reload": Web(("manage.py", *DJANGO), stop=signal.SIGINT, waits=False),
    "django-gunicorn": Web(
        (*GUNICORN, "--workers", "2", "--max-requests", "4", "django.core.wsgi:get_wsgi_application()"),
        3,
        variables=DJANGO_SETTINGS,
    ),
    "django-uvicorn": Web(
        (*UVICORN[:-1], "--factory", "django.core.asgi:get_asgi_application"),
        code=-signal.SIGTERM,
        status="interrupted",
        variables=DJANGO_SETTINGS,
    ),
}


@dataclass(frozen=True)
class Visit:
    """What one run of a server gave: its answers to all that it was asked, from how many processes."""

    answers: list[str]
    processes: int
    left: Left


class Lab:
    """One server on one port, with a store of its own: plain, recorded, replayed.

    Args:
        python: whose tools it uses.
        url: of the provider.
        outside, inside: launchers of others around ours, and between ours and the server.
    """

    def __init__(
        self, web: Web, python: str, url: str, folder: Path, *, outside: str = "", inside: str = ""
    ) -> None:
        self._port = free_port()
        words = [word.format(port=self._port) for word in web.command]
        self._outside = around(python, outside)
        self._command = [*around(python, inside), python, tool(python, words[0]), *words[1:]]
        self._web, self._folder = web, folder
        self._variables = {"ASK_URL": url, "HOME": str(folder), **web.variables}

    def started(self, *launcher: str) -> AbstractContextManager[Running]:
        """The server, for a ``with``."""
        folder = self._folder / f"run{launcher[-2:]}"
        command = [*self._outside, *launcher, *self._command]
        return running(command, folder, f"http://127.0.0.1:{self._port}", **self._variables)

    def visit(self, *launcher: str) -> Visit:
        """Start the server, ask it everything, and stop it while it still has an answer to give."""
        with self.started(*launcher) as server:
            answers = server.ask_all(*WORDS)
            with ThreadPoolExecutor() as pool:
                last = [pool.submit(server.ask, "slow")] if self._web.waits else []
                time.sleep(SLOW / 3)
                left = server.stop(self._web.stop)
                answers += [asked.result() for asked in last]
            return Visit(answers, len(server.processes), left)


@pytest.mark.parametrize("web", WEBS.values(), ids=WEBS)
def test_web_servers(web, python, server, tmp_path, store_path):
    lab = Lab(web, python, server.url, tmp_path)
    with OtlpSink() as sink:
        three(web, lab, server, store_path, "--otlp", sink.url)
    spans = {span.span_id for span in sink.spans if span.attributes["rewind.cache.decision"] == "record"}
    assert len(spans) == len(WORDS) + web.waits + len(web.alone)


@pytest.mark.parametrize("place", ["outside", "inside"])
@pytest.mark.parametrize(
    ("name", "launcher"),
    [
        (
            "gunicorn-preload",
            "ddtrace-run",
        ),  # no ASGI: with ddtrace 4.16, anyio loses connections, without us too
        ("gunicorn-preload", "opentelemetry-instrument"),
        ("uvicorn-workers", "opentelemetry-instrument"),
    ],
)
@pytest.mark.usefixtures("tracers")
def test_web_servers_below_other_launchers(name, launcher, place, python, server, tmp_path, store_path):
    lab = Lab(WEBS[name], python, server.url, tmp_path, **{place: launcher})
    three(WEBS[name], lab, server, store_path)


def three(web: Web, lab: Lab, server: Server, store_path: Path, *options: str) -> None:
    """Plain, recorded with these options, and replayed with nobody there to answer."""
    plain = lab.visit()
    asked = [*WORDS, *(["slow"] if web.waits else [])]
    assert plain.answers == asked
    assert plain.processes >= web.recycled
    assert plain.left.code == web.code
    same(lab.visit(*LAUNCHER, *options, "--name", "live"), plain)
    assert recorded_words(store_path) == [("live", web.status, sorted([*web.alone, *asked]))]
    server.stop()
    replayed = lab.visit(*LAUNCHER, "--name", "again", "--replay", "live")
    same(replayed, plain)
    assert recorded_words(store_path)[1:] == [("again", web.status, sorted([*web.alone, *asked]))]


@pytest.mark.parametrize(
    ("command", "file"),
    [
        (UVICORN_RELOAD, "asgi.py"),
        (FLASK_RELOAD, "web.py"),
        (("django-admin", *DJANGO), "djangosite.py"),
    ],
    ids=["uvicorn", "flask", "django"],
)
def test_edited_while_it_runs(command, file, python, server, tmp_path, store_path):
    """The process that goes has its calls kept; the one that comes is of the same session."""
    programs = shutil.copytree(PROGRAMS, tmp_path / "programs")
    port = free_port()
    words = [word.format(port=port) for word in command]
    started = [*LAUNCHER, python, tool(python, words[0]), *words[1:]]
    variables = {"ASK_URL": server.url, "PYTHONPATH": str(programs)}
    with running(started, programs / "run", f"http://127.0.0.1:{port}", **variables) as web:
        assert web.ask("one") == "one"
        app = programs / file
        app.write_text(app.read_text().replace('"ready"', '"edited"'))
        web.wait("edited")
        assert web.ask("two") == "two"
        assert len(web.processes) == 2
        left = web.stop(signal.SIGINT)
    assert left.code == 0
    assert not [line for line in left.err if "rewind-auto:" in line]
    assert [found[1:] for found in recorded_words(store_path)] == [("completed", ["one", "two"])]


def test_killed(python, server, tmp_path, store_path):
    """All its processes at once, and a call with them: what was answered before is there."""
    web = Web((*GUNICORN, "--workers", "2", "wsgi:app"))
    with Lab(web, python, server.url, tmp_path).started(*LAUNCHER) as gunicorn:
        gunicorn.ask_all(*WORDS)
        with ThreadPoolExecutor() as pool:
            last = pool.submit(gunicorn.ask, "slow")
            time.sleep(SLOW / 3)
            gunicorn.kill()
            assert isinstance(last.exception(), httpx.TransportError)
    assert [found[1:] for found in recorded_words(store_path)] == [("interrupted", [*WORDS])]


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 1)], ids=["term", "int"])
def test_celery(stop, code, python, server, tmp_path, store_path):
    """Workers that are replaced after three tasks, and end by ``os._exit``."""
    lab = Queue(python, server.url, tmp_path, stop)
    plain = lab.work()
    assert (plain.answers, plain.left.code) == ([*WORDS, "slow"], code)
    assert plain.processes >= 4
    with OtlpSink() as sink:
        recorded = lab.work(*LAUNCHER, "--otlp", sink.url, "--name", "live")
    same(recorded, plain)
    assert len({span.span_id for span in sink.spans}) == len(sink.spans) == len(WORDS) + 1
    assert recorded_words(store_path) == [("live", "completed", sorted([*WORDS, "slow"]))]
    server.stop()
    same(lab.work(*LAUNCHER, "--name", "again", "--replay", "live"), plain)
    assert recorded_words(store_path)[1:] == [("again", "completed", sorted([*WORDS, "slow"]))]


@pytest.mark.parametrize("place", ["outside", "inside"])
@pytest.mark.parametrize("launcher", ["ddtrace-run", "opentelemetry-instrument"])
@pytest.mark.usefixtures("tracers")
def test_celery_below_other_launchers(launcher, place, python, server, tmp_path, store_path):
    lab = Queue(python, server.url, tmp_path, signal.SIGTERM, **{place: launcher})
    plain = lab.work()
    assert (plain.answers, plain.left.code) == ([*WORDS, "slow"], 0)
    same(lab.work(*LAUNCHER, "--name", "live"), plain)
    assert recorded_words(store_path) == [("live", "completed", sorted([*WORDS, "slow"]))]
    server.stop()
    same(lab.work(*LAUNCHER, "--name", "again", "--replay", "live"), plain)
    assert recorded_words(store_path)[1:] == [("again", "completed", sorted([*WORDS, "slow"]))]


class Queue:
    """Celery's worker on a queue of its own: plain, recorded, replayed.

    Args:
        outside, inside: as of `Lab`.
    """

    def __init__(
        self, python: str, url: str, folder: Path, stop: int, *, outside: str = "", inside: str = ""
    ) -> None:
        self._python, self._folder, self._stop = python, folder, stop
        self._outside, self._inside = around(python, outside), around(python, inside)
        self._variables = {"ASK_URL": url, "BROKER": str(folder)}

    def work(self, *launcher: str) -> Visit:
        """Start the worker, send it everything, and stop it while it works on something."""
        for name in ("outbox", "queue", "control", "results"):
            shutil.rmtree(self._folder / name, ignore_errors=True)
            (self._folder / name).mkdir()
        words = ("-m", "celery", "--app", "tasks", "worker", "--concurrency", "2", "--loglevel", "INFO")
        quick = ("--without-mingle", "--without-gossip", "--max-tasks-per-child", "3")
        command = [*self._outside, *launcher, *self._inside, self._python, *words, *quick]
        with running(command, self._folder / f"run{launcher[-2:]}", **self._variables) as worker:
            worker.wait_for(" ready.")
            said = self._send(*WORDS)
            with ThreadPoolExecutor() as pool:
                last = pool.submit(self._send, "slow")
                worker.wait_for("received", len(WORDS) + 1)
                time.sleep(SLOW / 3)
                left = worker.stop(self._stop)
                said += last.result()
        return Visit([what for what, _ in said], len({pid for _, pid in said}), left)

    def _send(self, *words: str) -> list[list[str]]:
        done = subprocess.run(
            [self._python, "-m", "tasks", *words],
            env=environ(self._variables),
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        )
        return [line.split() for line in done.stdout.splitlines()]


def around(python: str, launcher: str) -> list[str]:
    """The words that start this launcher, if there is one."""
    return [python, tool(python, launcher)] if launcher else []


def tool(python: str, name: str) -> str:
    """Path of a command of the same environment, or of a program."""
    return str(PROGRAMS / name) if name.endswith(".py") else str(Path(python).with_name(name))


def same(run: Visit, plain: Visit) -> None:
    """How often a line of a log comes, and whether some do at all, depends on which worker is how fast."""
    assert run.answers == plain.answers
    assert (run.left.code, run.left.out) == (plain.left.code, plain.left.out)
    new = set(run.left.err) - set(plain.left.err)
    assert not [line for line in new if not line.endswith(BY_CHANCE)]
