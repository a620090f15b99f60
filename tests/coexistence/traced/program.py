"""A program that traces its LLM calls with a tool, and each in a span of its own.

Arguments: the tool; the provider's URL; what is to be called.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import AbstractContextManager
from typing import Any

import tools

tool, url, what = sys.argv[1:]
getattr(tools, tool)()

from opentelemetry import trace  # noqa: E402 - as it is used in a program: after it was set up

TRACER = trace.get_tracer("program")


def around(name: str) -> AbstractContextManager[Any]:
    return TRACER.start_as_current_span(name)


importlib.import_module(what).make(url, around)
