"""Forks: nothing of ours is alive in one that need not be, and each side delivers its own spans."""

from __future__ import annotations

import ssl
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from otlp_sink import OtlpSink

Program = Callable[..., Any]

WARNS = sys.version_info >= (3, 12)


def test_a_fork_finds_no_thread_of_ours(program: Program, sink: OtlpSink) -> None:
    """Python 3.12 and later warn of a fork with threads, and a lock that one of them holds stays held."""
    done = program(
        """
        import threading
        seen = []
        # Of hooks before a fork, the first to be registered runs last.
        class Last:
            def before(self): seen.append(threading.active_count())
            def after(self): pass
        last = Last()
        from rewind_auto.core import forks
        forks.around_fork(last.before, last.after)
        forks._around.insert(0, forks._around.pop())
        call(1)
        for step in range(2, 22):
            assert threading.active_count() == 2
            if (pid := os.fork()) == 0: os._exit(0)
            os.waitpid(pid, 0)
            call(step)
        print(seen)
        """,
        "-Walways",
        REWIND_OTLP=sink.url,
    )
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{[1] * 20}\n"
    assert sink.steps == list(range(1, 22))


def test_a_program_with_threads_of_its_own_is_still_warned(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        import threading
        call(1)
        threading.Thread(target=time.sleep, args=(1,)).start()
        if (pid := os.fork()) == 0: os._exit(0)
        os.waitpid(pid, 0)
        """,
        "-Walways",
        REWIND_OTLP=sink.url,
    )
    assert done.code == 0
    assert ("multi-threaded" in done.err) == WARNS
    assert sink.steps == [1]


def test_a_fork_waits_for_an_ill_collector_once(program: Program) -> None:
    with OtlpSink(pause=60) as sink:
        done = program(
            """
            call(1)
            took = []
            for _ in range(5):
                began = time.perf_counter()
                if (pid := os.fork()) == 0: os._exit(0)
                took.append(time.perf_counter() - began)
                os.waitpid(pid, 0)
            print(*took)
            """,
            REWIND_OTLP=sink.url,
        )
    first, *others = map(float, done.out.split())
    assert 0.2 <= first < 2
    assert max(others) < first / 2, "waited again"


def test_a_fork_does_not_wait_for_an_export_that_is_tried_again(program: Program) -> None:
    with OtlpSink(status=503) as sink:
        recovery = threading.Timer(2, setattr, (sink, "status", 200))
        recovery.start()
        done = program(
            """
            call(1)
            time.sleep(0.3)
            for _ in range(2):
                if (pid := os.fork()) == 0: os._exit(0)
                os.waitpid(pid, 0)
            time.sleep(4)
            os.kill(os.getpid(), 9)
            """,
            REWIND_OTLP=sink.url,
        )
        assert done.code == -9
        assert sink.steps == [1]


def test_a_child_that_goes_on_by_itself_delivers(program: Program, sink: OtlpSink) -> None:
    """A daemon: the parent is gone, the child lives and is killed in the end."""
    done = program(
        """
        call(1)
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                call(2)
                time.sleep(0.5)
                call(3)
                time.sleep(0.5)
                os.kill(os.getpid(), 9)
            os._exit(0)
        os.wait()
        """,
        REWIND_OTLP=sink.url,
    )
    assert done.code == 0
    sink.wait(3)
    assert sink.steps == [1, 2, 3]


def test_a_fork_in_a_thread(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        import threading
        call(1)
        def work(n):
            if (pid := os.fork()) == 0:
                call(100 + n)
                os._exit(0)
            os.waitpid(pid, 0)
            call(n)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(2, 10)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """,
        REWIND_OTLP=sink.url,
    )
    assert done.code == 0, done.err
    assert sink.steps == [*range(1, 10), *range(102, 110)]


@pytest.mark.parametrize("collector", ["plain", "tls"])
def test_a_warm_connection_is_not_shared(program: Program, tmp_path: Path, collector: str) -> None:
    """Twenty forks, and on both sides spans right after: with one socket for both, answers get mixed up."""
    certificate = str(tmp_path / "ca.pem")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(certificate)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with OtlpSink(tls=tls if collector == "tls" else None) as sink:
        done = program(
            """
            call(1)
            tracing.flush(5)
            children = []
            for child in range(1, 21):
                if (pid := os.fork()) == 0:
                    for step in range(10_000 * child, 10_000 * child + 100): call(step)
                    sys.exit(0)
                children.append(pid)
                for step in range(100 * child, 100 * child + 100): call(step)
                if len(children) == 3:  # more at once may take longer than the end of a process waits
                    assert os.waitpid(children.pop(0), 0)[1] == 0
            for pid in children: assert os.waitpid(pid, 0)[1] == 0
            """,
            "-Wignore",  # so many children at once, and the collector may be slower than a fork waits for
            REWIND_OTLP=sink.url,
            OTEL_EXPORTER_OTLP_CERTIFICATE=certificate,
        )
        assert (done.code, done.err) == (0, "")
        numbers = [(10_000 * child + n, 100 * child + n) for child in range(1, 21) for n in range(100)]
        assert sink.steps == sorted([1, *(step for both in numbers for step in both)])
