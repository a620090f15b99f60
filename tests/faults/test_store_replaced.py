"""A store that is deleted, moved away or replaced while a program records into it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from rewind_auto.store import open_store

CALLS = """
store = sys.argv[3]
show("one", "stream two")
{}
show("three", "stream four", "five")
"""
BETWEEN = {
    "deleted": "os.unlink(store)",
    "deleted with its log": "[os.unlink(store + end) for end in ('', '-wal', '-shm')]",
    "deleted with its directory": "import shutil; shutil.rmtree(os.path.dirname(store))",
    "moved away": "os.rename(store, store + '.kept')",
    "replaced": "import shutil; shutil.copy(sys.argv[4], store + '.new'); os.replace(store + '.new', store)",
}


def kept(path):
    """What is in a store: for each session the numbers and the bodies of its steps."""
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with closing(open_store(str(path))) as store:
        return {
            session.name: [
                (step.step, store.recording(session.id, step.step).request.body.decode())
                for step in store.steps(session.id)
            ]
            for session in store.sessions()
        }


@pytest.fixture
def other(program, tmp_path):
    """Another store, with a session of its own that has the key of ours."""
    path = tmp_path / "other.db"
    assert program('show("other")', "--name", "other", store=path).code == 0
    return path


@pytest.mark.parametrize("how", BETWEEN)
def test_what_follows_is_recorded_where_it_can_be_found(program, server, store_path, other, how):
    source, arguments = CALLS.format(BETWEEN[how]), (store_path, other)
    recorded = program(source, "--name", "run", arguments=arguments)
    assert len(server.seen) == 5
    assert recorded.code == 0, recorded.err
    [line] = recorded.said
    assert f"{store_path} was deleted or replaced" in line
    # The third call was numbered, and then written, when the file had gone.
    late = [(3, "three"), (4, "stream four"), (5, "five")]
    expected = {"run": late, "other": [(1, "other")]} if how == "replaced" else {"run": late}
    assert kept(store_path) == expected
    if how == "moved away":
        moved = store_path.with_name("rewind.db.kept")
        assert kept(moved) == {"run": [(1, "one"), (2, "stream two")]}


@pytest.mark.slow
@pytest.mark.parametrize("library", ["httpx2 async", "requests", "aiohttp"])
def test_in_every_library(program, store_path, library):
    source = CALLS.format(BETWEEN["deleted"])
    recorded = program(source, "--name", "run", library=library, arguments=(store_path, ""))
    assert len(recorded.said) == 1
    assert [number for number, _ in kept(store_path)["run"]] == [3, 4, 5]


FOREIGN = {
    "a file of something else": "open(store, 'wb').write(b'mine, and not a database ' * 100)",
    "a database of another program": "import sqlite3; db = sqlite3.connect(store);"
    " db.execute('CREATE TABLE mine (x)'); db.commit(); db.close()",
    "a directory": "os.mkdir(store)",
}


@pytest.mark.slow
@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_no_store_is_left_as_it_is(program, server, store_path, what):
    gone = "[os.unlink(store + end) for end in ('', '-wal', '-shm')]"
    recorded = program(CALLS.format(f"{gone}\n{FOREIGN[what]}"), arguments=(store_path, ""))
    assert recorded.code == 0, recorded.err
    assert len(server.seen) == 5
    assert recorded.out.count(" 200 ") == 5
    assert len(recorded.said) == 2  # that it is another, and that it is no store
    if what == "a database of another program":
        with closing(sqlite3.connect(store_path)) as db:
            assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]
    elif what == "a file of something else":
        assert store_path.read_bytes() == b"mine, and not a database " * 100


def test_threads_and_processes_say_it_once(program, store_path):
    """Eight threads and two forked children, each of which meets it."""
    recorded = program(
        """
        import concurrent.futures
        show("one")
        os.unlink(sys.argv[3])
        def work(name):
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                assert len(list(pool.map(ask, [f"{name}.{n}" for n in range(40)]))) == 40
        children = []
        for name in "ab":
            pid = os.fork()
            if not pid:
                client = httpx2.Client(verify=False, trust_env=False)
                work(name)
                os._exit(0)
            children.append(pid)
        work("c")
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0]
        """,
        "--name",
        "run",
        arguments=(store_path,),
    )
    assert recorded.code == 0, recorded.err
    assert [line for line in recorded.said if "locked" not in line] == recorded.said[:1]
    found = kept(store_path)["run"]
    assert sorted(body for _, body in found) == sorted(f"{name}.{n}" for name in "abc" for n in range(40))


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_replay_sends_nothing(program, server, store_path, other, how):
    """It may go on in the file that it has open, or refuse: what it says is what it has done."""
    source = CALLS.format("pass")
    recorded = program(source, "--name", "run", arguments=(store_path, other))
    replayed = program(CALLS.format(BETWEEN[how]), "--replay", "run", arguments=(store_path, other))
    assert server.seen == []
    assert replayed.code in (2, 86), replayed
    assert recorded.out.startswith(replayed.out)
    assert "Traceback" not in "".join(replayed.said)
