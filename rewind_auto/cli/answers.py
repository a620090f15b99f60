"""What a recorded answer says, in a few words for people."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from rewind_auto.cli import output
from rewind_auto.core.address import parts_of
from rewind_auto.core.decode import decode
from rewind_auto.core.model import Headers, Recording
from rewind_auto.providers import reading, registry, wire
from rewind_auto.providers.info import Part, ResponseInfo

_ARGUMENT = 40  # characters of one argument of a tool call


def header(headers: Headers, name: bytes) -> str:
    """Value of the first header of this (lower case) name, or an empty text."""
    return next((value for key, value in headers if key.lower() == name), b"").decode("latin-1")


def read(recording: Recording) -> ResponseInfo:
    """What the provider's reader makes of the answer; nothing where there is none for its shape."""
    head, request = recording.head, recording.request
    parts = parts_of(request.url)
    host = parts.hostname
    if head is None or not host or not recording.body:
        return ResponseInfo()
    route = None
    with suppress(ValueError):  # a host that cannot be written as one of the user's
        # As the user's own, so that a host which only --hosts or a predicate knew is read by its shape.
        named = f"[{host}]" if ":" in host else host
        route = registry.identify(host, parts.port, parts.path, request.method, (named,))
    if route is None or route.operation is None:
        return ResponseInfo()
    return wire.response_info(
        route.shape, decode(head, recording.body), header(head.headers, b"content-type")
    )


def summary(answered: ResponseInfo) -> tuple[str, str]:
    """The first line of the text, and the tool calls."""
    calls = ", ".join(tool_call(part) for part in answered.tool_calls)
    return output.one_line(answered.text), calls


def tool_call(part: Part, *, cut: bool = True) -> str:
    """A tool call as Python would write it, with its arguments in full or cut short."""
    arguments = part.get("arguments")
    if isinstance(arguments, dict):
        inner = ", ".join(f"{name}={_value(value, cut=cut)}" for name, value in arguments.items())
    else:
        inner = "" if arguments is None else _value(arguments, cut=cut)
    return output.one_line(f"{part.get('name') or 'tool'}({inner})")


def _value(value: Any, *, cut: bool) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return output.clipped(text, _ARGUMENT) if cut else text


def complaint(recording: Recording) -> str:
    """The message of an error that the provider answered with."""
    if recording.head is None:
        return ""
    body = decode(recording.head, recording.body)
    return output.one_line(reading.complaint(body) or body.decode("utf-8", "replace"))
