"""Which exceptions that come up in our code are the program's: they are let go, and not swallowed as ours."""

from __future__ import annotations

import ctypes
import signal
import threading
from functools import partial

import httpx2
import pytest

from rewind_auto.core import alarms, guard


class Late(Exception):  # noqa: N818 - as in programs
    pass


def function(*_):
    raise Late


class Handler:
    def method(self, *_):
        raise TimeoutError

    def __call__(self, *_):
        raise Late


@pytest.fixture(autouse=True)
def as_in_a_program(monkeypatch):
    monkeypatch.delenv("REWIND_TESTING")
    monkeypatch.setattr(guard, "_seen", set())
    handler = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, handler)


@pytest.mark.parametrize(
    "handler", [function, Handler().method, Handler(), partial(partial(function), 1), lambda *_: function()]
)
def test_raised_by_a_handler_of_a_signal(handler):
    signal.signal(signal.SIGUSR1, handler)
    with pytest.raises((Late, TimeoutError)), guard.swallow("a block"):
        signal.raise_signal(signal.SIGUSR1)


def test_raised_while_a_class_is_made():
    """Up to Python 3.11 as the cause of a RuntimeError."""

    class Field:
        def __set_name__(self, *_):
            signal.raise_signal(signal.SIGUSR1)

    signal.signal(signal.SIGUSR1, function)
    with pytest.raises(Late), guard.swallow("a block"):
        type("Made", (), {"field": Field()})


def test_raised_by_what_is_no_handler_any_more(capsys):
    signal.signal(signal.SIGUSR1, function)
    with guard.swallow("a block"):
        Handler().method()
    assert "TimeoutError" in capsys.readouterr().err


LOOP = """
def loop(running):
    with guard.swallow("a block"):
        running.set()
        while True:
            pass
"""


def test_thrown_into_a_thread():
    """As some time limits are: it comes up in a line of ours, and is of a class that nothing there knows."""
    ours = {"__name__": "rewind_auto.somewhere", "guard": guard}
    exec(LOOP, ours)
    running, ended = threading.Event(), []

    def work():
        try:
            ours["loop"](running)
        except Late as error:
            ended.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert running.wait(30)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Late))
    thread.join(30)
    assert [type(error) for error in ended] == [Late]


def test_of_a_library_that_was_called(capsys):
    """That is what its errors are: one that we did not expect."""
    with guard.swallow("a block"):
        httpx2.URL("http://host:port")
    assert "InvalidURL" in capsys.readouterr().err


def test_held_back_until_a_block_is_through():
    came = []
    signal.signal(signal.SIGUSR1, lambda *_: came.append(1))
    with alarms.held_back():
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        assert came == []
    assert came == [1]
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
    assert came == [1, 1]
