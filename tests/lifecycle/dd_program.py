"""A program that knows nothing of us, below ``ddtrace-run``: one call each way, and the spans it gets."""

from __future__ import annotations

import sys

import aiohttp  # noqa: F401
import httpx  # noqa: F401
import httpx2  # noqa: F401
import requests  # noqa: F401
from calling import WAYS, call, library
from ddtrace.trace import TraceFilter, tracer


class Shown(TraceFilter):
    def process_trace(self, trace):
        for span in trace:
            if span.name != "TCPConnector.connect":  # there is none in a replay
                print(" ", span.name, span.get_tag("http.url"), span.get_tag("http.status_code"))


tracer.configure(trace_processors=[Shown()])
for way in WAYS:
    try:
        outcome = call(sys.modules[library(way)], way, sys.argv[1])
    except BaseException as error:  # noqa: BLE001 - see test_ddtrace.py: asyncio may be there twice
        outcome = f"raises {type(error).__name__}"
    print(way, outcome)
