"""Spans reach the collector from every kind of process end, and no collector holds a program up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from otlp_sink import OtlpSink
from servers import CUT, Server

Program = Callable[..., Any]


def test_every_span_of_a_tight_loop_arrives_once(program: Program, sink: OtlpSink) -> None:
    done = program("for step in range(1, 3001): call(step)", REWIND_OTLP=sink.url)
    assert (done.code, done.err) == (0, "")
    assert sink.steps == list(range(1, 3001))


def test_spans_of_many_threads_arrive_once(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        import threading
        from concurrent.futures import ThreadPoolExecutor
        together = threading.Barrier(16)
        def first(step):
            span = start(step)
            together.wait()
            span.end(SpanEnd("record"))
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(first, range(1, 17)))
            list(pool.map(call, range(17, 801)))
        print(sum(thread.name == "rewind-auto-spans" for thread in threading.enumerate()))
        """,
        REWIND_OTLP=sink.url,
    )
    assert (done.code, done.out, done.err) == (0, "1\n", "")
    assert sink.steps == list(range(1, 801))


def test_a_lone_span_does_not_wait_for_a_batch(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        for step in (1, 2):
            call(step)
            time.sleep(0.4)
        os.kill(os.getpid(), 9)
        """,
        REWIND_OTLP=sink.url,
    )
    assert done.code == -9
    assert sink.steps == [1, 2]


def test_the_first_span_after_a_rest_goes_at_once_and_the_next_ones_together(
    program: Program, sink: OtlpSink
) -> None:
    done = program(
        """
        call(1)
        time.sleep(0.5)
        call(2)
        time.sleep(0.5)
        os.kill(os.getpid(), 9)
        """,
        REWIND_OTLP=sink.url,
        OTEL_BSP_SCHEDULE_DELAY="60000",
    )
    assert done.code == -9
    assert sink.steps == [1]


def test_sigterm_loses_only_what_is_younger_than_the_delay(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        for step in range(1, 201): call(step)
        time.sleep(0.7)
        os.kill(os.getpid(), 15)
        """,
        REWIND_OTLP=sink.url,
    )
    assert done.code == -15
    assert sink.steps == list(range(1, 201))


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("sys.exit(7)", 7),
        ("raise ValueError('as it was')", 1),
        ("os._exit(5)", 5),
        ("signal.signal(2, signal.default_int_handler); os.kill(os.getpid(), 2)", -2),
        ("atexit.register(call, 2)", 0),
    ],
)
def test_ways_to_end(program: Program, sink: OtlpSink, end: str, code: int) -> None:
    done = program(f"import atexit, signal\natexit.register(call, 3)\ncall(1)\n{end}", REWIND_OTLP=sink.url)
    assert done.code == code
    late = {"os._exit(5)": [1], "atexit.register(call, 2)": [1, 2, 3]}
    assert sink.steps == late.get(end, [1, 3])


@pytest.mark.parametrize("leave", ["sys.exit(0)", "os._exit(0)", "pass"])
def test_fork_neither_loses_nor_doubles(program: Program, sink: OtlpSink, leave: str) -> None:
    done = program(
        f"""
        for step in range(1, 51): call(step)
        tracing.flush(5)              # the parent has a kept-alive connection now
        for step in range(51, 101): call(step)   # and spans that wait
        children = []
        for child in range(4):
            pid = os.fork()
            if pid == 0:
                for step in range(1000 * (child + 1), 1000 * (child + 1) + 50): call(step)
                {leave}
                sys.exit(0)
            children.append(pid)
        for step in range(101, 151): call(step)
        for pid in children: assert os.waitpid(pid, 0)[1] == 0
        """,
        REWIND_OTLP=sink.url,
    )
    assert done.code == 0, done.err
    expected = [*range(1, 151), *(n for child in range(1, 5) for n in range(1000 * child, 1000 * child + 50))]
    assert sink.steps == expected


def test_a_forked_child_that_makes_no_call_gets_no_thread(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        import threading
        call(1)
        before = threading.active_count()
        if (pid := os.fork()) == 0:
            os._exit(threading.active_count())
        print(before, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """,
        REWIND_OTLP=sink.url,
    )
    assert done.out.split() == ["2", "1"]


def test_what_waits_at_a_fork_is_delivered_without_another_call(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        for step in (1, 2, 3): call(step)
        if (pid := os.fork()) == 0: os._exit(0)
        os.waitpid(pid, 0)
        time.sleep(0.5)
        os.kill(os.getpid(), 9)
        """,
        REWIND_OTLP=sink.url,
    )
    assert done.code == -9
    assert sink.steps == [1, 2, 3]


def test_a_fork_in_the_middle_of_a_call_ends_its_span_once(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        span = start(1)
        if (pid := os.fork()) == 0:
            span.end(SpanEnd("bypass"))
            sys.exit(0)
        os.waitpid(pid, 0)
        span.end(SpanEnd("record"))
        """,
        REWIND_OTLP=sink.url,
    )
    assert done.code == 0, done.err
    assert [span.attributes["rewind.cache.decision"] for span in sink.spans] == ["record"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize(
    "work",
    [
        "all = [ctx.Process(target=work, args=(n,)) for n in range(1, 5)]; start_and_join(all)",
        "with ctx.Pool(2) as pool: pool.map(work, range(1, 5), chunksize=1)",
        "with ProcessPoolExecutor(2, mp_context=ctx) as pool: list(pool.map(work, range(1, 5)))",
    ],
    ids=["process", "pool", "executor"],
)
def test_children_of_multiprocessing(program: Program, sink: OtlpSink, method: str, work: str) -> None:
    done = program(
        f"""
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

def work(n):
    call(n)

def start_and_join(processes):
    for process in processes: process.start()
    for process in processes: process.join()

if __name__ == "__main__":
    call(100)
    ctx = multiprocessing.get_context("{method}")
    {work}
""",
        REWIND_OTLP=sink.url,
    )
    assert done.code == 0, done.err
    assert sink.steps == [1, 2, 3, 4, 100]


def test_os_exit_stays_picklable(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        import pickle
        call(1)
        assert pickle.loads(pickle.dumps(os._exit)) is os._exit
        os._exit(status=3)
        """,
        REWIND_OTLP=sink.url,
    )
    assert (done.code, done.err) == (3, "")
    assert sink.steps == [1]


def test_close_delivers_and_leaves_nothing_behind(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        import logging
        untouched = os._exit
        call(1)
        assert os._exit is not untouched
        tracing.close()
        assert os._exit is untouched
        assert not logging.getLogger("urllib3.connectionpool").filters
        assert call(2) is None
        os.kill(os.getpid(), 9)
        """,
        REWIND_OTLP=sink.url,
    )
    assert (done.code, done.err) == (-9, "")
    assert sink.steps == [1]


# --- a collector that is not well


@pytest.mark.parametrize(
    ("ill", "why"),
    [
        ("refused", "does not take spans (Connection refused): they get lost"),
        ("hanging", "has not taken the last {spans} spans in time: they may be lost"),
        ("unavailable", "does not take spans: they get lost"),
        ("slow", "has not taken the last {spans} spans in time: they may be lost"),
    ],
)
@pytest.mark.parametrize(
    ("spans", "leave", "code"),
    [
        (1, "", 0),
        (2000, "", 0),
        (2000, "sys.exit(3)", 3),
        (2000, "os._exit(4)", 4),
    ],
)
def test_no_collector_holds_up_the_exit(
    program: Program, refused: str, ill: str, why: str, spans: int, leave: str, code: int
) -> None:
    """The exit code is the program's, and one line on stderr says what was lost, and why."""
    behaviour = {"hanging": (200, 60.0), "unavailable": (503, 0.0), "slow": (200, 3.0), "refused": (200, 0.0)}
    with OtlpSink(*behaviour[ill]) as sink:
        done = program(
            f"""
            began = time.perf_counter()
            for step in range({spans}): call(step)
            assert time.perf_counter() - began < 5, "the calls waited for the collector"
            print("END", time.time(), flush=True)
            {leave}
            """,
            REWIND_OTLP=refused if ill == "refused" else sink.url,
        )
    assert done.code == code, done.err
    assert 0 <= done.exit_seconds <= 2.0
    where = urlsplit(refused if ill == "refused" else sink.url).netloc
    assert done.err == f"rewind-auto: the collector at {where} {why.format(spans=spans)}\n"


@pytest.mark.parametrize(
    "said",
    [
        b"\x00\xff no HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<html>\xff\xfe\x00",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nshort",
        b"HTTP/1.1 302 Found\r\nLocation: /v1/traces\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 429 Slow\r\nRetry-After: 1e99\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["no HTTP", "no protobuf", "too short", "round and round", "an odd delay"],
)
def test_a_collector_that_answers_nonsense(program: Program, said: bytes) -> None:
    with Server() as server:
        server.on("", [said, CUT])
        source = "for step in range(20): call(step)\nprint('END', time.time(), flush=True)"
        done = program(source, REWIND_OTLP=server.url)
        assert server.seen
    assert done.code == 0
    assert 0 <= done.exit_seconds <= 2.0
    assert len(done.err.splitlines()) <= 1, done.err


def test_the_exit_waits_once_whatever_ends_late(program: Program) -> None:
    with OtlpSink(pause=60) as sink:
        done = program(
            """
            import atexit
            atexit.register(tracing.close)
            for step in range(5): atexit.register(call, step)
            call(10)
            print("END", time.time(), flush=True)
            """,
            REWIND_OTLP=sink.url,
        )
    assert done.code == 0
    assert done.exit_seconds <= 2.0


def test_a_collector_that_comes_back_gets_the_spans(program: Program) -> None:
    with OtlpSink(status=503) as sink:
        recovery = threading.Timer(1.2, setattr, (sink, "status", 200))
        recovery.start()
        program("call(1)\ntime.sleep(3.2)", REWIND_OTLP=sink.url)
        assert sink.steps == [1]


def test_a_pool_worker_waits_for_an_ill_collector_once(program: Program) -> None:
    with OtlpSink(pause=60) as sink:
        done = program(
            """
            import multiprocessing

            def work(n):
                began = time.perf_counter()
                for step in range(20): call(step)
                return time.perf_counter() - began

            if __name__ == "__main__":
                with multiprocessing.get_context("fork").Pool(1) as pool:
                    print(*pool.map(work, [1, 2]))
            """,
            REWIND_OTLP=sink.url,
        )
    first, second = map(float, done.out.split())
    assert 0.5 <= first < 2.5
    assert second < 0.2 + first / 2


def test_a_full_queue_drops_and_says_so_once(program: Program) -> None:
    with OtlpSink(pause=60) as sink:
        done = program(
            """
            for step in range(500): call(step)
            """,
            REWIND_OTLP=sink.url,
            OTEL_BSP_MAX_QUEUE_SIZE="100",
        )
    (line,) = done.err.splitlines()
    assert line.endswith(" is too slow for 100 spans that wait: further ones get lost")


def test_only_our_own_thread_is_hushed(program: Program, refused: str) -> None:
    done = program(
        """
        import logging
        logging.basicConfig(level=logging.DEBUG, format="%(name)s %(message)s")
        call(1)
        tracing.flush(0.3)
        logging.getLogger("urllib3.connectionpool").debug("the program's own line")
        os.kill(os.getpid(), 9)
        """,
        REWIND_OTLP=refused,
    )
    lines = done.err.splitlines()
    assert lines[-1] == "urllib3.connectionpool the program's own line"
    assert lines[0].startswith("rewind-auto: the collector at ")
    assert len(lines) == 2


def test_the_line_on_stderr_tells_no_secret_of_the_url(program: Program, refused: str) -> None:
    url = refused.replace("//", "//user:hunter2@") + "/v1/traces?key=sk-secret"
    done = program("call(1)", REWIND_OTLP=url)
    assert "does not take spans" in done.err
    assert "hunter2" not in done.err
    assert "sk-secret" not in done.err


def test_signal_handler_may_leave_by_os_exit(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        import signal
        signal.signal(signal.SIGALRM, lambda *_: os._exit(4))
        call(step := 1)
        signal.setitimer(signal.ITIMER_REAL, 0.15)
        while True: call(step := step + 1)
        """,
        REWIND_OTLP=sink.url,
    )
    assert (done.code, done.err) == (4, "")
    assert sink.steps == list(range(1, len(sink.steps) + 1))
    assert len(sink.steps) > 10


NO_THREADS = """
import threading
def start_thread(self): raise RuntimeError("can't start new thread")
threading.Thread.start = start_thread
"""


@pytest.mark.parametrize("error", ["RuntimeError", "MemoryError"])
def test_where_no_thread_can_be_had_spans_go_at_the_end(program: Program, sink: OtlpSink, error: str) -> None:
    """A limit on processes or on memory, or Python 3.12.0 and 3.12.1 while exit handlers run."""
    source = NO_THREADS.replace("RuntimeError", error)
    done = program(source + "for step in range(1, 301): call(step)", REWIND_OTLP=sink.url)
    assert (done.code, done.err) == (0, "")
    assert sink.steps == list(range(1, 301))
    assert max(sink.batches) > 1


def test_no_collector_holds_up_the_exit_without_threads(program: Program) -> None:
    source = "for step in range(1, 301): call(step)\nprint('END', time.time(), flush=True)"
    with OtlpSink(pause=60) as sink:
        done = program(NO_THREADS + source, REWIND_OTLP=sink.url)
    assert done.code == 0
    assert 0 <= done.exit_seconds <= 2.0
    assert len(done.err.splitlines()) == 1
