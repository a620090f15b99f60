"""Sessions, steps and recordings, made with few words, and saved as the runtime saves them."""

from __future__ import annotations

import hashlib
import itertools
import time
from typing import Any

from rewind_auto.core.errors import StoreBusyError
from rewind_auto.core.model import (
    Decision,
    Ending,
    Fingerprint,
    Head,
    Match,
    Mode,
    Recording,
    Request,
    Session,
    Step,
)
from rewind_auto.store.contract import Claimed, Store

URL = "https://api.openai.com/v1/chat/completions"
JSON_HEAD = Head(200, ((b"Content-Type", b"application/json"),), b"OK")
_serial = itertools.count(1)


def session(store: Store, mode: Mode = Mode.RECORD, name: str = "", **known: Any) -> str:
    """Begin a session; returns its id."""
    uid = known.pop("id", "") or hashlib.blake2b(str(next(_serial)).encode(), digest_size=16).hexdigest()
    store.begin(Session(uid, name, mode, **known))
    return uid


def digest(text: str, kind: str = "exact") -> bytes:
    return hashlib.blake2b(f"{kind} {text}".encode(), digest_size=16).digest()


def fingerprint(text: str, canonical: str = "") -> Fingerprint:
    return Fingerprint(digest(text), digest(canonical or text, "canonical"))


def recording(body: bytes = b"answer", *, asked: bytes = b"{}", headers: Any = ()) -> Recording:
    request = Request("POST", URL, headers, asked, "httpx2")
    return Recording(request, JSON_HEAD, body, ((len(body), 2000),), 1000, 3000, Ending.EOF)


def step(uid: str, text: str = "question", *, canonical: str = "", **known: Any) -> Step:
    usual = {"method": "POST", "url": URL, "library": "httpx2", "started_at": 1.5, "complete": True}
    return Step(uid, 0, **{"fingerprint": fingerprint(text, canonical), **usual, **known})


def save(store: Store, uid: str, text: str = "question", kept: Recording | None = None, **known: Any) -> Step:
    """Reserve, prepare, attempt."""
    made = step(uid, text, **known)
    made.step = store.reserve(uid)
    store.prepare(made, recording(f"answer to {text}".encode()) if kept is None else kept)()
    return made


def claim(
    store: Store, uid: str, source: str, text: str = "question", match: Match = Match.EXACT, lane: str = ""
) -> Claimed | None:
    """Claim an answer as a replay does."""
    asked = step(uid, text, lane=lane)
    wanted = digest(text) if match is Match.EXACT else digest(text, "canonical")
    return store.claim(asked, source, wanted, match, lane=lane)


def blocked(store: Store, uid: str, text: str) -> None:
    """What a replay keeps of a call it has no answer for."""
    made = step(uid, text, decision=Decision.BLOCKED, complete=False)
    store.prepare(made, Recording(Request("POST", URL, (), b"{}"), ending=Ending.CLOSED))()


def patiently(attempt: Any) -> Any:
    """Try until the store is not busy, as the runtime does."""
    until = time.monotonic() + 30
    while True:
        try:
            return attempt()
        except StoreBusyError:
            if time.monotonic() > until:
                raise
        time.sleep(0.0005)
