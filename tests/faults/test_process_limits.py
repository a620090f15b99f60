"""Processes that are out of descriptors, have ten thousand, or fork in the middle of it."""

from __future__ import annotations

import json
import resource
import sqlite3
from contextlib import closing

import pytest
from fault_agent import LIBRARIES

HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

# Leaves so many descriptors free, and asks.
FEW = """
import resource
{warm}
resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
for _ in range({free}):
    os.close(held.pop())
for text in ("one", "stream two", "three"):
    try:
        print(text, *ask(text), flush=True)
    except Exception as error:
        print(text, type(error).__name__, flush=True)
for one in held:
    os.close(one)
show("four", "stream five")
"""


def some(*quick):
    return [pytest.param(one, marks=() if one in quick else pytest.mark.slow) for one in LIBRARIES]


@pytest.mark.parametrize("library", some("httpx2"))
@pytest.mark.parametrize("free", [0, 1, 2, 8])
def test_no_descriptors_left_at_the_first_call(program, library, free):
    """Three are needed for a store: with fewer nothing is recorded, until there are some."""
    source = FEW.format(warm="import asyncio; asyncio.run(asyncio.sleep(0))", free=free)
    plain = program(source, plain=True, library=library)
    for mode in ("--record", "--cache"):
        recorded = program(source, mode, library=library)
        assert (recorded.code, recorded.out) == (0, plain.out), recorded.err
        # That the store cannot be opened, and that a module cannot. An event loop takes three itself: without
        # them there is no call.
        least = free < 3 and library not in ("httpx2 async", "aiohttp")
        assert least <= len(recorded.said) <= 2 * (free < 3), recorded.err


@pytest.mark.parametrize("library", some("aiohttp"))
@pytest.mark.parametrize("free", [0, 2])
def test_no_descriptors_left_later_on(program, verb, library, free):
    source = FEW.format(warm="show('warm')", free=free)
    plain = program(source, plain=True, library=library)
    recorded = program(source, "--name", "run", library=library)
    assert (recorded.code, recorded.out) == (0, plain.out), recorded.err
    assert recorded.said == []
    steps = json.loads(verb("show", "run", "--json").out)["steps"]
    assert len(steps) >= recorded.out.count(" 200 ")


def test_a_replay_without_descriptors_sends_nothing(program, server):
    source = FEW.format(warm="pass", free=0)
    assert program(source, "--name", "run").code == 0
    replayed = program(source, "--replay", "run")
    assert server.seen == []
    assert replayed.code in (86, 1), replayed.err
    assert "Traceback" not in "".join(replayed.said)


MANY = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = [os.open("/dev/null", os.O_RDONLY) for _ in range({held})]
show("one", "stream two", "three")
"""


@pytest.mark.parametrize("library", some("requests", "httpx2 async"))
def test_ten_thousand_descriptors(program, server, library):
    """Beyond 1024, where `select` ends."""
    held = min(10_000, HARD - 100)
    if held < 1100:
        pytest.skip("so many descriptors cannot be had here")
    source = MANY.format(limit=held + 100, held=held)
    plain = program(source, plain=True, library=library)
    recorded = program(source, library=library)
    assert (recorded.code, recorded.out, recorded.err) == (0, plain.out, "")
    replayed = program(source, "--replay", "last", library=library)
    assert (replayed.code, replayed.out, replayed.err) == (0, plain.out, "")
    assert server.seen == []


FORKS = """
import concurrent.futures, encodings.idna  # imported by `socket` when it needs it
def work(name):
    for number in range(15):
        text = f"{name}.{number}"
        status, body = ask(text)
        assert (status, body) == (200, b'{"said": "%s"}' % text.encode()), body
if LIBRARY == "httpx2":  # a client's connections are not to be shared with a child
    def ask(text):
        with httpx2.Client(verify=tls, trust_env=False) as client:
            response = client.post(URL + "/v1/chat/completions", content=text.encode())
            return response.status_code, response.content
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
elif LIBRARY == "requests":
    def ask(text):
        with requests.Session() as session:
            session.trust_env = False
            response = session.post(URL + "/v1/chat/completions", data=text.encode())
            return response.status_code, response.content
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    done = [pool.submit(work, f"thread{n}") for n in range(4)]
    children = []
    for number in range(4):
        time.sleep(0.01)
        pid = os.fork()
        if not pid:
            code = 1
            try:
                work(f"child{number}")
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
    print([os.waitpid(pid, 0)[1] for pid in children], [one.result() for one in done])
"""


# Not httpx2 async: event loops in threads, forked, hang by themselves now and then.
@pytest.mark.parametrize("library", [one for one in some("requests") if "httpx2 async" not in one.values])
@pytest.mark.parametrize("mode", ["--record", "--cache"])
def test_forks_in_the_middle_of_writes(program, store_path, library, mode):
    plain = program(FORKS, plain=True, library=library)
    assert plain.out == "[0, 0, 0, 0] [None, None, None, None]\n"
    recorded = program(FORKS, mode, library=library)
    assert (recorded.code, recorded.out) == (0, plain.out), recorded.err
    assert [line for line in recorded.said if "locked" not in line] == []
    with closing(sqlite3.connect(store_path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT count(*) FROM steps WHERE whole = 1").fetchone() == (8 * 15,)
