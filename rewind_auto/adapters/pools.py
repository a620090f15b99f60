"""Pools of ``multiprocessing``, of processes and of threads: a divergence reaches who waits for the result.

A worker there hands on an ``Exception`` only. Whatever else a task raises ends the worker, its result never
comes, and who waits for it, as ``Pool.map`` does, waits for ever. `RewindReplayDivergenceError` is no
``Exception``, for the sake of the SDKs between the call and the worker. So ours ends as well, but gives the
error as the task's result first; the pool puts another worker in its place, as after ``maxtasksperchild``.

Those of ``multiprocess``, a fork of it with dill, are the same.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from rewind_auto.adapters import patching
from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.core.seam import Driver


def install(module: ModuleType, driver: Driver) -> bool:
    """Wrap the workers of pools made from now on. Twice is once.

    Returns:
        Whether the module has what is to be wrapped.
    """
    return patching.wrap(module, "worker", driver, _worker)


def _worker(patch: patching.Patch) -> Any:
    # To `spawn` and `forkserver` it is handed over by its name, the original's: a child without the agent has
    # that one.
    def worker(inqueue: Any, outqueue: Any, *args: Any, **options: Any) -> None:
        tasks = _Tasks(inqueue)
        try:
            patch.original(tasks, outqueue, *args, **options)
        except RewindReplayDivergenceError as error:
            if tasks.latest is None:  # raised by the initializer
                raise
            outqueue.put((*tasks.latest, (False, error)))

    return worker


class _Tasks:
    """The queue of tasks, and which was last taken from it: not its arguments, which a worker lets go of."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue
        self.latest: tuple[Any, ...] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    def get(self) -> Any:
        task = self._queue.get()
        self.latest = task[:2] if task is not None else None
        return task
