"""Request bodies of aiohttp that are made, or read from a file, as they are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from rewind_auto.adapters.bodies import Kept
from rewind_auto.core.seam import inside

_WRITE = "write_with_length"


class Upload:
    """A payload that is not in memory, kept as it is written."""

    def __init__(self, payload: Any, limit: int) -> None:
        self.kept = Kept(limit)
        self._write = getattr(payload, _WRITE)

    async def write(self, writer: Any, content_length: int | None) -> None:
        """Write it, as the payload does."""
        self.kept.restart()
        outside = inside.set(False)  # a generator that asks an LLM makes calls of its own
        try:
            await self._write(_Writer(writer, self.kept.add), content_length)
        finally:
            inside.reset(outside)


class Parts:
    """A payload that has been written to us, to be looked up."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._error: Exception | None = None

    @classmethod
    async def of(cls, payload: Any, content_length: int | None = None) -> Parts:
        """Read an upload as sending it would have: the payload's own way of writing itself."""
        parts = cls()
        try:
            await getattr(payload, _WRITE)(_Collector(parts._parts.append), content_length)
        except Exception as error:  # noqa: BLE001 - the program's own, for the library to handle
            parts._error = error
        return parts

    @property
    def whole(self) -> bytes:
        return b"".join(self._parts)

    async def write(self, writer: Any, _content_length: int | None) -> None:
        """Write it again."""
        for part in self._parts:
            await writer.write(part)

    async def send(self, writer: Any, content_length: int | None) -> None:
        """Write it again, with the error that its iterator raised."""
        await self.write(writer, content_length)
        if self._error is not None:
            raise self._error


async def in_memory(module: ModuleType, body: Any) -> bytes | None:
    """A request's body, or None if it is made, or read from a file, as it is sent."""
    if not body:
        return b""
    if isinstance(body, bytes | bytearray):
        return bytes(body)
    if isinstance(body, module.payload.BytesPayload):
        if hasattr(body, "as_bytes"):  # not in 3.12.0
            return bytes(await body.as_bytes())  # a memoryview stays one there
        return (await Parts.of(body)).whole
    if isinstance(body, tuple):  # what 3.12.0 makes of bytes that it has sent before
        return b"".join(body)
    return None


@contextmanager
def replaced(payload: Any, write: Any) -> Iterator[None]:
    """Have a payload write itself in another way, if one is given, while its request is being sent."""
    if write is None:
        yield
        return
    setattr(payload, _WRITE, write)
    try:
        yield
    finally:
        payload.__dict__.pop(_WRITE, None)


class _Writer:
    """The library's writer, with what goes through it told."""

    def __init__(self, inner: Any, told: Callable[[Any], None]) -> None:
        self._inner = inner
        self._told = told

    async def write(self, data: Any, *args: Any, **options: Any) -> None:
        self._told(data)
        await self._inner.write(data, *args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Collector:
    """A writer to nowhere."""

    def __init__(self, told: Callable[[bytes], None]) -> None:
        self._told = told

    async def write(self, data: Any, *_: Any, **__: Any) -> None:
        self._told(bytes(data))

    async def drain(self) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        if data:
            self._told(bytes(data))
