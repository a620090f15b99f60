"""Bodies in the file: each kept once.

A conversation that grows by a message a call is one chain of ``nodes``, so a call costs its new messages
and its tail. Whatever is large is addressed by its digest, wherever it turns up again.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from rewind_auto.core import redact
from rewind_auto.core.canonical import digest
from rewind_auto.core.model import MAX_BODY
from rewind_auto.core.segments import Segmented, split
from rewind_auto.store.codec import pack, unpack

_SHARE_FROM = 1024  # bytes; below, a digest and its index entry cost more than a copy


@dataclass(frozen=True, slots=True)
class Packed:
    """Bytes made ready to be written."""

    digest: bytes | None
    packed: int
    data: bytes


def _pack(data: bytes) -> Packed:
    packed, packed_data = pack(data)
    return Packed(digest(data) if len(data) >= _SHARE_FROM else None, packed, packed_data)


@dataclass(frozen=True, slots=True)
class RequestContent:
    """A request body made ready to be written."""

    segmented: Segmented
    tail: Packed | None
    secrets: tuple[bytes, ...] | None  # None: there are none in it, nor anything else to be taken out


def prepare_request(body: bytes, secrets: tuple[bytes, ...]) -> RequestContent:
    """Cut and pack a request body, outside any lock.

    Secrets are taken out of the tail here, and out of each segment when it is written for the first
    time: looking through a whole conversation at every call would cost more than all the rest.
    """
    if redact.has_rules():  # of the user's, which may name what is cut here
        body = redact.request_body(body, secrets)
    clean = redact.was_seen(body)
    segmented = split(body)
    tail = segmented.tail if clean else redact.request_body(segmented.tail, secrets)
    return RequestContent(segmented, _pack(tail) if tail else None, None if clean else secrets)


def prepare_response(body: bytes) -> Packed | None:
    """Pack a response body, outside any lock."""
    if not body:
        return None
    packed, data = pack(body)
    return Packed(None, packed, data)


def write_request(db: sqlite3.Connection, content: RequestContent) -> tuple[int | None, int | None]:
    """Store a request body; returns the ids of its prefix node and its tail blob."""
    segments = content.segmented.segments
    known, parent = _longest_known(db, content.segmented)
    for segment in segments[known:]:
        data = segment.data if content.secrets is None else redact.request_body(segment.data, content.secrets)
        blob = write_blob(db, _pack(data))
        row = db.execute(
            "INSERT INTO nodes (digest, parent, blob) VALUES (?, ?, ?) RETURNING id",
            (segment.prefix, parent, blob),
        ).fetchone()
        parent = int(row[0])
    return parent, write_blob(db, content.tail) if content.tail else None


def _longest_known(db: sqlite3.Connection, segmented: Segmented) -> tuple[int, int | None]:
    """How many leading segments are stored already, and the node of the last of them.

    From the end, since a conversation mostly grows by a few messages; by halves once that fails, since a
    stored prefix has all its own prefixes stored too.
    """
    segments = segmented.segments

    def node(index: int) -> int | None:
        row = db.execute("SELECT id FROM nodes WHERE digest = ?", (segments[index].prefix,)).fetchone()
        return int(row[0]) if row else None

    high = len(segments)
    for _ in range(4):
        if high == 0:
            return 0, None
        found = node(high - 1)
        if found is not None:
            return high, found
        high -= 1
    low, best = 0, None
    while low < high:
        middle = (low + high + 1) // 2
        found = node(middle - 1)
        if found is None:
            high = middle - 1
        else:
            low, best = middle, found
    return low, best


def write_blob(db: sqlite3.Connection, item: Packed | None) -> int | None:
    """Store bytes, or find them if they are shared and already there; returns their id."""
    if item is None:
        return None
    if item.digest is not None:
        row = db.execute("SELECT id FROM blobs WHERE digest = ?", (item.digest,)).fetchone()
        if row:
            return int(row[0])
    cursor = db.execute(
        "INSERT INTO blobs (digest, packed, data) VALUES (?, ?, ?)", (item.digest, item.packed, item.data)
    )
    return cursor.lastrowid


def read_blob(db: sqlite3.Connection, blob: int | None) -> bytes:
    """The bytes of a blob; nothing for None."""
    if blob is None:
        return b""
    row = db.execute("SELECT packed, data FROM blobs WHERE id = ?", (blob,)).fetchone()
    return unpack(row[0], row[1]) if row else b""


def chain(db: sqlite3.Connection, prefix: int | None) -> list[int]:
    """The blobs of a prefix, from its beginning on."""
    found: list[int] = []
    while prefix is not None:
        row = db.execute("SELECT parent, blob FROM nodes WHERE id = ?", (prefix,)).fetchone()
        if row is None:
            break
        found.append(row[1])
        prefix = row[0] if row[0] is None or row[0] < prefix else None  # a damaged chain ends all the same
    return found[::-1]


def read_request(db: sqlite3.Connection, prefix: int | None, tail: int | None) -> bytes:
    """A request body, put together again."""
    if prefix is None:
        return read_blob(db, tail)
    rows = db.execute(
        """
        WITH RECURSIVE chain (depth, parent, blob) AS (
            SELECT 0, parent, blob FROM nodes WHERE id = ?
            UNION ALL
            SELECT chain.depth + 1, nodes.parent, nodes.blob FROM chain JOIN nodes ON nodes.id = chain.parent
            WHERE nodes.parent IS NULL OR nodes.parent < nodes.id  -- a damaged chain ends all the same
        )
        SELECT blobs.packed, blobs.data FROM chain JOIN blobs ON blobs.id = chain.blob
        ORDER BY chain.depth DESC
        """,
        (prefix,),
    )
    parts, left = [], MAX_BODY
    for packed, data in rows:
        parts.append(unpack(packed, data))
        left -= len(parts[-1])
        if left < 0:  # one blob may stand in a chain again and again
            raise ValueError("a body is larger than what is ever recorded")
    return b"".join(parts) + read_blob(db, tail)
