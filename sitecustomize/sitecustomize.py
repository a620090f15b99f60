"""The interpreter imports this file by its name at the start of every Python process below ``rewind-run``.

It must parse on Pythons too old for the package (3.6 and up), import nothing that is not loaded already,
and hand on to the ``sitecustomize`` that it shadows.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def run_shadowed() -> None:
    """Run the ``sitecustomize`` further down the path, as if this one were not there.

    Only what comes after this directory: an agent that is in front of it has already run, and is the one
    that called. Errors are left to `site`, which treats them as it would have without us.
    """
    whole = sys.path[:]
    paths = [os.path.abspath(entry) for entry in whole]
    # The path itself is cut short for the search: an agent's finder may go by that, whatever it is passed.
    sys.path[:] = whole[paths.index(HERE) + 1 :] if HERE in paths else []
    try:
        specs = [f.find_spec(__name__, None) for f in sys.meta_path if hasattr(f, "find_spec")]
    finally:
        sys.path[:] = whole
    for spec in specs:
        if (
            spec is not None and spec.loader is not None
        ):  # no loader: a directory that happens to have the name
            module = sys.modules["_frozen_importlib"].module_from_spec(spec)
            sys.modules[__name__] = module
            spec.loader.exec_module(module)
            return


def arm(mode: str) -> None:
    """Load the package and set its tripwire."""
    if sys.version_info < (3, 11):
        raise ImportError("rewind-auto needs Python 3.11 or newer")
    root = os.path.dirname(HERE)
    if os.path.basename(HERE) != "_inject":
        # A checkout: its own package, installed or not. Last on the path it hides nothing of the program's.
        sys.path.insert(0, root)
    try:
        from rewind_auto.boot import tripwire
    finally:
        if sys.path[0] == root:
            del sys.path[0]
            if root not in sys.path:
                sys.path.append(root)
    tripwire.arm(strict=mode == "replay", launched=True)


def give_up(error: BaseException, mode: str) -> None:
    """Say why there is no agent here, on stderr: once in a run.

    A strict replay cannot hold back what it is not loaded into, so there the process ends.
    """
    strict = mode == "replay"
    if strict or is_untold():
        python = "{} (Python {}.{})".format(sys.executable or sys.prefix, *sys.version_info[:2])
        end = "a strict replay stops here" if strict else "the program goes on unrecorded"
        reason = " ".join(str(error).split()) or type(error).__name__
        try:
            sys.stderr.write(f"rewind-auto: not active in {python}: {reason}; {end}\n")
            sys.stderr.flush()
        except (AttributeError, OSError, ValueError):  # no stderr, or a closed one
            pass
    if strict:
        os._exit(86)


def is_untold() -> bool:
    """Whether this process is the one to say it."""
    if os.environ.get("REWIND_ABSENCE_TOLD"):
        return False
    # For those below: without rewind-run there is no session that they have in common.
    os.environ["REWIND_ABSENCE_TOLD"] = "1"
    packaged = os.path.basename(HERE) == "_inject"
    core = os.path.join(os.path.dirname(HERE), *([] if packaged else ["rewind_auto"]), "core")
    try:
        namespace: dict[str, object] = {}
        with open(os.path.join(core, "told.py"), encoding="utf-8") as file:
            exec(file.read(), namespace)  # noqa: S102 - of our own; it cannot be imported here
        return bool(namespace["is_first"]("absent"))  # type: ignore[operator]
    except Exception:
        return True


try:
    run_shadowed()
finally:
    _mode = os.environ.get("REWIND_MODE", "").strip().lower()
    if _mode != "off":
        try:
            arm(_mode)
        except BaseException as _error:  # a SystemExit that gets out of here kills the interpreter
            give_up(_error, _mode)
