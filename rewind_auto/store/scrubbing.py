"""Redacting what is in the SQLite store already, by the rules of today.

Fingerprints stay: they are of the requests as they were sent, so that what was served before is served
after. Nothing is ever put in: a step, or a body, is replaced only as long as it is the one that was read.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any, NamedTuple

from rewind_auto.core import redact
from rewind_auto.core.model import Recording, Request
from rewind_auto.store import codec, content, removing

_BATCH = 50  # steps in one transaction: writers wait for no more than that
_IN_ONE = (
    "UPDATE steps SET request_prefix = NULL, request_tail = last_insert_rowid()"
    " WHERE session = ? AND step = ? AND request_prefix IS ? AND request_tail IS ?"
)
_Change = tuple[str, tuple[Any, ...]]


class Scrubbed(NamedTuple):
    """One batch of a session.

    Attributes:
        last: the number of its last step; 0: there were none left.
        steps: how many steps were looked at.
        changed: how many of them had something to be taken out.
        changes: statements that take it out, with their values.
    """

    last: int
    steps: int
    changed: int
    changes: list[_Change]


def look(db: sqlite3.Connection, key: int, after: int) -> Scrubbed:
    """Find what is to be taken out of the next steps of a session. Nothing is changed."""
    rows = db.execute(
        "SELECT step, doc, request_prefix, request_tail, response FROM steps"
        " WHERE session = ? AND step > ? AND whole = 1 ORDER BY step LIMIT ?",
        (key, after, _BATCH),
    ).fetchall()
    changes: list[_Change] = [] if after else _session(db, key)
    changed = 0
    for number, data, prefix, tail, response in rows:
        found = _step(db, key, number, data, (prefix, tail, response))
        changed += bool(found)
        changes += found
    return Scrubbed(rows[-1][0] if rows else 0, len(rows), changed, changes)


def apply(db: sqlite3.Connection, changes: list[_Change]) -> None:
    """Take out what `look` found, in a transaction of the caller's."""
    db.execute("PRAGMA secure_delete=ON")
    for statement, values in changes:
        db.execute(statement, values)


def erase(db: sqlite3.Connection) -> bool:
    """Leave nothing of what was taken out in free pages or in the log. False: somebody is using the store."""
    db.execute("PRAGMA secure_delete=ON")
    db.execute("BEGIN IMMEDIATE")
    removing.sweep(db)
    db.execute("COMMIT")
    db.execute("VACUUM")
    busy: int = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    return not busy


def _session(db: sqlite3.Connection, key: int) -> list[_Change]:
    name, command = db.execute("SELECT name, command FROM sessions WHERE id = ?", (key,)).fetchone()
    clean = redact.text(name), json.dumps(redact.command(json.loads(command)))
    if clean == (name, command):
        return []
    return [("UPDATE sessions SET name = ?, command = ? WHERE id = ?", (*clean, key))]


def _step(
    db: sqlite3.Connection, key: int, number: int, data: bytes, bodies: tuple[int | None, ...]
) -> list[_Change]:
    prefix, tail, response = bodies
    doc = codec.load_doc(data)
    before = json.dumps(doc)
    changes = _request(db, key, number, prefix, tail)
    if "exchange" in doc:
        body = content.read_blob(db, response)
        kept = codec.complete_recording(
            Recording(
                Request(doc.get("method", ""), doc.get("url", ""), codec.load_request_headers(doc), b""),
                codec.load_head(doc),
                body,
            ),
            doc,
        )
        clean, _ = redact.recording(kept, body=False)
        doc["exchange"] = codec.dump_exchange(clean)
        if clean.body != body:
            changes.append(_blob(db, response, clean.body))
    for name in ("error", "note", "call_site", "model"):
        if doc.get(name):
            doc[name] = redact.text(doc[name])
    if "url" in doc:
        doc["url"] = redact.url(doc["url"])
    if "detail" in doc:
        doc["detail"] = redact.facts(doc["detail"])
    if json.dumps(doc) != before:
        changed = codec.encode_doc(doc, plain=data[:1] == b"{")
        statement = "UPDATE steps SET doc = ? WHERE session = ? AND step = ? AND doc = ?"
        changes.append((statement, (changed, key, number, data)))
    return changes


def _request(
    db: sqlite3.Connection, key: int, number: int, prefix: int | None, tail: int | None
) -> list[_Change]:
    blobs = [*content.chain(db, prefix), *([tail] if tail is not None else [])]
    parts = [content.read_blob(db, blob) for blob in blobs]
    whole = redact.request_body(b"".join(parts))
    cleaned = [redact.request_body(part) for part in parts]
    if cleaned == parts and whole == b"".join(parts):
        return []
    if whole == b"".join(cleaned):
        return [
            _blob(db, blob, clean)
            for blob, part, clean in zip(blobs, parts, cleaned, strict=True)
            if part != clean
        ]
    # What is to go is cut in pieces: the request is kept in one.
    packed, data = codec.pack(whole)
    return [
        ("INSERT INTO blobs (digest, packed, data) VALUES (NULL, ?, ?)", (packed, data)),
        (_IN_ONE, (key, number, prefix, tail)),
    ]


def _blob(db: sqlite3.Connection, blob: int | None, clean: bytes) -> _Change:
    """A body in the place of another. It is found by its digest no more: another may have the same by now."""
    packed, data = codec.pack(clean)
    (old,) = db.execute("SELECT data FROM blobs WHERE id = ?", (blob,)).fetchone()
    statement = "UPDATE blobs SET digest = NULL, packed = ?, data = ? WHERE id = ? AND data = ?"
    return statement, (packed, data, blob, old)
