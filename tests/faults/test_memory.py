"""Programs with a limit on their memory: one that we fit in as well, and one that leaves nothing for us."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from fault_agent import LIBRARIES
from servers import reply

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the system does not tell how much memory was reserved"
)

KB, MB = 1 << 10, 1 << 20

# Asks for answers of these sizes, in kilobytes. Of an error it tells in whose code it was raised.
PROGRAM = """
import encodings.idna, gc, hashlib, resource, traceback

def reserved(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name + ":"))

{before}
for size in {sizes}:
    try:
        status, body = ask(str(size))
        print(size, status, hashlib.md5(body).hexdigest(), flush=True)
        del body
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1].filename
        print(size, "error of ours" if "/rewind_auto/" in at else "error", flush=True)
        print(type(error).__name__, at, file=sys.stderr)
        del error
        gc.collect()
print("peak", reserved("VmPeak"), file=sys.stderr)
"""
LIMIT = "resource.setrlimit(resource.RLIMIT_AS, ({kb} << 10, {kb} << 10))"
# What this process has reserved by now, and some more.
ROOM = """
ask("1")
room = reserved("VmSize") + {kb}
resource.setrlimit(resource.RLIMIT_AS, (room << 10, room << 10))
"""


def some(*quick):
    return [pytest.param(one, marks=() if one in quick else pytest.mark.slow) for one in LIBRARIES]


@pytest.fixture(autouse=True)
def large(server):
    def chat(seen):
        return reply(b"%b," % seen.body * (int(seen.body) * KB // (len(seen.body) + 1)))

    server.on("/v1/chat/completions", chat)
    return server


def peak(program, library, source, **options):
    """What a plain run of this program has reserved at most, in kilobytes."""
    plain = program(source, plain=True, library=library, **options)
    assert plain.code == 0, plain.err
    return int(re.findall(r"peak (\d+)", plain.err)[0])


@pytest.mark.parametrize("library", some("httpx2"))
def test_a_limit_with_room_for_us(program, server, library):
    """Three times the largest answer, and what we are ourselves."""
    sizes = [1, KB, 4 * KB, 10 * KB, 1]
    kb = peak(program, library, PROGRAM.format(before="", sizes=sizes)) + 96 * KB
    source = PROGRAM.format(before=LIMIT.format(kb=kb), sizes=sizes)
    plain = program(source, plain=True, library=library)
    assert plain.out.count(" 200 ") == len(sizes)
    recorded = program(source, "--record", library=library)
    assert (recorded.code, recorded.out, recorded.said) == (0, plain.out, [])
    assert len(server.seen) == len(sizes)
    server.stop()
    replayed = program(source, "--replay", "last", library=library)
    assert (replayed.code, replayed.out, replayed.said) == (0, plain.out, [])


def check(plain, recorded, server):
    """What the program has of its answers is what they are, and it is told of no error of ours."""
    answers = plain.out.splitlines()
    for line in recorded.out.splitlines():
        assert line in answers or line.endswith(" error"), (line, recorded.err)
    assert recorded.code >= 0, recorded.err
    assert "rewind_auto" not in re.findall(r'File "(.*)", line', recorded.err)[-1:], recorded.err
    assert max(Counter(seen.body for seen in server.seen).values(), default=1) == 1
    assert len(recorded.said) <= 2, recorded.err


@pytest.mark.parametrize("library", some())
def test_a_limit_without_room_for_us(program, server, library):
    """We cannot even be loaded, or just so: whatever it is that does not fit any more."""
    sizes = [10, 11, 100]
    source = PROGRAM.format(before="", sizes=sizes)
    plain = program(source, plain=True, library=library)
    least = peak(program, library, source)
    for more in range(0, 8 * KB, 512):
        check(plain, program(source, "--record", library=library, limit=least + more), server)
    recorded = program(source, "--name", "whole", library=library)
    assert (recorded.code, recorded.out) == (0, plain.out)
    for more in range(0, 8 * KB, 1024):
        replayed = program(source, "--replay", "whole", library=library, limit=least + more)
        assert server.seen == []
        assert (replayed.code, replayed.out) == (0, plain.out) or replayed.code == 86, replayed.err


@pytest.mark.parametrize("library", some("httpx2"))
@pytest.mark.parametrize("room", [3, 6, 12, 24])
def test_little_room_later_on(program, server, library, room):
    """What we keep of a large answer takes what is left. The next small one is had again, and recorded."""
    sizes = [10, 11, KB, 4 * KB, 10 * KB, 12]
    plain = program(PROGRAM.format(before="", sizes=sizes), plain=True, library=library)
    source = PROGRAM.format(before=ROOM.format(kb=room * KB), sizes=sizes)
    recorded = program(source, "--record", library=library)
    check(plain, recorded, server)
    assert recorded.out.splitlines()[:2] == plain.out.splitlines()[:2]
    assert recorded.out.splitlines()[-1] == plain.out.splitlines()[-1]
