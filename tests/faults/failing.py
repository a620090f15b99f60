"""Makes places of the agent fail: a loader that puts a point of failure into each of its functions.

Import this before anything of the agent. A function fails where the agent itself calls it, which is where the
agent has to be ready for that; at the entry of what a library calls there is nothing yet that could fail.
"""

from __future__ import annotations

import ast
import builtins
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType
from typing import Any

_PACKAGE = "rewind_auto"
_HOOK = "_rewind_point_of_failure"
# What tells of a failure cannot be asked to fail as well, nor what raises what a program is meant to see.
_SPARED = ("rewind_auto.core.guard", "rewind_auto.core.errors")


class Points:
    """The points that a program passes.

    Attributes:
        passed: how often each was, by name.
        failing: the one that fails, every time; none if "".
        error: what it raises.
        alarm: a signal that it gets instead, once: its handler raises what it likes.
        failed: how often it did.
    """

    def __init__(self) -> None:
        self.passed: Counter[str] = Counter()
        self.failing = ""
        self.error: type[BaseException] = RuntimeError
        self.alarm: signal.Signals | None = None
        self.failed = 0
        self._armed = False

    @contextmanager
    def armed(self) -> Iterator[None]:
        """While the agent is at work, and is not being installed or taken out."""
        self._armed = True
        try:
            yield
        finally:
            self._armed = False

    def __call__(self, name: str) -> None:
        if not self._armed:
            return
        caller: Any = sys._getframe(2)
        if not str(caller.f_globals.get("__name__")).startswith(_PACKAGE):
            return
        self.passed[name] += 1
        if name == self.failing:
            self.failed += 1
            if self.alarm is not None:
                if self.failed == 1:
                    signal.raise_signal(self.alarm)
                return
            raise self.error(f"injected at {name}")


class _Instrumented(ast.NodeTransformer):
    def __init__(self, module: str) -> None:
        self._path = [module]

    def _visit(self, node: Any) -> Any:
        self._path.append(node.name)
        self.generic_visit(node)
        if not isinstance(node, ast.ClassDef):
            at = 1 if ast.get_docstring(node, clean=False) is not None else 0
            body = node.body
            if _is_guard(body[at:]):
                body, at = body[at].body, 0
            point = ast.parse(f"{_HOOK}({'.'.join(self._path)!r})").body[0]
            body.insert(at, ast.copy_location(point, body[0]))
        self._path.pop()
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _visit  # noqa: N815


def _is_guard(body: list[ast.stmt]) -> bool:
    """Whether all that a function does is guarded: what fails there is for the guard to see."""
    first = body[0] if body else None
    if isinstance(first, ast.Try):
        caught = [handler.type.id for handler in first.handlers if isinstance(handler.type, ast.Name)]
        return "Exception" in caught and all(isinstance(rest, ast.Return) for rest in body[1:])
    whole = isinstance(first, ast.With) and "guard.swallow" in ast.unparse(first.items[0])
    return whole and all(isinstance(rest, ast.Return) for rest in body[1:])


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path))
        _Instrumented(fullname).visit(tree)
        code: CodeType = compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)
        return code


class _Finder(MetaPathFinder):
    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] != _PACKAGE or fullname in _SPARED:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path)
        return spec


points = Points()
setattr(builtins, _HOOK, points)
sys.meta_path.insert(0, _Finder())
