"""When a library is hooked, and that its import is otherwise what it was."""

from __future__ import annotations

import re
import zipfile

import pytest

from rewind_auto.boot import hooks, tripwire

# Counts instead of hooking: what is under test is when.
COUNTED = """
import importlib, importlib.util, os, sys, threading, types
from rewind_auto.boot import hooks, tripwire
fired = []
last = {"requests": "Session", "aiohttp": "ClientSession"}
whole = lambda module: hasattr(module, last.get(module.__name__, "Client"))
hooks.patched = lambda module: fired.append((module.__name__, whole(module)))
"""


def test_every_watched_library_has_an_adapter() -> None:
    assert set(tripwire.WATCHED) == set(hooks.ADAPTERS)


@pytest.mark.parametrize("library", tripwire.WATCHED)
def test_fires_when_the_module_is_whole(run, library: str) -> None:
    done = run("-c", f"{COUNTED}\nimport {library}, {library}; print(fired)")
    assert done.stdout == f"[('{library}', True)]\n", done.stderr


def test_hooks_both_families_with_the_adapter(run) -> None:
    code = """
import sys, httpx, httpx2
from rewind_auto.adapters import httpx as adapter
print(adapter.is_installed(httpx), adapter.is_installed(httpx2))
"""
    assert run("-c", code).stdout.split() == ["True", "True"]


def test_looking_for_a_library_is_no_import_of_it(run) -> None:
    looked = "importlib.util.find_spec('httpx'); importlib.util.find_spec('no_such')"
    code = f"{looked}; print(fired, len(sys.modules))"
    before = run("-c", f"{COUNTED}\nprint(fired, len(sys.modules))").stdout
    assert run("-c", f"{COUNTED}\n{code}").stdout == before


def test_a_missing_library_is_missing_as_before(run) -> None:
    code = """
sys.path[:] = []
try:
    import httpx
except ModuleNotFoundError as error:
    print(error, fired)
"""
    assert run("-c", COUNTED + code).stdout == "No module named 'httpx' []\n"


def test_the_import_leaves_what_a_plain_one_leaves(run) -> None:
    code = """
import httpx, importlib.resources, inspect, pkgutil
print(type(httpx.__loader__).__name__, httpx.__spec__.loader is httpx.__loader__, httpx.__spec__)
print(len(inspect.getsource(httpx)), pkgutil.get_data("httpx", "py.typed"))
print(importlib.resources.files("httpx"))
print(httpx.__spec__.cached == httpx.__cached__, vars(httpx).keys())
"""
    plain, ours = run("-c", code, PYTHONPATH=None), run("-c", code)
    assert plain.returncode == 0, plain.stderr
    assert _without_ids(ours.stdout) == _without_ids(plain.stdout)


def _without_ids(text: str) -> str:
    return re.sub(r"0x[0-9a-f]+", "0x", text)


def test_fires_again_on_re_import_and_reload(run) -> None:
    code = """
import httpx
for name in [n for n in sys.modules if n.partition(".")[0] == "httpx"]:
    del sys.modules[name]
import httpx
importlib.reload(httpx)
print(len(fired), sys.modules["httpx"] is httpx)
"""
    assert run("-c", COUNTED + code).stdout.split() == ["3", "True"]


def test_fires_when_a_lazy_module_loads(run) -> None:
    code = """
spec = importlib.util.find_spec("httpx")
spec.loader = importlib.util.LazyLoader(spec.loader)
module = importlib.util.module_from_spec(spec)
sys.modules["httpx"] = module
spec.loader.exec_module(module)
print(fired)
module.Client
print(fired)
"""
    assert run("-c", COUNTED + code).stdout == "[]\n[('httpx', True)]\n"


def test_fires_for_a_library_in_a_zip_file(run, tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "libs.zip", "w") as archive:
        archive.writestr("httpx/__init__.py", "Client = 1")
    code = "sys.path.insert(0, 'libs.zip'); import httpx; print(fired, httpx.__loader__)"
    assert run("-c", COUNTED + code).stdout.startswith("[('httpx', True)] <zipimporter object")


def test_waits_for_the_import_that_works(run, tmp_path) -> None:
    (tmp_path / "httpx.py").write_text(
        "import os\nif 'GO' not in os.environ: raise RuntimeError('not yet')\nClient = 1"
    )
    code = """
try:
    import httpx
except RuntimeError as error:
    print(error, fired, "httpx" in sys.modules)
os.environ["GO"] = "1"
import httpx
print(fired)
"""
    assert run("-c", COUNTED + code).stdout == "not yet [] False\n[('httpx', True)]\n"


def test_threads_that_import_it_together_see_it_hooked(run) -> None:
    code = """
seen = []
def use():
    import httpx
    seen.append(len(fired))
threads = [threading.Thread(target=use) for _ in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
print(fired, set(seen))
"""
    assert run("-c", COUNTED + code).stdout == "[('httpx', True)] {1}\n"


def test_no_deadlock_with_a_thread_half_way_through_an_import(run, tmp_path) -> None:
    """importlib holds its global lock during find_spec, and what the hook imports may be in the works."""
    (tmp_path / "slow.py").write_text("import time; time.sleep(0.5)\nimport colorsys")
    (tmp_path / "httpx.py").write_text("")
    code = """
def patched(module):
    import slow
    fired.append("hooked")
hooks.patched = patched
threads = [threading.Thread(target=__import__, args=(name,), daemon=True) for name in ("slow", "httpx")]
threads[0].start(); threading.Event().wait(0.2); threads[1].start()
[t.join(10) for t in threads]
print(fired, [t.is_alive() for t in threads], flush=True)
os._exit(0)
"""
    assert run("-c", COUNTED + code).stdout == "['hooked'] [False, False]\n"


def test_hooks_what_is_loaded_already(run) -> None:
    code = """
tripwire.disarm()
import httpx
sys.modules["httpx2"] = None
print(fired, tripwire.is_armed())
tripwire.arm()
print(fired, tripwire.is_armed())
"""
    assert run("-c", COUNTED + code).stdout == "[] False\n[('httpx', True)] True\n"


def test_arming_waits_for_another_threads_import(run, tmp_path) -> None:
    (tmp_path / "httpx.py").write_text("import time; time.sleep(0.5)\nClient = 1")
    code = """
tripwire.disarm()
thread = threading.Thread(target=__import__, args=("httpx",))
thread.start(); threading.Event().wait(0.2)
tripwire.arm()
print(fired)
"""
    assert run("-c", COUNTED + code).stdout == "[('httpx', True)]\n"


def test_something_else_in_the_librarys_place_is_left_alone(run) -> None:
    code = """
import sys, types
from unittest.mock import MagicMock
from rewind_auto.boot import tripwire
for stub in (object(), MagicMock(), types.ModuleType("mine")):
    sys.modules["httpx"] = stub
    tripwire.arm()
print("on")
"""
    done = run("-c", code)
    assert (done.stdout, done.stderr) == ("on\n", "")


def test_alias_httpx_is_hooked_as_what_it_is(run) -> None:
    code = """
import httpx2; httpx2.alias_httpx()
import httpx
print(httpx is httpx2, {name for name, _ in fired})
for name in [n for n in sys.modules if n.partition(".")[0] in ("httpx", "httpx2")]:
    del sys.modules[name]
import httpx
print(httpx.__name__, httpx.__spec__.name, len(fired))
"""
    plain = run("-c", COUNTED + "tripwire.disarm()" + code).stdout
    assert plain == "True set()\nhttpx2 httpx2 0\n"
    first, second = run("-c", COUNTED + code).stdout.splitlines()
    assert first == "True {'httpx2'}"
    assert second.startswith("httpx2 httpx2 ")
    assert int(second.split()[-1]) >= 2


def test_wrapt_hooks_of_the_program_fire_too(run) -> None:
    code = """
import wrapt
wrapt.register_post_import_hook(lambda module: fired.append("theirs"), "httpx")
import httpx
print(sorted(map(str, fired)))
"""
    assert run("-c", COUNTED + code).stdout == "[\"('httpx', True)\", 'theirs']\n"


class TestHookFails:
    BROKEN = """
import sys
from rewind_auto.boot import hooks
def patched(module):
    raise AttributeError("no such thing")
hooks.patched = patched
"""
    GONE = "import sys; sys.modules['rewind_auto.boot.hooks'] = None\n"

    @pytest.mark.parametrize("broken", [BROKEN, GONE])
    def test_the_import_works(self, run, broken: str) -> None:
        done = run("-c", f"{broken}import httpx; print(httpx.Client.__name__)")
        assert done.stdout == "Client\n"
        (line,) = done.stderr.splitlines()
        assert line.startswith("rewind-auto: cannot hook httpx: ")

    @pytest.mark.parametrize("broken", [BROKEN, GONE])
    def test_strict_replay_stops_the_import(self, run, broken: str) -> None:
        code = f"{broken}try:\n    import httpx\nexcept Exception:\n    pass\nprint('on')"
        done = run("-c", code, REWIND_MODE="replay", REWIND_FROM="last")
        assert (done.returncode, done.stdout) == (1, "")
        assert "RewindReplayDivergenceError: cannot hook httpx" in done.stderr

    def test_our_own_tests_see_it(self, run) -> None:
        done = run("-c", f"{self.BROKEN}import httpx", REWIND_TESTING="1")
        assert done.stderr.endswith("AttributeError: no such thing\n")

    def test_malformed_settings_stop_only_a_replay(self, run) -> None:
        code = "import httpx; print('on')"
        done = run("-c", code, REWIND_SPEED="fast")
        assert done.stdout == "on\n"
        assert done.stderr == "rewind-auto: REWIND_SPEED='fast': not a number; nothing is recorded\n"
        done = run("-c", code, REWIND_SPEED="fast", REWIND_MODE="replay", REWIND_FROM="last")
        assert done.stdout == ""
        assert "REWIND_SPEED='fast'" in done.stderr


class TestUnderOpenTelemetry:
    """The entry point by which opentelemetry-instrument lets us in."""

    CODE = "from rewind_auto.boot import otel, tripwire; otel.pre_instrument(); print(tripwire.is_armed())"

    @pytest.mark.parametrize(
        ("mode", "armed"), [("record", "True"), ("replay", "True"), ("off", "False"), (None, "False")]
    )
    def test_arms_only_if_asked(self, run, mode: str | None, armed: str) -> None:
        root = str(hooks.__file__).partition("/rewind_auto/")[0]
        done = run("-c", self.CODE, PYTHONPATH=root, REWIND_MODE=mode, REWIND_FROM="last")
        assert done.stdout.split() == [armed], done.stderr
