"""Tees for requests: around the library's own raw response, and around uploads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from wrapt import ObjectProxy

from rewind_auto.adapters.bodies import Kept, apart, call_apart
from rewind_auto.core.faults import to_fault
from rewind_auto.core.model import Ending
from rewind_auto.core.seam import LiveCall, run


class Raw(ObjectProxy):  # type: ignore[type-arg]
    """A response's ``raw``, told to the call as it is read. Nothing is read ahead.

    A body is recorded as the program reads it, decoded or as on the wire: nothing below the raw response
    has a public place for a tee.
    """

    def __init__(self, raw: Any, call: LiveCall) -> None:
        super().__init__(raw)
        self._self_call = call
        # Whether the raw response may be closed with more to come: from a decoder, or because it was dropped.
        self._self_unsure = False
        headers = getattr(raw, "headers", None)
        self._self_coded = bool(headers and headers.get("content-encoding"))

    def __del__(self) -> None:
        call = getattr(self, "_self_call", None)
        if call is not None:
            call.dropped()

    def read(self, *args: Any, **options: Any) -> Any:
        return self._self_take(self.__wrapped__.read, args, options, args[1:2])

    def readline(self, *args: Any, **options: Any) -> Any:
        return self._self_take(self.__wrapped__.readline, args, options)

    def readlines(self, hint: int | None = None) -> list[Any]:
        lines: list[Any] = []
        size = 0
        for line in self:  # as `io.IOBase` does, which here is not the same as `readline`
            lines.append(line)
            size += len(line)
            if hint is not None and 0 < hint <= size:
                break
        return lines

    def readinto(self, buffer: Any) -> Any:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.readline, b"")

    def __next__(self) -> Any:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def close(self) -> None:
        ending = Ending.EOF if self._self_over() else Ending.CLOSED
        try:
            self.__wrapped__.close()
        finally:
            run(self._self_call.end(ending))

    def __enter__(self) -> Any:
        self.__wrapped__.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _self_take(
        self, read: Callable[..., Any], args: Any, options: Any, decode: tuple[Any, ...] = ()
    ) -> Any:
        """Read as the program asked to."""
        self._self_decoding(options.get("decode_content", decode[0] if decode else None))
        try:
            data = read(*args, **options)
        except BaseException as error:
            run(self._self_call.end(*to_fault(error, "body")))
            raise
        if data:
            self._self_call.chunk(data)
        amount = args[0] if args else options.get("amt", options.get("size"))
        everything = amount is None or amount < 0
        if self._self_over() or (not data and amount != 0) or (everything and read.__name__ == "read"):
            run(self._self_call.end(Ending.EOF))
        return data

    def _self_decoding(self, decode: Any) -> None:
        """The program is about to read, with or without the content coding."""
        try:
            if self._self_coded:
                if decode is None:
                    decode = getattr(self.__wrapped__, "decode_content", False)
                if decode:
                    self._self_coded = False
                    self._self_call.decoded()
                    self._self_unsure = True
        except Exception as error:  # noqa: BLE001 - here and below: of a raw response of the program's own
            self._self_call.lost(error)

    def _self_over(self) -> bool:
        """Whether nothing more can come: not only from the connection, but out of a decoder."""
        try:
            return not self._self_unsure and bool(getattr(self.__wrapped__, "closed", False))
        except Exception as error:  # noqa: BLE001
            self._self_call.lost(error)
            return False


class Urllib3Raw(Raw):
    """`Raw` with what only urllib3's responses have."""

    def stream(self, *args: Any, **options: Any) -> Iterator[Any]:
        return self._self_tee(self.__wrapped__.stream, args, options)

    def read_chunked(self, *args: Any, **options: Any) -> Iterator[Any]:
        return self._self_tee(self.__wrapped__.read_chunked, args, options)

    def read1(self, *args: Any, **options: Any) -> Any:
        return self._self_take(self.__wrapped__.read1, args, options, args[1:2])

    def __iter__(self) -> Iterator[Any]:
        # The library's own generator, over our `stream`.
        lines: Iterator[Any] = type(self.__wrapped__).__iter__(self)
        return lines

    @property
    def data(self) -> Any:
        self._self_decoding(None)
        try:
            data = self.__wrapped__.data
        except BaseException as error:
            run(self._self_call.end(*to_fault(error, "body")))
            raise
        if data:
            self._self_call.chunk(data)
        run(self._self_call.end(Ending.EOF))
        return data

    def json(self) -> Any:
        _ = self.data
        return self.__wrapped__.json()

    def release_conn(self) -> None:
        ending = Ending.EOF if self._self_over() else Ending.CLOSED
        try:
            self.__wrapped__.release_conn()
        finally:
            run(self._self_call.end(ending))

    def drain_conn(self) -> None:
        ending = Ending.EOF if self._self_over() else Ending.CLOSED
        try:
            self.__wrapped__.drain_conn()
        finally:
            run(self._self_call.end(ending))

    def _self_tee(self, read: Callable[..., Iterator[Any]], args: Any, options: Any) -> Iterator[Any]:
        call = self._self_call
        self._self_decoding(options.get("decode_content", args[1] if len(args) > 1 else None))
        chunk = call.chunk
        try:
            for data in read(*args, **options):
                chunk(data)
                yield data
        except GeneratorExit:
            self._self_unsure = True  # the library's generator closes the connection when it is dropped
            raise
        except BaseException as error:
            run(call.end(*to_fault(error, "body")))
            raise
        run(call.end(Ending.EOF))


def in_memory(body: Any) -> bytes | None:
    """A request body that need not be read to be known; None for one that does."""
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode("utf-8", "surrogateescape")
    if hasattr(body, "read"):
        return None
    try:
        return bytes(memoryview(body))
    except TypeError:
        return None


def upload_of(body: Any, limit: int) -> tuple[Any, Kept]:
    """A body to send in place of ``body``, and what keeps of it what goes out."""
    kept = Kept(limit)
    return (_File(body, kept) if hasattr(body, "read") else _Parts(body, kept)), kept


class _File(ObjectProxy):  # type: ignore[type-arg]
    """A file that is uploaded."""

    def __init__(self, file: Any, kept: Kept) -> None:
        super().__init__(file)
        self._self_kept = kept

    def read(self, *args: Any, **options: Any) -> Any:
        data = call_apart(self.__wrapped__.read, *args, **options)
        if data:
            self._self_kept.add(data)
        return data

    def seek(self, *args: Any, **options: Any) -> Any:
        self._self_kept.restart()  # urllib3 and requests rewind what they send again
        return self.__wrapped__.seek(*args, **options)

    def __iter__(self) -> Iterator[Any]:
        for line in apart(self.__wrapped__):
            self._self_kept.add(line)
            yield line


class _Parts:
    """An iterable that is uploaded."""

    def __init__(self, parts: Any, kept: Kept) -> None:
        self._parts = parts
        self._kept = kept

    def __iter__(self) -> Iterator[Any]:
        self._kept.restart()
        for data in apart(self._parts):
            self._kept.add(data)
            yield data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parts, name)
