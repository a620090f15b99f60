"""A program whose threads are greenlets, in an environment of its own.

REWIND_TEST_TOOLS_PYTHON names the interpreter of that; it has to have gevent.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from otlp_sink import OtlpSink

Program = Callable[..., Any]

PYTHON = os.environ.get("REWIND_TEST_TOOLS_PYTHON", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="REWIND_TEST_TOOLS_PYTHON names no interpreter with gevent"),
]


def test_greenlets_and_their_forks(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        from gevent import monkey
        monkey.patch_all()
        import gevent
        tracing = Tracing(os.environ["REWIND_OTLP"], os.environ)   # as on a first call, after the patching
        gevent.joinall([gevent.spawn(call, step) for step in range(1, 101)])
        began = time.perf_counter()
        for child in range(200, 220):
            if (pid := os.fork()) == 0:
                call(child)
                (sys.exit if child % 2 else os._exit)(0)
            os.waitpid(pid, 0)
            call(child - 50)
        print(time.perf_counter() - began)
        """,
        python=PYTHON,
        REWIND_OTLP=sink.url,
    )
    assert (done.code, done.err) == (0, "")
    assert sink.steps == [*range(1, 101), *range(150, 170), *range(200, 220)]
    assert float(done.out.split()[-1]) < 20 * 0.5, "each fork waited for all the time that it may"


def test_no_collector_holds_up_greenlets(program: Program, refused: str) -> None:
    done = program(
        """
        from gevent import monkey
        monkey.patch_all()
        import gevent
        tracing = Tracing(os.environ["REWIND_OTLP"], os.environ)   # as on a first call, after the patching
        gevent.joinall([gevent.spawn(call, step) for step in range(100)])
        print("END", time.time(), flush=True)
        """,
        python=PYTHON,
        REWIND_OTLP=refused,
    )
    assert done.code == 0
    assert 0 <= done.exit_seconds <= 2.0
    assert len(done.err.splitlines()) == 1
