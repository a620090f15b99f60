"""Programs that close all descriptors, ours among them, as daemonizers do, and open files of their own."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from servers import answer

from rewind_auto.store import open_store

# Kept-alive connections of the program's own would be closed by number as well.
CLOSES = """
import gc, resource
{before}
show("one", "stream two")
if LIBRARY == "requests":
    session.close()
else:
    client.close()
    client = httpx2.Client(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False, timeout=30)
os.closerange(3, {below})
{then}
files = [open(os.path.join(sys.argv[3], str(number)), "w+b") for number in range({files})]
for file in files:
    file.write(b"mine " * 2000)
    file.flush()
show("three", "stream four")
for file in files:
    file.write(b"as well " * 2000)
    file.flush()
show("five")
{after}
"""
ALL = {"before": "", "below": "1000", "then": "", "files": 40, "after": ""}
FEW_NUMBERS = (
    "resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))"
)
OTHER = """
import subprocess
code = "import sqlite3; db = sqlite3.connect({!r}); db.execute('SELECT * FROM sessions'); db.close()"
store = os.environ["REWIND_STORE"]
subprocess.run([sys.executable, "-c", code.format(store)], stderr=subprocess.DEVNULL)
assert not os.path.exists(store + "-wal")
"""
FREED = """
for file in files:
    file.close()
show("six")
"""
FORKED = """
sys.stdout.flush()
child = os.fork()
if not child:
    show("six")
    sys.exit()
print("child", os.waitpid(child, 0)[1])
sys.kept = files  # among the last to be freed, and written out then
for file in files:
    file.write(b"at last")
"""


@pytest.fixture
def files(tmp_path):
    """A directory for the program's files."""
    directory = tmp_path / "files"
    directory.mkdir()
    return directory


@pytest.fixture
def both(program, files):
    """Runs a program alone, then recorded as "run": gives the second, which has done just the same."""

    def written():
        return {file.name: file.read_bytes() for file in files.iterdir()}

    def run(library, **differing):
        source = CLOSES.format(**{**ALL, **differing})
        plain = program(source, plain=True, library=library, arguments=[files])
        assert plain.code == 0, plain.err
        expected = written()
        recorded = program(source, "--name", "run", library=library, arguments=[files], timeout=20)
        assert (recorded.code, recorded.out) == (0, plain.out), recorded.err
        assert written() == expected
        return recorded

    return run


def kept(path):
    """What has been asked, by the number of the step, in a store that is whole."""
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with closing(open_store(str(path))) as store:
        session = store.resolve("run").id
        return {
            step.step: store.recording(session, step.step).request.body.decode()
            for step in store.steps(session)
        }


@pytest.mark.parametrize("library", ["httpx2", "requests"])
def test_recording_goes_on(both, store_path, library):
    assert both(library).said == []
    assert kept(store_path) == {1: "one", 2: "stream two", 3: "three", 4: "stream four", 5: "five"}


def test_recording_goes_on_when_another_process_took_the_log_away(both, store_path):
    """The locks went with the descriptors: it takes itself for the last that has the file open."""
    assert both("httpx2", then=OTHER).said == []
    assert list(kept(store_path)) == [1, 2, 3, 4, 5]


def test_the_numbers_are_in_use(both, store_path):
    """SQLite's are not out of the way where there are few: nothing is recorded, until they are free."""
    recorded = both("httpx2", before=FEW_NUMBERS, below="256", after=FREED)
    [line] = recorded.said
    assert "has closed its descriptors" in line
    assert kept(store_path) == {1: "one", 2: "stream two", 3: "six"}


def test_the_numbers_stay_in_use(both, store_path):
    recorded = both("requests", before=FEW_NUMBERS, below="256", after=FORKED)
    assert recorded.out.endswith("child 0\n")
    assert kept(store_path) == {1: "one", 2: "stream two"}


EXPORTS = """
import socket

def exported(count):
    until = time.monotonic() + 20
    while len(os.listdir(sys.argv[3])) < count and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.2)  # the answer is read
show("one")
exported(1)
client.close()
client = httpx2.Client(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False, timeout=30)
os.closerange(3, 1000)
pairs = [socket.socketpair() for _ in range({pairs})]
files = [open(os.devnull, "wb") for _ in range(40)]
kinds = [os.fstat(file.fileno()).st_rdev for file in files]
show("two")
exported(2)
assert [os.fstat(file.fileno()).st_rdev for file in files] == kinds
for end in sum(pairs, ()):
    end.setblocking(False)
    try:
        print(end.recv(100))
    except BlockingIOError:
        pass
"""


@pytest.mark.parametrize("pairs", [0, 20])
def test_telemetry_keeps_to_its_own_sockets(program, server, files, pairs):
    def take(seen):
        (files / str(len(list(files.iterdir())))).touch()
        return answer({})

    server.on("/v1/traces", take)
    source = EXPORTS.format(pairs=pairs)
    done = program(source, library="httpx2", arguments=[files], OTEL_EXPORTER_OTLP_ENDPOINT=server.url)
    assert (done.code, done.said) == (0, []), done.err
    assert [line.split()[0] for line in done.out.splitlines()] == ["one", "two"]
    assert [seen.path for seen in server.seen].count("/v1/traces") == 2
