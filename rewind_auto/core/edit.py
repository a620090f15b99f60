"""A recording with another answer in it."""

from __future__ import annotations

import re
from dataclasses import replace

from rewind_auto.core.decode import content_encoding
from rewind_auto.core.model import Ending, Head, Recording

# Of the bytes that were: the new ones have their own.
_OF_THE_BODY = (b"content-length", b"content-encoding", b"content-md5", b"digest", b"etag")
_EVENT = re.compile(rb".+?(?:(?:\r\n|\r|\n){2}|\Z)", re.DOTALL)


def edited(recording: Recording, body: bytes, *, status: int | None = None) -> Recording:
    """What the provider would have been recorded with, had it answered this.

    A stream stays one: an event is a chunk, and comes when the chunk in its place came.

    Args:
        recording: with the head of the answer that is replaced.
        body: the decoded body.
        status: another HTTP status.
    """
    head = recording.head or Head(200, ((b"content-type", b"application/json"),))
    headers = tuple((name, value) for name, value in head.headers if name.lower() not in _OF_THE_BODY)
    chunked = any(n.lower() == b"transfer-encoding" for n, _ in head.headers)
    if not chunked:
        headers += ((b"content-length", str(len(body)).encode()),)
    events = _EVENT.findall(body) if len(recording.cuts) > 1 else [body]
    times = [offset for _, offset in recording.cuts] or [recording.head_us]
    cuts = tuple(
        (len(event), times[min(place, len(times) - 1)]) for place, event in enumerate(events) if event
    )
    wire = head.wire and not content_encoding(head)
    head = replace(
        head, headers=headers, wire=wire, status=status or head.status, reason=None if status else head.reason
    )
    return replace(recording, head=head, body=body, cuts=cuts, open_cuts=(), ending=Ending.EOF, fault=None)
