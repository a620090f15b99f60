"""Secrets out, before anything is written.

Headers lose their value but keep their name (and the scheme of ``Authorization``), cookies keep their
names and attributes, query parameters keep their name. Bodies of requests lose what is shaped like a
key. The credentials of the request itself are also looked for, verbatim, in everything else the step
keeps: its URL, its bodies, its error text. Answers are kept for a replay byte for byte, but for these, for
the credentials that an answer issues, and for what the user's own rules find.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from rewind_auto.core import redact_answer, secret_shapes
from rewind_auto.core.decode import uncoded
from rewind_auto.core.model import Headers, Recording, Request, Step
from rewind_auto.core.rules import Rules

MARK = "[redacted]"
_MARK = MARK.encode()

_COOKIES = (b"cookie", b"set-cookie")
_QUERY_NAMES = re.compile(r"^(key|code)$", re.IGNORECASE)

_SIGNED = re.compile(rb"\b(?:Credential|Signature)=([^,/\s]+)")  # of AWS, in one header
_SHORTEST = 8  # a shorter credential would blank innocent text

_rules: Rules | None = None


def use(rules: tuple[str, ...]) -> None:
    """Apply these rules of the user's from now on, in all of this process.

    Raises:
        ValueError: one of them makes no sense.
    """
    global _rules
    _rules = Rules(rules) if rules else None
    _names.clear()
    _seen.clear()
    url.cache_clear()
    credentials.cache_clear()


def has_rules() -> bool:
    """Whether the user has rules of their own."""
    return _rules is not None


_names: dict[bytes, bool] = {}  # header name as spelled -> secret; programs use few spellings
_NAMES_KEPT = 1024
# Looked at for their fingerprints, and soon to be written. They are held, since an id alone may come again.
_seen: dict[int, bytes] = {}
_SEEN_KEPT = 64
_LARGE, _LONGEST_SEEN = 1 << 18, 1 << 24  # bytes; of large ones, one


def _is_secret(name: bytes) -> bool:
    known = _names.get(name)
    if known is None:
        if len(_names) >= _NAMES_KEPT:
            _names.clear()
        known = _names[name] = is_secret_name(name.decode("latin-1")) or name.lower() in _COOKIES
    return known


def is_secret_name(name: str) -> bool:
    """Whether what is called this, a header or a parameter, is to be redacted."""
    return secret_shapes.is_name(name) or (_rules is not None and _rules.has(name))


def headers(pairs: Headers, secrets: tuple[bytes, ...] = (), *, shapes: bool = False) -> Headers:
    """The same headers with the values of secret ones replaced, and ``secrets`` wherever they turn up.

    ``shapes``: and what is shaped like a key, whatever the header is called.
    """
    kept = [(name, _value(name, value) if _is_secret(name) else value) for name, value in pairs]
    others = b"\n".join([value for name, value in pairs if not _is_secret(name)])  # one look at all of them
    clean = request_body if shapes else _ruled
    if clean(others, secrets) != others:
        kept = [(name, value if _is_secret(name) else clean(value, secrets)) for name, value in kept]
    return tuple(kept)


def _verbatim(data: bytes, secrets: tuple[bytes, ...]) -> bytes:
    for secret in secrets:
        if secret in data:
            data = data.replace(secret, _MARK)
    return data


def _ruled(data: bytes, secrets: tuple[bytes, ...]) -> bytes:
    data = _verbatim(data, secrets)
    return _rules.clean(data) if _rules is not None else data


def _value(name: bytes, value: bytes) -> bytes:
    lowered = name.lower()
    if lowered in _COOKIES:
        return _cookie(value, response=lowered == b"set-cookie")
    scheme, space, _ = value.partition(b" ")
    return scheme + b" " + _MARK if space and scheme.isalpha() else _MARK


def _cookie(value: bytes, *, response: bool) -> bytes:
    """``a=1; b=2`` keeps its names; a ``Set-Cookie`` keeps its attributes too, so that jars still work."""
    parts = value.split(b";")
    secret = parts[:1] if response else parts
    kept = parts[1:] if response else []
    blanked = [
        name + b"=" + _MARK if eq else _MARK for name, eq, _ in (part.partition(b"=") for part in secret)
    ]
    return b";".join([*blanked, *kept])


@lru_cache(maxsize=512)  # programs call few URLs, many times
def url(address: str) -> str:
    """The URL without user information, values of secret parameters, and what is shaped like a key."""
    scheme, sep, rest = address.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0] if sep else ""
    if "@" in authority:
        address = f"{scheme}://{rest[authority.rindex('@') + 1 :]}"
    address, sharp, fragment = address.partition("#")
    head, question, query = address.partition("?")
    kept = head + (question + query_string(query) if question else "")
    return text(kept + (sharp + query_string(fragment) if sharp else ""))


def query_string(query: str) -> str:
    """A raw query string with the values of secret parameters replaced."""
    if not query:
        return query
    return "&".join(_parameter(part) for part in query.split("&"))


def _parameter(part: str) -> str:
    name, eq, _ = part.partition("=")
    return f"{name}={MARK}" if eq and _is_parameter(name) else part


def _is_parameter(name: str) -> bool:
    name = unquote(name)
    return bool(_QUERY_NAMES.match(name)) or is_secret_name(name)


@lru_cache(maxsize=16)  # asked for before a call and after it
def credentials(pairs: Headers, address: str) -> tuple[bytes, ...]:
    """The secrets that this request itself carries, longest first."""
    found: set[bytes] = set()
    for name, value in pairs:
        if not _is_secret(name):
            continue
        if name.lower() in _COOKIES:
            found.update(part.partition(b"=")[2].strip() for part in value.split(b";"))
        else:
            found.add(value.strip())
            token = value.strip().rpartition(b" ")[2]
            found.add(token)
            found.update(_SIGNED.findall(value))
            if value[:6].lower() == b"basic ":
                found.add(_password(token))
    for part in re.split("[&#]", address.partition("?")[2]) if "?" in address else ():
        parameter, _, text_value = part.partition("=")
        if _is_parameter(parameter):
            found.update((text_value.encode("utf-8", "surrogatepass"), unquote_to_bytes(text_value)))
    inside = address.partition("://")[2].partition("/")[0].rpartition("@")[0]
    if inside:
        found.add(unquote_to_bytes(inside.partition(":")[2]))
    long = [secret for secret in found if len(secret) >= _SHORTEST and secret != _MARK]
    found.update(spelled for secret in long for spelled in redact_answer.spellings(secret))
    found.difference_update((_MARK, b""))
    return tuple(sorted((s for s in found if len(s) >= _SHORTEST), key=len, reverse=True))


def _password(token: bytes) -> bytes:
    """The password in a token of the Basic scheme; user information in a URL is sent as one, too."""
    try:
        return b64decode(token).partition(b":")[2]
    except ValueError:
        return b""


def command(words: Sequence[str]) -> tuple[str, ...]:
    """A command line without secrets: ``--api-key=…``, ``--token …``, and what is shaped like a key."""
    kept: list[str] = []
    for word in words:
        flag = kept[-1] if kept else ""
        if flag[:1] == "-" and "=" not in flag and _is_flag(flag) and word[:1] != "-":
            kept.append(MARK)
            continue
        name, eq, _ = word.partition("=")
        kept.append(f"{name}={MARK}" if eq and _is_flag(name) else text(word))
    return tuple(kept)


def _is_flag(name: str) -> bool:
    """Whether an option, or a variable given to ``env``, is named after a secret."""
    bare = name.strip("-")
    return bare.lower() == "key" or (" " not in bare and is_secret_name(bare))


def request_body(body: bytes, secrets: tuple[bytes, ...] = ()) -> bytes:
    """A request body without key-shaped strings, values of key fields, and the request's own secrets."""
    body = secret_shapes.clean(_verbatim(body, secrets))
    return _rules.clean(body) if _rules is not None else body


def seen(body: bytes) -> None:
    """Note that a body has no secrets in it, so that it need not be looked through again: see `was_seen`."""
    size = len(body)
    if size <= _LONGEST_SEEN:
        if len(_seen) >= _SEEN_KEPT or size >= _LARGE:
            _seen.clear()
        _seen[id(body)] = body


def unseen(body: bytes) -> None:
    """Take back what `seen` noted: there are secrets of another request in it."""
    _seen.pop(id(body), None)


def is_clean(body: bytes) -> bool:
    """Whether this very object was said to have no secrets in it, and was not yet written."""
    return not body or _seen.get(id(body)) is body


def was_seen(body: bytes) -> bool:
    """Whether this very object was said to have no secrets in it. To be asked once."""
    return _seen.pop(id(body), None) is body


def text(message: str, secrets: tuple[bytes, ...] = ()) -> str:
    """Free text, such as an error message, without secrets."""
    raw = message.encode("utf-8", "surrogatepass")  # whatever an exception has for a text
    cleaned = request_body(raw, secrets)
    return message if cleaned == raw else cleaned.decode("utf-8", "replace")


def recording(kept: Recording, *, body: bool = True) -> tuple[Recording, tuple[bytes, ...]]:
    """A recording fit to be written, and the secrets its request carried.

    Args:
        kept: the recording as it was.
        body: False leaves the request body to the caller.
    """
    request = uncoded(kept.request)
    secrets = credentials(request.headers, request.url)
    clean = Request(
        request.method,
        url(request.url),
        headers(request.headers, secrets, shapes=True),
        request_body(request.body, secrets) if body else request.body,
        request.library,
    )
    kept = replace(kept, request=clean)
    redact_answer.clean(kept, secrets, _rules)
    if kept.head is not None:
        kept.head = replace(kept.head, headers=headers(kept.head.headers, secrets))
    if kept.fault is not None:
        found = facts(kept.fault.facts, secrets)
        kept.fault = replace(kept.fault, message=text(kept.fault.message, secrets), facts=found)
    return kept, secrets


def ruled(told: Any) -> Any:
    """What is not looked through for secrets at all, as the user's own rules have it."""
    return told if _rules is None else facts(told)


def step(kept: Step, secrets: tuple[bytes, ...] = ()) -> None:
    """Take secrets out of what a step says in words, in place."""
    kept.url = url(kept.url)
    kept.error = kept.error and text(kept.error, secrets)
    kept.note = kept.note and text(kept.note, secrets)
    kept.model, kept.call_site = ruled(kept.model), ruled(kept.call_site)
    if kept.detail:
        kept.detail = facts(kept.detail, secrets)


def facts(told: Any, secrets: tuple[bytes, ...] = ()) -> Any:
    """Plain values, such as the details of an error or attributes, with every text in them redacted."""
    if isinstance(told, dict):
        return {name: facts(fact, secrets) for name, fact in told.items()}
    if isinstance(told, (list, tuple)):
        return type(told)(facts(fact, secrets) for fact in told)
    return text(told, secrets) if isinstance(told, str) else told
