"""The SQLite file: what is in it and how it is recognised.

A step is one row, with what is queried as columns and the rest in ``doc``. Content lives apart: ``blobs``
by digest where it is worth sharing, and ``nodes``, each a prefix of some conversation, so that a request
is a prefix and a tail of its own. ``whole`` is 0 from reservation to the one transaction that completes
the step: readers look at whole rows only.
"""

from __future__ import annotations

APPLICATION_ID = 0x52574E44  # "RWND"
SCHEMA_VERSION = 2

_SINCE_2 = (
    # A cache looks for equal requests in all sessions.
    """
    CREATE INDEX steps_canonical ON steps (canonical)
    WHERE canonical IS NOT NULL AND decision IN ('record', 'miss')
    """,
    # The session around one, where a program has sessions of its own.
    "ALTER TABLE sessions ADD COLUMN outer TEXT",
    # The tool call that made a call: serving that serves this.
    "ALTER TABLE steps ADD COLUMN inside INTEGER",
    # Further hosts that were recorded, as JSON: a replay has to hold back the same.
    "ALTER TABLE sessions ADD COLUMN hosts TEXT",
    "CREATE INDEX sessions_outer ON sessions (outer, name) WHERE outer IS NOT NULL",
)

SCHEMA = (
    """
    CREATE TABLE sessions (
        id INTEGER PRIMARY KEY,
        uid TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        mode TEXT NOT NULL,
        status TEXT NOT NULL,
        parent TEXT,
        fork_step INTEGER,
        started_at REAL NOT NULL,
        ended_at REAL,
        command TEXT NOT NULL,
        pid INTEGER NOT NULL,
        pid_mark TEXT NOT NULL
    )
    """,
    "CREATE INDEX sessions_name ON sessions (name, id)",
    """
    CREATE TABLE steps (
        session INTEGER NOT NULL,
        step INTEGER NOT NULL,
        whole INTEGER NOT NULL DEFAULT 0,
        kind TEXT,
        decision TEXT,
        match TEXT,
        source_session INTEGER,
        source_step INTEGER,
        content_session INTEGER,
        content_step INTEGER,
        lane TEXT,
        exact BLOB,
        canonical BLOB,
        started_at REAL,
        trace_id TEXT,
        span_id TEXT,
        request_prefix INTEGER,
        request_tail INTEGER,
        response INTEGER,
        doc BLOB,
        PRIMARY KEY (session, step)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX steps_exact ON steps (exact, session) WHERE exact IS NOT NULL",
    "CREATE INDEX steps_trace ON steps (trace_id) WHERE trace_id IS NOT NULL",
    # One answer is served once a run: two processes of it never get the same one.
    """
    CREATE UNIQUE INDEX steps_claim ON steps (session, source_session, source_step)
    WHERE source_step IS NOT NULL
    """,
    "CREATE TABLE blobs (id INTEGER PRIMARY KEY, digest BLOB, packed INTEGER NOT NULL, data BLOB NOT NULL)",
    "CREATE UNIQUE INDEX blobs_digest ON blobs (digest) WHERE digest IS NOT NULL",
    """
    CREATE TABLE nodes (
        id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, parent INTEGER, blob INTEGER NOT NULL
    )
    """,
    *_SINCE_2,
)

#: What brings a file of an earlier format up to the next one, by the format it has.
MIGRATIONS = {1: _SINCE_2}
