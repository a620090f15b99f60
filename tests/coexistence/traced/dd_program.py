"""A program below ``ddtrace-run``, and the spans it gets, each a line of JSON in the file that KEPT names."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import calls
import httpx
from ddtrace.trace import TraceFilter, tracer


class Kept(TraceFilter):
    def process_trace(self, trace):
        with Path(os.environ["KEPT"]).open("a") as kept:
            for span in trace:
                if span.name != "TCPConnector.connect":  # there is none in a replay
                    tags = {**span.get_tags(), **span.get_metrics()}
                    kept.write(json.dumps([span.name, span.resource, span.span_id, span.parent_id, tags]))
                    kept.write("\n")


def around(name):
    return tracer.trace("program", resource=name)


url = sys.argv[1]
tracer.configure(trace_processors=[Kept()])
calls.make(url, around)
asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Oslo?"}]}
with (
    around("without an SDK"),
    httpx.stream("POST", f"{url}/v1/chat/completions", json=asked) as response,
    tracer.trace("within"),
):
    print(response.read())
