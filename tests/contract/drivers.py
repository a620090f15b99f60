"""The client libraries that the suite is run with."""

from __future__ import annotations

import httpx
import httpx2
from aiohttp_driver import AiohttpDriver
from driving import BOUNDARY, MANNERS, Driver, Got
from httpx_driver import PLAIN_TLS, HttpxDriver
from requests_driver import RequestsDriver

__all__ = [
    "ASYNC_DRIVERS",
    "BOUNDARY",
    "DRIVERS",
    "HTTPX_ASYNC",
    "HTTPX_DRIVERS",
    "HTTPX_SYNC",
    "MANNERS",
    "PLAIN_TLS",
    "SYNC_DRIVERS",
    "TRIO_DRIVERS",
    "AiohttpDriver",
    "Driver",
    "Got",
    "HttpxDriver",
    "RequestsDriver",
]

HTTPX_SYNC = [HttpxDriver(module, asynchronous=False) for module in (httpx, httpx2)]
HTTPX_ASYNC = [HttpxDriver(module, asynchronous=True) for module in (httpx, httpx2)]
TRIO_DRIVERS = [HttpxDriver(module, asynchronous=True, backend="trio") for module in (httpx, httpx2)]
HTTPX_DRIVERS = [*HTTPX_SYNC, *HTTPX_ASYNC]

SYNC_DRIVERS: list[Driver] = [*HTTPX_SYNC, RequestsDriver()]
ASYNC_DRIVERS: list[Driver] = [*HTTPX_ASYNC, AiohttpDriver()]
DRIVERS: list[Driver] = [*SYNC_DRIVERS, *ASYNC_DRIVERS]
