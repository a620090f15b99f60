"""A queue that is bounded in number and in bytes, from which batches are taken that are so too."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Final, Generic, TypeVar

MOST_WAITING: Final = 64 << 20  # bytes
MOST_AT_ONCE: Final = 2 << 20  # bytes: as sent, below the 4 MiB that a receiver of gRPC takes by default

T = TypeVar("T")


class Waiting(Generic[T]):
    """Items that wait, oldest first. Safe to use from many threads and from a signal handler; one takes.

    Args:
        limit: most items in it.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[tuple[T, int]] = deque()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: T, weight: int) -> bool:
        """Append an item of so many bytes. False: there is no room for it."""
        if len(self._items) >= self._limit or self._weight + weight > MOST_WAITING:
            return False
        self._weight += weight  # before the item is there: an empty queue weighs nothing, see `take`
        self._items.append((item, weight))
        return True

    def take(self, most: int) -> list[T]:
        """The next items, one at least if there is any."""
        batch: list[T] = []
        taken = 0
        with suppress(IndexError):
            while len(batch) < most and (not batch or taken + self._items[0][1] <= MOST_AT_ONCE):
                item, weight = self._items.popleft()
                batch.append(item)
                taken += weight
        # No lock guards the sum. Should two threads ever get in each other's way, it is right again here.
        self._weight = self._weight - taken if self._items else 0
        return batch
