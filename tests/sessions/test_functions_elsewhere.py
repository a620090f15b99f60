"""``@cached_call`` where a function ends or goes on in another place than it began: forks, other contexts."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import pytest

import rewind_auto
from rewind_auto import cached_call


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_child_forked_while_other_threads_call(store_path):
    """What they hold, and what they are in, is not the child's."""

    @cached_call
    def look(number):
        return number

    @cached_call
    def fork():
        pid = os.fork()
        if not pid:
            signal.alarm(20)
            os._exit(0 if look(1) == 1 else 1)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def work():
        while not done.wait(0.0005):  # in a tighter loop a fork waits for the store, up to seconds each time
            look(2)

    done = threading.Event()
    with rewind_auto.session("recorded"):
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            codes = [fork() for _ in range(10)]
        finally:
            done.set()
            for thread in threads:
                thread.join()
    assert set(codes) == {0}


def test_a_coroutine_that_is_closed_outside_of_its_task(store_path):
    @cached_call
    async def wait():
        await asyncio.sleep(100)

    with rewind_auto.session("recorded"):
        loop = asyncio.new_event_loop()
        task = loop.create_task(wait())
        loop.run_until_complete(asyncio.sleep(0.01))
        task._log_destroy_pending = False
        loop.close()
        task.get_coro().close()


def test_a_fork_in_a_function_leaves_the_functions_of_other_threads(store_path):
    from rewind_auto import inner
    from rewind_auto.core.model import StepRef

    start, ready, done = threading.Thread.start, threading.Event(), threading.Event()

    def within():
        token = inner.enter_function(StepRef("s", 1))
        ready.set()
        done.wait(20)
        inner.leave_function(StepRef("s", 1), token)

    thread = threading.Thread(target=within)
    thread.start()
    ready.wait(20)
    pid = os.fork()
    if not pid:
        os._exit(0 if threading.Thread.start is start else 1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    done.set()
    thread.join()
    assert code == 0
    assert threading.Thread.start is start
