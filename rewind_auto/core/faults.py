"""Transport errors as data, and as exceptions again: those of the library that replays them."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from rewind_auto.core.model import Ending, Fault


class Trouble(StrEnum):
    """What went wrong, in words that every client library has an exception for."""

    CONNECT = "connect"
    CONNECT_TIMEOUT = "connect timeout"
    TIMEOUT = "timeout"
    BROKEN = "broken"  # a connection that was there, or what came over it


# By the names that httpx, requests, urllib3 and aiohttp use. All others are a broken connection.
_TROUBLES: Mapping[str, Trouble] = {
    "ConnectError": Trouble.CONNECT,
    "ConnectionError": Trouble.CONNECT,
    "MaxRetryError": Trouble.CONNECT,
    "NewConnectionError": Trouble.CONNECT,
    "ProxyError": Trouble.CONNECT,
    "SSLError": Trouble.CONNECT,
    "ClientConnectorError": Trouble.CONNECT,
    "ClientConnectorDNSError": Trouble.CONNECT,
    "ClientConnectorSSLError": Trouble.CONNECT,
    "ClientConnectorCertificateError": Trouble.CONNECT,
    "ClientProxyConnectionError": Trouble.CONNECT,
    "ConnectTimeout": Trouble.CONNECT_TIMEOUT,
    "ConnectTimeoutError": Trouble.CONNECT_TIMEOUT,
    "ConnectionTimeoutError": Trouble.CONNECT_TIMEOUT,
    "PoolTimeout": Trouble.CONNECT_TIMEOUT,
    "ReadTimeout": Trouble.TIMEOUT,
    "ReadTimeoutError": Trouble.TIMEOUT,
    "WriteTimeout": Trouble.TIMEOUT,
    "Timeout": Trouble.TIMEOUT,
    "TimeoutError": Trouble.TIMEOUT,
    "ServerTimeoutError": Trouble.TIMEOUT,
    "SocketTimeoutError": Trouble.TIMEOUT,
}


def to_fault(error: BaseException, phase: str) -> tuple[Ending, Fault | None]:
    """How ``error`` ended a live call.

    Args:
        error: what the library raised.
        phase: ``"send"``, no response came, or ``"body"``.
    """
    try:
        if not isinstance(error, Exception):
            return Ending.CANCELLED, None
        facts: dict[str, Any] = {}
        if isinstance(error, OSError) and isinstance(error.errno, int):
            facts = {"errno": error.errno, "strerror": str(error.strerror)}
        if error.args and isinstance(error.args[0], Exception):
            facts["within"] = _described(error.args[0])
        cls = type(error)
        return Ending.FAULT, Fault(cls.__module__, cls.__qualname__, str(error), phase, facts)
    except Exception:  # noqa: BLE001 - one of the program's own may be unable to say what it is
        return Ending.FAULT, Fault(type(error).__module__, type(error).__qualname__, "", phase)


def _described(error: Exception, depth: int = 3) -> dict[str, Any]:
    """An exception that is an argument of another, and its reason, as JSON values."""
    cls, reason = type(error), getattr(error, "reason", None)
    told: dict[str, Any] = {"module": cls.__module__, "name": cls.__qualname__, "message": str(error)}
    if isinstance(reason, Exception) and depth:
        told["reason"] = _described(reason, depth - 1)
    return told


def trouble(fault: Fault) -> Trouble:
    """What went wrong, whichever library it was that said so."""
    found = _TROUBLES.get(fault.name, Trouble.BROKEN)
    return Trouble.BROKEN if fault.phase == "body" and found is Trouble.CONNECT else found


def known_class(fault: Fault, namespaces: Iterable[Any], bases: tuple[type, ...]) -> Any:
    """The class of ``fault`` among the exceptions of a library, or of Python; None if it is not there.

    Looked up by name below ``bases``, never imported: a store's data cannot choose a class freely. That the
    module of ``fault`` is one of that library is for the caller to see to: names are no library's alone.
    """
    places = [builtins] if fault.module == "builtins" else list(namespaces)
    if fault.module == "builtins" and Exception not in bases:
        bases = (OSError, ValueError, RuntimeError, TypeError)
    for namespace in places:
        cls = vars(namespace).get(fault.name)  # not an attribute: a module may import what is asked of it
        if isinstance(cls, type) and issubclass(cls, bases):
            return cls
    return None


def revive(cls: Any, fault: Fault) -> BaseException:
    """An exception of ``cls`` that says what the recorded one said, whatever its constructor wants."""
    if "errno" in fault.facts and issubclass(cls, OSError):
        candidates: tuple[tuple[Any, ...], ...] = (
            (fault.facts["errno"], fault.facts["strerror"]),
            (fault.message,),
        )
    else:
        candidates = ((fault.message,),)
    for args in candidates:
        try:
            error: BaseException = cls(*args)
            said = str(error)
        except Exception:  # noqa: BLE001, S112 - a constructor of somebody's, made for other arguments
            continue
        if said == fault.message:
            return error
    return unmade(cls, fault)


def unmade(cls: Any, fault: Fault) -> BaseException:
    """An exception of ``cls`` with the recorded message, without its constructor."""
    plain = next(base for base in cls.__mro__ if base.__module__ == "builtins")
    try:
        error: BaseException = plain.__new__(cls)
    except TypeError:  # of a group, which cannot be empty
        return RuntimeError(f"{fault.module}.{fault.name}: {fault.message}")
    object.__setattr__(error, "args", (fault.message,))  # its class may have a `__setattr__`
    return error
