"""Asks a Python below ``rewind-run`` what the agent meets there: does it load, what it hooks, who else does.

`ask` starts the process, `tell` runs in it. Nothing is recorded: no library makes a call.
"""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from types import FunctionType, MethodType, ModuleType
from typing import Any

import rewind_auto
from rewind_auto.adapters import patching
from rewind_auto.boot import launch
from rewind_auto.boot.hooks import ADAPTERS
from rewind_auto.cli import startup_files
from rewind_auto.core.errors import RewindError

_TIMEOUT = 30  # seconds for an interpreter to start and import the libraries
_WRAPT = ("wrapt", "_wrappers")  # where its proxies are from: written in Python, and in C
_DEPTH = 50  # wrappers on top of one another that are looked through
_UNKNOWN = "generated code"  # as of mocks that keep to a signature
_MARK = "@rewind "  # other things may write to the child's stdout as well

# For whatever interpreter there is: one too old for the package says so in our sitecustomize. With -c the
# current directory is on the path, where a script of the user's may have a library's name.
_ARMED = """
import sys
sys.path[:] = [path for path in sys.path if path]
import json
def say(**found):
    sys.stdout.write("\\nMARK" + json.dumps(found) + "\\n")
    sys.stdout.flush()
tripwire = sys.modules.get("rewind_auto.boot.tripwire")
say(python="%d.%d.%d" % sys.version_info[:3], armed=bool(tripwire) and tripwire.is_armed())
""".replace("MARK", _MARK)
_ALL = """
try:
    from rewind_auto.cli import probe
except Exception as error:
    say(problem="cannot import rewind_auto: %s" % error)
else:
    probe.tell(say)
"""

# Where other tools are known to have their hands, beside our own places.
_CLASSES = {
    "httpx": ("Client", "AsyncClient", "HTTPTransport", "AsyncHTTPTransport"),
    "httpx2": ("Client", "AsyncClient", "HTTPTransport", "AsyncHTTPTransport"),
    "requests": ("Session", "adapters.HTTPAdapter"),
    "aiohttp": ("ClientSession", "ClientRequest", "TCPConnector", "BaseConnector"),
}


class ProbeError(RewindError):
    """The process could not be asked. One line."""


def ask(python: Sequence[str], environ: Mapping[str, str], *, libraries: bool = True) -> dict[str, Any]:
    """What the Python that these words start finds in this environment.

    Returns:
        ``python`` (its version), ``armed``, ``told`` (its last line on stderr) and ``libraries`` (what
        `verdict` reads, by name). If asked for these also ``package`` and ``startup``, or ``problem``: why
        there is no package.

    Raises:
        ProbeError: it does not answer.
    """
    try:
        done = subprocess.run(
            [*python, "-c", _ARMED + _ALL if libraries else _ARMED],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ProbeError(f"no answer within {_TIMEOUT} s") from None
    except OSError as error:
        raise ProbeError(f"{' '.join(python)}: {error}") from None
    told = done.stderr.strip().rpartition("\n")[2]
    found: dict[str, Any] = {"libraries": {}}
    for line in done.stdout.splitlines():
        if line.startswith(_MARK):
            said = json.loads(line.removeprefix(_MARK))
            library = said.pop("library", None)
            (found if library is None else found["libraries"].setdefault(library, {})).update(said)
    if "python" not in found:
        raise ProbeError(told or f"exit code {done.returncode}")
    for library in found["libraries"].values():
        if library.pop("importing", False):
            library["error"] = f"its import ends the process, exit code {done.returncode}: {told}"
    return {**found, "told": told}


def environment(environ: Mapping[str, str], variables: Mapping[str, str | None]) -> dict[str, str]:
    """``environ`` as ``rewind-run`` would hand it on, with no settings but these ``variables``."""
    clean = {name: value for name, value in environ.items() if not name.startswith("REWIND_")}
    return launch.environment(clean, variables)


def loads_with(python: str, switches: str, environ: Mapping[str, str]) -> bool:
    """Whether the agent gets into a Python with these switches: with -I and -E, if it is enabled there."""
    variables = environment(environ, {"REWIND_MODE": "record"})
    try:
        return ask([python, *flags(switches)], variables, libraries=False)["armed"] is True
    except ProbeError:
        return False


def flags(switches: str) -> list[str]:
    """Those of an interpreter's switches that decide what it loads."""
    kept = "".join(letter for letter in switches if letter in "IESsP")
    return [f"-{kept}"] if kept else []


def verdict(library: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether a library's calls are seen, and in words how, or why not."""
    if "error" in library:
        return False, str(library["error"])
    if "there" not in library:
        return False, "not looked at"
    if not library["there"]:
        return True, "not installed"
    release = library["version"]
    if not library["seam"]:
        return False, f"{release} lacks the seam: {library['without']}"
    if not library["hooked"]:
        return False, f"{release} is not hooked"
    others = f"; also patched: {', '.join(library['others'])}" if library["others"] else ""
    return True, f"{release}, hooked at {', '.join(library['hooked'])}{others}"


# --- in the process that is asked


def tell(say: Callable[..., None]) -> None:
    """Say what is here, by and by: an import may end the process."""
    home = os.path.abspath(rewind_auto.__file__)
    say(package=f"rewind_auto {rewind_auto.__version__} in {home}", startup=list(_startup()))
    for name in ADAPTERS:
        say(library=name, importing=True)
        say(library=name, importing=False, **_imported(name))
    # When all are there: other tools may have waited for another one of them.
    for name in ADAPTERS:
        if sys.modules.get(name) is not None:
            say(library=name, **_look_at(name, sys.modules[name]))


def _imported(name: str) -> dict[str, Any]:
    if sys.modules.get(name) is None and find_spec(name) is None:
        return {"there": False}
    try:
        import_module(name)
    except BaseException as error:  # noqa: BLE001 - the library's own code, which may do anything
        return {"error": f"{type(error).__name__}: {error}"}
    return {}


def _look_at(name: str, module: ModuleType) -> dict[str, Any]:
    adapter = import_module(ADAPTERS[name])
    places = {
        f"{cls.__name__}.{attribute}": below
        for cls, attribute, below in patching.at_work()
        if cls.__module__.partition(".")[0] == name
    }
    return {
        "there": True,
        "version": _version(module),
        "seam": adapter.has_seam(module),
        "without": adapter.WITHOUT_SEAM,
        "hooked": sorted(places),
        "others": list(_others(module, places)),
    }


def _version(module: ModuleType) -> str:
    try:
        return str(getattr(module, "__version__", None) or version(module.__name__))
    except PackageNotFoundError:
        return "of unknown version"


def _others(module: ModuleType, places: Mapping[str, Any]) -> Iterator[str]:
    """The methods that somebody has wrapped or replaced who is neither the library nor us."""
    for name in _CLASSES[module.__name__]:
        cls: Any = module
        for part in name.split("."):
            cls = getattr(cls, part, None)
        for attribute, value in vars(cls).items() if cls is not None else ():
            place = f"{cls.__name__}.{attribute}"
            around = _strangers(value, module.__name__)
            if around:
                yield f"{place} by {' and '.join(around)}" + (", around ours" if place in places else "")
            below = _strangers(places.get(place), module.__name__)
            if below:
                yield f"{place} by {' and '.join(below)}, below ours"


def _strangers(value: Any, library: str) -> list[str]:
    """The modules that a pile of wrappers is from, down to ours or to the library's own method."""
    found: dict[str, None] = {}
    for _ in range(_DEPTH):
        value = getattr(value, "fget", None) or getattr(value, "__func__", value)
        if not callable(value) or isinstance(value, type):
            break
        home = _home(value)
        root = home.partition(".")[0]
        if root in (library, "rewind_auto"):
            break
        # `contextlib` and the like are how libraries decorate; a mock is there because of somebody.
        if root == "unittest" or root not in sys.stdlib_module_names:
            found[home] = None
        value = getattr(value, "__wrapped__", None)
    return list(found)


def _home(value: Any) -> str:
    """The module that a method was written in. Not its ``__module__``: wrappers pass for what they wrap."""
    while True:
        cls = type(value)
        if cls.__module__.partition(".")[0] in _WRAPT:
            value = value._self_wrapper  # noqa: SLF001 - wrapt's documented name
        elif cls is partial:
            value = value.func
        elif cls is MethodType:
            value = value.__func__
        elif cls is FunctionType:
            return str(value.__globals__.get("__name__") or _UNKNOWN)
        else:
            return cls.__module__


def _startup() -> Iterator[str]:
    """The files whose code this interpreter ran before the program, other than ours."""
    for name in ("sitecustomize", "usercustomize"):
        path = getattr(sys.modules.get(name), "__file__", None)
        if path and os.path.dirname(path) != launch.inject_dir():
            yield path
    if sys.flags.no_site:
        return
    directories = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    for directory in dict.fromkeys(directories):
        names = sorted(os.listdir(directory)) if os.path.isdir(directory) else ()
        for name in names:
            path = os.path.join(directory, name)
            if name.startswith(startup_files.NAME):
                continue
            if name.endswith(".start") or (name.endswith(".pth") and _has_code(path)):
                yield path


def _has_code(path: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return any(line.startswith(("import ", "import\t")) for line in file)
    except OSError:
        return False
