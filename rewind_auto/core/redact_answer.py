"""Secrets out of answers, which a replay serves: what takes a secret's place is as long as it was.

Nothing is looked for by its shape: what a model says is served as it was said. Three things go: the
credentials of the request itself, where the answer quotes them; those that it issues, which a replay sends in
a header that nobody compares; and what the user's own rules find.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from urllib.parse import quote

from rewind_auto.core import event_stream
from rewind_auto.core.decode import READABLE, Decoder, content_encoding, decode
from rewind_auto.core.model import MAX_BODY, Recording
from rewind_auto.core.rules import Rules

_PLAIN = re.compile(rb"[A-Za-z0-9._~\-]*")  # written the same way wherever it stands
# Answers that issue credentials: RFC 6749 5.1, RFC 7591, and the keys of realtime sessions, of OpenAI
# (https://platform.openai.com/docs/api-reference/realtime-sessions) and of Google
# (https://ai.google.dev/gemini-api/docs/ephemeral-tokens).
_ISSUED = ("access_token", "refresh_token", "id_token", "client_secret")
_ISSUED_SHAPES = (("value", "ek_"), ("name", "auth_tokens/"))
_ISSUED_HINTS = (b'"access_token"', b'"client_secret"', b'"ek_', b'"auth_tokens/')
_LONGEST_ISSUING = 1 << 16  # bytes
_SHORTEST = 8


def clean(kept: Recording, secrets: tuple[bytes, ...], rules: Rules | None) -> None:
    """Take secrets out of the body of the response, in place; binary frames stay sound."""
    head, body = kept.head, kept.body
    if head is None or not body:
        return
    if any(n.lower() == b"content-type" and v.startswith(event_stream.TYPE) for n, v in head.headers):
        inside = event_stream.chunks(body)
        if rules is not None or any(secret in body or secret in inside for secret in secrets):
            kept.body = event_stream.cleaned(body, partial(_without, secrets=secrets, rules=rules))
        return
    coded = content_encoding(head)
    plain = decode(head, body) if coded else body
    cleaned = _without(plain, secrets, rules)
    if cleaned == plain:
        return
    if coded:
        if len(plain) >= READABLE:  # what was looked at is not all of it
            cleaned = _without(decode(head, body, MAX_BODY), secrets, rules)
        # It is kept without its coding, in the pieces that the program could read
        lengths = _decoded_lengths(kept)
        if sum(lengths) == len(cleaned):
            kept.cuts = tuple((length, at) for length, (_, at) in zip(lengths, kept.cuts, strict=True))
        else:
            kept.cuts, kept.open_cuts = ((len(cleaned), kept.cuts[-1][1]),), ()
        kept.head = replace(head, wire=False)
    kept.body = cleaned


def spellings(secret: bytes) -> tuple[bytes, ...]:
    """As a secret may stand in a URL, or in JSON, where that is not as it is."""
    if b" " in secret or _PLAIN.fullmatch(secret):  # a scheme and a token: the token is there by itself
        return ()
    escaped = json.dumps(secret.decode("utf-8", "replace"))[1:-1]
    return quote(secret, safe="").encode(), escaped.encode(), escaped.replace("/", "\\/").encode()


def _without(body: bytes, secrets: tuple[bytes, ...], rules: Rules | None) -> bytes:
    for secret in (*secrets, *_issued(body)):
        if secret in body:
            body = body.replace(secret, b"*" * len(secret))
    return rules.clean(body, same_length=True) if rules is not None else body


def _issued(body: bytes) -> list[bytes]:
    """The credentials that an answer is there to give."""
    if len(body) > _LONGEST_ISSUING or not any(hint in body for hint in _ISSUED_HINTS):
        return []
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return []
    if not isinstance(document, dict):
        return []
    ephemeral = document.get("client_secret")
    if isinstance(ephemeral, dict):
        document = {**document, "client_secret": ephemeral.get("value")}
    given = [document.get(name) for name in _ISSUED]
    for name, shape in _ISSUED_SHAPES:
        value = document.get(name)
        given += [value] if isinstance(value, str) and value.startswith(shape) else []
    found = [
        one.encode("utf-8", "replace") for one in given if isinstance(one, str) and len(one) >= _SHORTEST
    ]
    return [*found, *(spelled for secret in found for spelled in spellings(secret))]


def _decoded_lengths(kept: Recording) -> list[int]:
    """How many bytes each chunk adds to what the program can read; nothing for what is no such body."""
    assert kept.head is not None
    lengths: list[int] = []
    start = 0
    try:
        decoder = Decoder(kept.head)
        for length, _ in kept.cuts:
            lengths.append(len(decoder.feed(kept.body[start : start + length])))
            start += length
    except Exception:  # noqa: BLE001 - codecs share no base error
        return []
    return lengths
