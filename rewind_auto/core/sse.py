"""Server-sent events, as the WHATWG standard has them, from a body that is already here.

One departure: an event that the body ends in the middle of is handed out too. Whoever reads lines for
himself has seen it, and a stream cut there is worth reading as far as it goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_BOM = b"\xef\xbb\xbf"
_BLANK_LINE = re.compile(rb"(?>\r\n|\r|\n){2}")
_WINDOW = 4 * 1024


def events(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield ``(event name, data)`` of every event that has data. The name is empty when none is given."""
    name = b""
    data: list[bytes] = []
    for line in body.removeprefix(_BOM).splitlines():
        if line.startswith(b"data:"):
            data.append(line[6:] if line.startswith(b"data: ") else line[5:])
        elif not line:
            if data:
                yield name, data[0] if len(data) == 1 else b"\n".join(data)
                data = []
            name = b""
        elif line.startswith(b"event:"):
            name = line[7:] if line.startswith(b"event: ") else line[6:]
        elif line == b"data":
            data.append(b"")
        elif line == b"event":
            name = b""
    if data:
        yield name, b"\n".join(data)


def last_events(body: bytes) -> list[tuple[bytes, bytes]]:
    """Return the events at the end of a body: at least the last one, and not much more.

    The rest of the body is not looked at.
    """
    window = _WINDOW
    while True:
        start = max(len(body) - window, 0)
        tail = body[start:]
        if start:
            # What comes before the first blank line may be the rest of an event that began earlier.
            blank = _BLANK_LINE.search(tail)
            tail = tail[blank.end() :] if blank else b""
        found = list(events(tail))
        if found or not start:
            return found
        window *= 8
