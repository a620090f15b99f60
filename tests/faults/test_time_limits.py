"""Time limits by a signal whose handler raises an ordinary exception: none may get lost in our code."""

from __future__ import annotations

import pytest

SOURCE = """
import random, signal, threading

class Late(Exception):
    pass

# In a finalizer there is nobody whom Python could give an exception.
FINALIZERS = ("__del__", "close", "closed", "_cb", "cb", "__call__")
in_finalizer = False

def late(_, frame):
    global in_finalizer
    while frame is not None and frame.f_code.co_name not in FINALIZERS:
        frame = frame.f_back
    in_finalizer = frame is not None
    raise Late

def made():
    return library.Session() if sys.argv[1] == "requests" else library.Client()

def ask(client, number):
    body = {"model": "m", "messages": [{"role": "user", "content": f"one {number % 7}"}]}
    return client.post(f"{sys.argv[2]}/v1/chat/completions", json=body).status_code

library = __import__(sys.argv[1])
client = made()
signal.signal(signal.SIGALRM, late)
pick = random.Random(int(sys.argv[3]))
lost = 0
for attempt in range(int(sys.argv[4])):
    # The first one while the agent is loaded, by the first call.
    seconds = pick.uniform(0.0002, 0.005) if attempt else pick.uniform(0.01, 0.04)
    if attempt == 1:
        ask(client, 0)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        for number in range(2000):
            ask(client, number)
        lost += not in_finalizer
    except Late:
        pass
    except Exception as error:  # what the library makes of one that comes up in its own work
        assert isinstance(error.__context__, Late), error
    client = made()  # it may have been left with a lock of its own held
signal.setitimer(signal.ITIMER_REAL, 0)
print(lost)

answers = []
def work():
    answers.extend(ask(client, number) for number in range(20))
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(20)
print(answers == [200] * 80, [thread.is_alive() for thread in threads])
"""


def cases():
    for seed in range(10):
        for library in ("httpx2", "requests"):
            for options in ((), ("--cache",)):
                marks = pytest.mark.slow if seed else ()
                yield pytest.param(library, options, seed, marks=marks)


@pytest.mark.parametrize(("library", "options", "seed"), list(cases()))
def test_none_is_lost(program, library, options, seed):
    done = program(SOURCE, *options, library=library, arguments=(seed, 60))
    assert (done.code, done.out) == (0, "0\nTrue [False, False, False, False]\n"), done.err
    assert done.said == []
