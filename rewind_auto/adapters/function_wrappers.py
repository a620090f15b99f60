"""What stands in the place of a function whose calls are steps: for each of the four kinds one wrapper.

They share all but the ``await`` and the ``yield``.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from functools import wraps
from typing import Any

from rewind_auto.adapters.functions import HEAD, Function, begun
from rewind_auto.core.model import Ending, Fault
from rewind_auto.core.seam import LiveCall, ServedCall, arun, run


def wrapped(function: Function) -> Callable[..., Any]:
    """The function to be called in its place, of the same kind."""
    original = function.function
    if inspect.isasyncgenfunction(original):
        return wraps(original)(_async_generator(function))
    if inspect.iscoroutinefunction(original):
        return wraps(original)(_coroutine(function))
    if inspect.isgeneratorfunction(original):
        return wraps(original)(_generator(function))
    return wraps(original)(_plain(function))


async def _sleep(seconds: float) -> None:
    from rewind_auto.adapters.httpx_streams import sleep

    await sleep(seconds)


def _plain(function: Function) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        taken, values = run(begun(function, args, kwargs))
        if taken is None:
            return function.function(*args, **kwargs)
        if hasattr(taken, "playback"):
            run(_headed(taken))
            return _given(function, taken, values)
        try:
            with taken.around():
                value = function.function(*args, **kwargs)
        except BaseException as error:
            run(taken.end(*function.fault(error, "send")))
            raise
        run(_kept(function, taken, value))
        return value

    return call


def _coroutine(function: Function) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        taken, values = await arun(begun(function, args, kwargs), _sleep)
        if taken is None:
            return await function.function(*args, **kwargs)
        if hasattr(taken, "playback"):
            await arun(_headed(taken), _sleep)
            return _given(function, taken, values)
        try:
            with taken.around():
                value = await function.function(*args, **kwargs)
        except BaseException as error:
            run(taken.end(*function.fault(error, "send")))
            raise
        await arun(_kept(function, taken, value), _sleep)
        return value

    return call


def _headed(call: ServedCall) -> Any:
    """The pauses before a result."""
    try:
        yield from call.playback().head_pauses()
    except BaseException:  # cancelled while it waited
        call.end()
        raise


def _kept(function: Function, call: LiveCall, value: Any) -> Any:
    """Keep a result: the pauses of it."""
    data = function.result(value)
    if data is None:
        return call.leave(function.unkept)
    call.head(HEAD)
    call.chunk(data)
    return call.end(Ending.EOF)


def _given(function: Function, call: ServedCall, values: list[Any]) -> Any:
    """The recorded result."""
    try:
        if not values:
            raise function.error(call) or call.beyond()
        return values[0]
    finally:
        call.end()


# --- generators: an item is a chunk, what one returns at its end is the last


def _generator(function: Function) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        taken, values = run(begun(function, args, kwargs))
        if taken is None:
            return (yield from function.function(*args, **kwargs))
        if hasattr(taken, "playback"):
            return (yield from _served_items(function, taken, values))
        return (yield from _live_items(function, taken, function.function(*args, **kwargs)))

    return call


def _live_items(function: Function, call: LiveCall, generator: Any) -> Generator[Any, Any, Any]:
    kept = _Items(function, call)
    try:
        resume, value = generator.send, None
        while True:
            try:
                with call.around():
                    item = resume(value)
            except StopIteration as stop:
                kept.returned(stop.value)
                return stop.value
            kept.add(item)
            try:
                value = yield item
                resume = generator.send
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - the generator's to handle
                resume, value = generator.throw, error
    except BaseException as error:
        kept.failed(error)
        raise
    finally:
        generator.close()
        run(kept.end())


def _served_items(function: Function, call: ServedCall, items: list[Any]) -> Generator[Any, Any, Any]:
    playback = call.playback()
    try:
        run(playback.head_pauses())
        for (pause, _), item in zip(playback, items, strict=True):
            run(_pause(pause))
            if "return" in item:
                return item["return"]
            yield item["item"]
        run(playback.end_pauses())
        error = function.error(call)
        if error is not None:
            raise error
        return None
    finally:
        call.end()


def _async_generator(function: Function) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        taken, values = await arun(begun(function, args, kwargs), _sleep)
        if taken is not None and hasattr(taken, "playback"):
            items = _served_async_items(function, taken, values)
        else:
            items = function.function(*args, **kwargs)
            if taken is not None:
                items = _live_async_items(function, taken, items)
        try:
            value, resume = None, items.asend
            while True:
                try:
                    item = await resume(value)
                except StopAsyncIteration:
                    return
                try:
                    value = yield item
                    resume = items.asend
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001 - the generator's to handle
                    value, resume = error, items.athrow
        finally:
            await items.aclose()

    return call


async def _live_async_items(function: Function, call: LiveCall, generator: Any) -> AsyncGenerator[Any, Any]:
    kept = _Items(function, call)
    try:
        resume, value = generator.asend, None
        while True:
            try:
                with call.around():
                    item = await resume(value)
            except StopAsyncIteration:
                kept.returned(None)
                return
            kept.add(item)
            try:
                value = yield item
                resume = generator.asend
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - the generator's to handle
                resume, value = generator.athrow, error
    except BaseException as error:
        kept.failed(error)
        raise
    finally:
        await generator.aclose()
        run(kept.end())


async def _served_async_items(
    function: Function, call: ServedCall, items: list[Any]
) -> AsyncGenerator[Any, Any]:
    playback = call.playback()
    try:
        await arun(playback.head_pauses(), _sleep)
        for (pause, _), item in zip(playback, items, strict=True):
            await arun(_pause(pause), _sleep)
            if "return" in item:
                return
            yield item["item"]
        await arun(playback.end_pauses(), _sleep)
        error = function.error(call)
        if error is not None:
            raise error
    finally:
        call.end()


def _pause(seconds: float) -> Any:
    if seconds > 0:
        yield seconds


class _Items:
    """What a generator gave so far, and how it ended."""

    def __init__(self, function: Function, call: LiveCall) -> None:
        self._function = function
        self._call = call
        self._unkept = ""
        self._ending: tuple[Ending, Fault | None] = (Ending.CLOSED, None)
        call.head(HEAD)

    def add(self, item: Any) -> None:
        self._chunk({"item": item})

    def returned(self, value: Any) -> None:
        self._ending = Ending.EOF, None
        self._chunk({"return": value})

    def failed(self, error: BaseException) -> None:
        if not isinstance(error, GeneratorExit):
            self._ending = self._function.fault(error, "body")

    def end(self) -> Any:
        """The pauses of keeping it."""
        return self._call.leave(self._unkept) if self._unkept else self._call.end(*self._ending)

    def _chunk(self, item: dict[str, Any]) -> None:
        data = self._function.result(item)
        if data is None:
            self._unkept = self._function.unkept
        else:
            self._call.chunk(data)
