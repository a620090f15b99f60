"""Processes that die, fork or meet a full disk or a read-only one while a store is written."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import making
import pytest
from backends import ENVIRON, Sqlite, run

from rewind_auto.core.errors import StoreError
from rewind_auto.store import open_store

ROOT = os.geteuid() == 0


@pytest.fixture
def backend(place):
    made = Sqlite(place / "store")
    yield made
    made.close()


# --- killed

# Forks a writer for each line, so that no round waits for imports; the writer says what it has written.
WRITERS = """
import os, sys, making, threading
from rewind_auto.store import open_store
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        store = open_store(sys.argv[1])
        uid = line.strip()
        making.patiently(lambda: making.session(store, id=uid))
        os.write(1, b"%d\\n" % os.getpid())
        def work(thread):
            for turn in range(100000):
                text = f"{thread}.{turn} " + "word " * 500
                asked = b'{"messages":["%b","%b"]}' % (b"x" * 900, text.encode())
                kept = making.recording(text.encode(), asked=asked)
                made = making.step(uid, text)
                made.step = making.patiently(lambda: store.reserve(uid))
                making.patiently(store.prepare(made, kept))
                os.write(1, b"%d %d.%d\\n" % (made.step, thread, turn))
        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(2)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    os.waitpid(pid, 0)
    os.write(1, b"dead\\n")
"""


def test_killed_in_the_middle_of_a_write(backend):
    moments, seen = random.Random(5), 0
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", WRITERS, backend.location], env=ENVIRON, **pipes) as writers:
        for number in range(15):
            uid = f"{number:032x}"
            writers.stdin.write(f"{uid}\n")
            writers.stdin.flush()
            pid = int(writers.stdout.readline())
            time.sleep(moments.uniform(0, 0.04))
            os.kill(pid, 9)
            told = list(iter(writers.stdout.readline, "dead\n"))
            seen += len(told)
            backend.check()
            store = backend.open()
            kept = {step.step: store.recording(uid, step.step) for step in store.steps(uid)}
            for line in told:
                step, _, text = line.strip().partition(" ")
                words = f"{text} {'word ' * 500}".encode()
                assert kept[int(step)].body == words
                assert kept[int(step)].request.body.endswith(b'"%b"]}' % words)
            assert store.reserve(uid) >= len(kept) + 1
            backend.close()
        writers.stdin.close()
    assert seen > 30


# --- forked

FORKING = """
import json, os, sys, threading, time, making, racing
from rewind_auto.store import open_store
store, uid = open_store(sys.argv[1]), "f" * 32
making.session(store, id=uid)
seen, children = [], []
parent = threading.Thread(target=lambda: seen.extend(racing.saving(store, uid, "60", "parent")))
parent.start()
for number in range(5):
    time.sleep(0.03)
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        with os.fdopen(writer, "w") as out:
            json.dump(racing.saving(store, uid, "5", f"child {number}"), out)
        os._exit(0)
    os.close(writer)
    children.append((pid, reader))
parent.join()
for pid, reader in children:
    with os.fdopen(reader) as said:
        seen += json.load(said)
    assert os.waitpid(pid, 0)[1] == 0
json.dump(seen, sys.stdout)
"""


def test_forked_while_threads_write(backend):
    seen = json.loads(run(FORKING, backend.location))
    assert len(seen) == 4 * (60 + 5 * 5)
    store = backend.open()
    assert {
        step.step: store.recording("f" * 32, step.step).body.decode() for step in store.steps("f" * 32)
    } == dict(seen)
    assert sorted(number for number, _ in seen) == list(range(1, len(seen) + 1))
    backend.check()


FORKED_BESIDE_A_CHECKPOINT = """
import os, sqlite3, sys, time, making
from rewind_auto.store import connection, open_store

class Slow(sqlite3.Connection):
    def close(self):
        time.sleep(0.3)
        super().close()

class Module:
    def __getattr__(self, name):
        return getattr(sqlite3, name)
    def connect(self, path, **options):  # the checkpoint's is the one without special options
        made = sqlite3.Connection if "cached_statements" in options else Slow
        return sqlite3.connect(path, factory=made, **options)

connection.sqlite3, connection._CHECKPOINT_EVERY = Module(), 1
store, uid = open_store(sys.argv[1]), "f" * 32
making.session(store, id=uid)
time.sleep(0.1)  # a checkpoint is going on
connection._CHECKPOINT_EVERY = 10**6
there, here = os.pipe(), os.pipe()
pid = os.fork()
if not pid:
    making.save(store, uid, "first")
    os.write(there[1], b"x")
    os.read(here[0], 1)
    making.save(store, uid, "second")
    os._exit(0)
os.read(there[0], 1)
time.sleep(0.5)
store.close()  # the last one to close a file folds its log: there is another, if the child is known of
os.write(here[1], b"x")
os.waitpid(pid, 0)
print(len(store.steps(uid)))
"""


def test_forked_beside_a_checkpoint(backend):
    """SQLite's own notes on locks go with the fork, the locks do not: no connection may be open then."""
    assert run(FORKED_BESIDE_A_CHECKPOINT, backend.location) == "2\n"


COUNT = """
import sys
from rewind_auto.store import open_store
print(len(open_store(sys.argv[1]).steps(sys.argv[2])))
"""


def test_many_stores_in_one_process(backend):
    """One that is opened, or looked at, takes no other's locks away: the log is still in use."""
    look = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT * FROM steps').fetchall()"
    first = backend.open()
    uid = making.session(first)
    for number in range(1, 4):
        with closing(open_store(backend.location)) as second:
            second.sessions()
        run(look, backend.path)  # would fold and remove the log if nobody else held it
        making.save(first, uid)
        assert run(COUNT, backend.location, uid) == f"{number}\n"


# --- no room, no right


@pytest.fixture
def small_disk(tmp_path):
    """A directory with room for some 400 KB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mounted = ROOT and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "none", directory], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("no small disk can be mounted here")
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


def test_a_full_disk(small_disk):
    backend = Sqlite(small_disk)
    store = backend.open()
    uid = making.session(store)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(100_000))
    source, whole, full = random.Random(3), {}, []
    for _ in range(30):
        noise = source.randbytes(20_000)
        try:
            whole[making.save(store, uid, "q", making.recording(noise)).step] = noise
        except StoreError as error:
            full.append(str(error))
    assert 2 < len(whole) < 20
    assert set(full) == {f"{backend.path}: database or disk is full"}
    reader = backend.open()
    assert {step.step: reader.recording(uid, step.step).body for step in reader.steps(uid)} == whole
    filler.unlink()
    making.save(store, uid, "q", making.recording(noise))
    assert reader.recording(uid, reader.steps(uid)[-1].step).body == noise
    backend.close()
    backend.check()


def test_a_disk_without_any_room(small_disk):
    (small_disk / "filler").write_bytes(bytes(395 * 1024))
    with closing(open_store(f"{small_disk}/a.db")) as store:
        for _ in range(3):
            with pytest.raises(StoreError, match=r"^[^\n]*a\.db[^\n]*$"):
                making.session(store)
        (small_disk / "filler").unlink()
        assert making.save(store, making.session(store)).step == 1


def test_a_write_that_cannot_be_undone(backend):
    """The store is let go of, not held on to: no thread may wait for ever."""
    store = backend.open()
    uid = making.session(store)

    class Failing:
        in_transaction = False

        def __init__(self, db):
            self.close = db.close

        def execute(self, *_):
            if self.in_transaction:
                raise sqlite3.OperationalError("disk I/O error")
            self.in_transaction = True

    store._connection._db = Failing(store._connection._db)
    with pytest.raises(StoreError, match="I/O"):
        store.finish(uid, "completed")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(making.save, store, uid).result(5).step == 1


@pytest.mark.parametrize("statements", [["BEGIN IMMEDIATE"], ["BEGIN IMMEDIATE", "ROLLBACK"]])
def test_a_write_that_begins_and_has_no_memory_left(backend, statements):
    """The file is not locked from then on, neither for other processes nor for this one."""
    store, other = backend.open(), backend.open()
    uid = making.session(store)
    left = list(statements)

    class Short:
        def __init__(self, db):
            self._db = db

        def __getattr__(self, name):
            return getattr(self._db, name)

        def execute(self, statement, *arguments):
            fails = left[:1] == [statement]
            if statement == "ROLLBACK" and fails:
                left.clear()
                raise MemoryError
            cursor = self._db.execute(statement, *arguments)
            if fails:
                del left[0], cursor
                raise MemoryError
            return cursor

    store._connection._db = Short(store._connection._db)
    with pytest.raises(MemoryError):
        store.finish(uid, "completed")
    assert left == []
    assert making.save(other, uid).step == 1
    assert making.save(store, uid).step == 2


def test_a_write_that_was_left_open(backend):
    """There was no memory for so much as the call that ends it; the next one does."""
    store = backend.open()
    uid = making.session(store)
    store._connection._db.execute("BEGIN IMMEDIATE")
    assert making.save(store, uid).step == 1


# Root may do everything, so somebody else has to try; all is imported by then.
AS_SOMEBODY = """
import json, os, sys, making
from rewind_auto.core.errors import RewindError
from rewind_auto.store import open_store, sqlite
if not os.geteuid():
    os.setegid(65534)
    os.seteuid(65534)
store, said = open_store(sys.argv[1]), {}
for name, use in {
    "steps": lambda: [step.step for step in store.steps("a" * 32)],
    "session": lambda: making.session(store, id="b" * 32),
    "reserve": lambda: store.reserve("a" * 32),
    "save": store.prepare(making.step("a" * 32), making.recording()),
}.items():
    try:
        said[name] = use()
    except RewindError as error:
        said[name] = str(error)
json.dump(said, sys.stdout)
"""


@pytest.fixture
def forbidden():
    """A store with one step, in a directory that everybody can get to."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        path = Path(directory) / "store" / "a.db"
        with closing(open_store(str(path))) as store:
            making.save(store, making.session(store, id="a" * 32))
        path.chmod(0o444)
        yield path
        path.parent.chmod(0o700)


def test_a_store_that_may_not_be_written(forbidden):
    """It can be looked at."""
    forbidden.parent.chmod(0o777)
    before = forbidden.read_bytes()
    said = json.loads(run(AS_SOMEBODY, forbidden))
    assert said.pop("steps") == [1]
    assert set(said) == {"session", "reserve", "save"}
    for line in said.values():
        assert line == f"{forbidden}: attempt to write a readonly database"
    assert forbidden.read_bytes() == before


@pytest.mark.parametrize("mode", [0o555, 0o000, 0o111])
def test_a_directory_that_may_not_be_written(forbidden, mode):
    forbidden.parent.chmod(mode)
    said = json.loads(run(AS_SOMEBODY, forbidden))
    for name in ("session", "reserve", "save"):
        assert str(forbidden) in said[name]
        assert "\n" not in said[name]
    assert len(set(said.values())) <= 2
    assert list(forbidden.parent.iterdir()) == [forbidden]


@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_a_directory_where_none_can_be_made(forbidden, mode):
    forbidden.parent.chmod(mode)
    missing = forbidden.parent / "new" / "b.db"
    for line in json.loads(run(AS_SOMEBODY, missing)).values():
        assert "Permission denied" in line
        assert str(missing) in line
    assert list(forbidden.parent.iterdir()) == [forbidden]
