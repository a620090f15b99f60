"""Ends of whole programs: the spans of their calls arrive, and nothing is said."""

from __future__ import annotations

import signal
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from otlp_sink import OtlpSink

Program = Callable[..., Any]

LATER = "60000"  # milliseconds: but for the first span, nothing is exported before the end


def recorded(store_path: Any) -> list[int]:
    from rewind_auto.store import open_store

    store = open_store(str(store_path))
    try:
        return [step.step for step in store.steps(store.sessions()[0].id)]
    finally:
        store.close()


# --- exit handlers


def test_calls_of_every_exit_handler(agent: Program, sink: OtlpSink, store_path: Any) -> None:
    """Handlers run in the reverse order of their registration: some before ours, some after."""
    done = agent(
        """
        import atexit
        atexit.register(llm, "registered first")
        llm("in the program")
        atexit.register(llm, "registered last")
        """,
        "--otlp",
        sink.url,
    )
    assert (done.code, done.err) == (0, "")
    assert recorded(store_path) == [1, 2, 3]
    assert sink.steps == [1, 2, 3]


def test_a_program_whose_only_calls_are_in_exit_handlers(
    agent: Program, sink: OtlpSink, store_path: Any
) -> None:
    done = agent(
        """
        import atexit
        atexit.register(llm, 1)
        atexit.register(llm, 2)
        """,
        "--otlp",
        sink.url,
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
    )
    assert (done.code, done.err) == (0, "")
    assert recorded(store_path) == [1, 2]
    assert sink.steps == [1, 2]
    assert {span.resource["service.name"] for span in sink.spans} == {"my_agent"}
    assert {span.resource["deployment.environment.name"] for span in sink.spans} == {"test"}


def test_calls_of_exit_handlers_do_not_wait_for_a_collector_either(agent: Program) -> None:
    with OtlpSink(pause=60) as sink:
        done = agent(
            """
            import atexit, time
            for n in range(5): atexit.register(llm, n)
            atexit.register(lambda: print("END", time.time(), flush=True))
            """,
            "--otlp",
            sink.url,
        )
    assert done.code == 0
    assert 0 <= done.exit_seconds <= 6.0  # with the five calls, and what the first of them loads
    assert len(done.err.splitlines()) == 1


# --- signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_the_program_handles(agent: Program, sink: OtlpSink, number: int) -> None:
    done = agent(
        f"""
        import signal
        signal.signal({number}, lambda *_: sys.exit(9))
        for n in range(5): llm(n)
        os.kill(os.getpid(), {number})
        """,
        "--otlp",
        sink.url,
        OTEL_BSP_SCHEDULE_DELAY=LATER,
    )
    assert (done.code, done.err) == (9, "")
    assert sink.steps == [1, 2, 3, 4, 5]


def test_an_interrupt(agent: Program, sink: OtlpSink) -> None:
    done = agent(
        "for n in range(5): llm(n)\nos.kill(os.getpid(), 2)",
        "--otlp",
        sink.url,
        OTEL_BSP_SCHEDULE_DELAY=LATER,
    )
    assert done.code == -2
    assert done.err.splitlines()[-1] == "KeyboardInterrupt"
    assert "rewind_auto" not in done.err
    assert sink.steps == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("how", ["signal.default_int_handler", "lambda *_: sys.exit(5)"])
def test_one_more_signal_while_the_end_waits_for_the_collector(agent: Program, how: str) -> None:
    with OtlpSink(pause=60) as sink:
        done = agent(
            f"""
            import signal
            signal.signal(signal.SIGALRM, {how})
            llm(1)
            signal.setitimer(signal.ITIMER_REAL, 0.4)
            """,
            "--otlp",
            sink.url,
        )
    assert done.code == 0
    assert "Traceback" not in done.err
    assert "Exception ignored" not in done.err


def test_a_signal_handler_that_calls_while_the_first_call_sets_up(program: Program, sink: OtlpSink) -> None:
    """The handler runs in the thread that it interrupts: it must not wait for what only that can finish."""
    done = program(
        """
        import signal, builtins
        plain = builtins.__import__
        def importing(name, *rest, **named):
            if name.startswith("opentelemetry.sdk") and not handled: os.kill(os.getpid(), signal.SIGALRM)
            return plain(name, *rest, **named)
        handled = []
        signal.signal(signal.SIGALRM, lambda *_: handled.append(call(1)))
        builtins.__import__ = importing
        call(2)
        builtins.__import__ = plain
        assert handled, "the signal came too late"
        """,
        timeout=10,
        REWIND_OTLP=sink.url,
    )
    assert (done.code, done.err) == (0, "")
    assert sink.steps == [2]


# --- threads


def test_threads_that_outlive_the_main_one(agent: Program, sink: OtlpSink) -> None:
    done = agent(
        """
        import threading, time
        def work(n):
            time.sleep(0.2)
            llm(n)
            time.sleep(1.5)
            for _ in range(5): llm(n)
            sys.exit(3)   # ends the thread, not the program
        for n in range(5): threading.Thread(target=work, args=(n,)).start()
        """,
        "--otlp",
        sink.url,
        OTEL_BSP_SCHEDULE_DELAY=LATER,
    )
    assert (done.code, done.err) == (0, "")
    assert sink.steps == list(range(1, 31))
    assert len(sink.batches) <= 3, "as when a process ends"


def test_daemon_threads_in_the_middle_of_calls(agent: Program, sink: OtlpSink) -> None:
    done = agent(
        """
        import threading, time
        def work():
            while True: llm("again")
        for _ in range(5): threading.Thread(target=work, daemon=True).start()
        llm("in the main thread")
        time.sleep(1)
        sys.exit(6)
        """,
        "--otlp",
        sink.url,
    )
    assert (done.code, done.err) == (6, "")
    assert len(sink.steps) > 5
    assert len(sink.steps) == len(set(sink.steps))


# --- making way for another program


@pytest.mark.parametrize(
    "leave",
    [
        'os.execv(sys.executable, [sys.executable, "-c", "print(1)"])',
        'os.execve(sys.executable, [sys.executable, "-c", "print(1)"], os.environ)',
        'os.execlp("echo", "echo", "1")',
        'os.execvpe("echo", ["echo", "1"], os.environ)',
    ],
)
def test_a_program_that_becomes_another(agent: Program, sink: OtlpSink, leave: str) -> None:
    done = agent(f"for n in range(5): llm(n)\n{leave}", "--otlp", sink.url)
    assert (done.code, done.out, done.err) == (0, "1\n", "")
    assert sink.steps == [1, 2, 3, 4, 5]


def test_a_program_that_cannot_become_another_goes_on(agent: Program, sink: OtlpSink) -> None:
    done = agent(
        """
        llm(1)
        for name in ("execv", "execvp"):
            try:
                getattr(os, name)("/no/such/file", ["x"])
            except FileNotFoundError:
                llm(name)
        for n in range(50): llm(n)
        """,
        "--otlp",
        sink.url,
    )
    assert (done.code, done.err) == (0, "")
    assert sink.steps == list(range(1, 54))
    assert len(sink.batches) < 50, "as when a process ends"


def test_looking_for_another_program_waits_for_the_collector_once(program: Program) -> None:
    with OtlpSink(pause=60) as sink:
        done = program(
            """
            os.environ["PATH"] = ":".join(f"/no/such/{n}" for n in range(20))
            call(1)
            began = time.perf_counter()
            try:
                os.execvp("nobody", ["nobody"])
            except FileNotFoundError:
                print(time.perf_counter() - began)
            """,
            REWIND_OTLP=sink.url,
        )
    assert done.code == 0
    assert 1 < float(done.out) < 3


# --- loops


ASYNC = """
asynchronous = httpx2.AsyncClient(base_url=os.environ["BASE_URL"])

async def ask(n):
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": f"question {n}"}]}
    (await asynchronous.post("/v1/chat/completions", json=asked)).raise_for_status()
"""


@pytest.mark.parametrize(
    "run",
    [
        """
        import asyncio
        async def main():
            await asyncio.gather(*map(ask, range(10)))
        asyncio.run(main())
        """,
        """
        import asyncio
        loop = asyncio.new_event_loop()
        task = loop.create_task(ask(0))
        for n in range(1, 9): loop.run_until_complete(ask(n))
        loop.run_until_complete(task)
        left = loop.create_task(ask(9))
        loop.run_until_complete(left)
        loop.close()
        """,
        """
        import asyncio, uvloop
        async def main():
            await asyncio.gather(*map(ask, range(10)))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner: runner.run(main())
        """,
        """
        import trio
        async def main():
            async with trio.open_nursery() as nursery:
                for n in range(10): nursery.start_soon(ask, n)
        trio.run(main)
        """,
    ],
    ids=["asyncio", "loop.close", "uvloop", "trio"],
)
def test_event_loops(agent: Program, sink: OtlpSink, run: str) -> None:
    if "uvloop" in run:
        pytest.importorskip("uvloop")
    done = agent(ASYNC + textwrap.dedent(run), "--otlp", sink.url)
    assert (done.code, done.err) == (0, "")
    assert sink.steps == list(range(1, 11))


def test_a_task_that_the_end_of_its_loop_cancels(agent: Program, sink: OtlpSink) -> None:
    done = agent(
        ASYNC
        + """
import asyncio
async def main():
    task = asyncio.create_task(ask("[wait=5] 1"))
    await ask(2)
    await asyncio.sleep(0.2)
asyncio.run(main())
""",
        "--otlp",
        sink.url,
        OTEL_BSP_SCHEDULE_DELAY=LATER,
    )
    assert (done.code, done.err) == (0, "")
    assert sink.steps == [1, 2]
    assert {span.attributes.get("error.type") for span in sink.spans} == {None, "cancelled"}
