"""Secrets out, before anything is written.

Headers lose their value but keep their name (and the scheme of ``Authorization``), cookies keep their
names and attributes, query parameters keep their name. Bodies of requests lose what is shaped like a
key. The credentials of the request itself are also looked for, verbatim, in everything else the step
keeps: its URL, its bodies, its error text.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any
from urllib.parse import unquote_to_bytes

from rewind_auto.core import event_stream
from rewind_auto.core.decode import content_encoding, decode
from rewind_auto.core.model import Headers, Recording, Request

MARK = "[redacted]"
_MARK = MARK.encode()

# Any spelling: X-Api-Key, api_key, x-goog-api-key, Openai-Apikey, X-Amz-Security-Token, ... but not
# x-ratelimit-remaining-tokens, which ends in the plural, nor page_token, which is part of what is asked, nor
# Access-Control-Allow-Credentials.
_SECRET_NAME = re.compile(
    r"^(?!access-control-).*(authorization|secret|passw(or)?d|credential|signature"
    r"|(api|private|subscription|access|functions)[-_]?key)"
    r"|(^|(?<!page)(?<!continuation)[-_])(token|auth|jwt|sig|csrf|xsrf)$"
    r"|(access|refresh|security|session|bearer|id)[-_]?token",
    re.IGNORECASE,
)
_COOKIES = (b"cookie", b"set-cookie")
_QUERY_NAMES = re.compile(r"^(key|code|sig|subscription-key)$", re.IGNORECASE)

# One pattern a family, each with the literal that must be there first: a substring test over the body is a
# hundred times cheaper than an alternation tried at every byte.
_KEY_SHAPED: tuple[tuple[bytes, re.Pattern[bytes]], ...] = tuple(
    (hint, re.compile(pattern))
    for hint, pattern in (
        (b"sk-", rb"\bsk-[A-Za-z0-9_\-]{16,}"),  # OpenAI, Anthropic, DeepSeek, OpenRouter
        (b"gsk_", rb"gsk_[A-Za-z0-9]{16,}"),
        (b"xai-", rb"xai-[A-Za-z0-9]{16,}"),
        (b"pplx-", rb"pplx-[A-Za-z0-9]{16,}"),
        (b"fw_", rb"\bfw_[A-Za-z0-9]{16,}"),
        (b"r8_", rb"\br8_[A-Za-z0-9]{16,}"),
        (b"hf_", rb"\bhf_[A-Za-z0-9]{16,}"),
        (b"gh", rb"\bgh[posu]_[A-Za-z0-9]{16,}"),
        (b"github_pat_", rb"github_pat_[A-Za-z0-9_]{20,}"),
        (b"glpat-", rb"glpat-[A-Za-z0-9_\-]{16,}"),
        (b"lsv2_", rb"lsv2_[a-z]{2}_[A-Za-z0-9_]{16,}"),
        (b"AIza", rb"AIza[0-9A-Za-z_\-]{35}"),  # Google
        (b"ya29.", rb"ya29\.[0-9A-Za-z_\-]{20,}"),
        (b"AKIA", rb"AKIA[0-9A-Z]{16}"),  # AWS
        (b"ASIA", rb"ASIA[0-9A-Z]{16}"),
        (b"ABSK", rb"\bABSK[A-Za-z0-9+/]{20,}=*"),  # AWS, of Bedrock alone
        (b"bedrock-api-key-", rb"bedrock-api-key-[A-Za-z0-9+/]{16,}=*"),
        (b"xox", rb"xox[abeprs]-[A-Za-z0-9\-]{10,}"),  # Slack
        (b"eyJ", rb"eyJ[A-Za-z0-9_\-]{8,}\.eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]+"),  # JWT
        (b"earer ", rb"[Bb]earer +[A-Za-z0-9._~+/\-]{16,}=*"),
        (b"PRIVATE KEY", rb"-----BEGIN[ A-Z]*PRIVATE KEY-----[^\"]*?-----END[ A-Z]*PRIVATE KEY-----"),
    )
)
# The quotes may have backslashes before them, the same ones: the arguments of a tool call are JSON in JSON.
_KEY_FIELD = re.compile(
    rb"""((?<!\\)(\\*")(?:[a-z_\-]*api[-_]?key|(?:access|refresh|auth|session|bearer)_?token|client_?secret
    |secret|password|private_?key|aws_secret_access_key|authorization)\2\s*:\s*\2)((?:[^"\\]|\\.)+?)(\2)""",
    re.VERBOSE | re.IGNORECASE,
)
_FIELD_HINTS = (b'key"', b'Key"', b'KEY"', b'oken"', b'ecret"', b'assword"', b'uthorization"')
_ESCAPED_HINTS = tuple(hint[:-1] + b"\\" for hint in _FIELD_HINTS)
_SIGNED = re.compile(rb"\b(?:Credential|Signature)=([^,/\s]+)")  # of AWS, in one header
_SHORTEST = 8  # a shorter credential would blank innocent text
_ERROR = 400


_names: dict[bytes, bool] = {}  # header name as spelled -> secret; programs use few spellings
_NAMES_KEPT = 1024


def _is_secret(name: bytes) -> bool:
    known = _names.get(name)
    if known is None:
        if len(_names) >= _NAMES_KEPT:
            _names.clear()
        known = _names[name] = bool(_SECRET_NAME.search(name.decode("latin-1"))) or name.lower() in _COOKIES
    return known


def headers(pairs: Headers, secrets: tuple[bytes, ...] = (), *, shapes: bool = False) -> Headers:
    """The same headers with the values of secret ones replaced, and ``secrets`` wherever they turn up.

    ``shapes``: and what is shaped like a key, whatever the header is called.
    """
    kept = [(name, _value(name, value) if _is_secret(name) else value) for name, value in pairs]
    others = b"\n".join([value for name, value in pairs if not _is_secret(name)])  # one look at all of them
    if any(secret in others for secret in secrets) or (shapes and request_body(others) != others):
        clean = request_body if shapes else _verbatim
        kept = [(name, value if _is_secret(name) else clean(value, secrets)) for name, value in kept]
    return tuple(kept)


def _verbatim(data: bytes, secrets: tuple[bytes, ...]) -> bytes:
    for secret in secrets:
        if secret in data:
            data = data.replace(secret, _MARK)
    return data


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
    """The URL without user information, values of secret query parameters, and what is shaped like a key."""
    head, question, query = address.partition("?")
    scheme, sep, rest = head.partition("://")
    if sep and "@" in rest.partition("/")[0]:
        authority, slash, path = rest.partition("/")
        head = f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
    return text(head + (question + query_string(query) if question else ""))


def query_string(query: str) -> str:
    """A raw query string with the values of secret parameters replaced."""
    if not query:
        return query
    return "&".join(_parameter(part) for part in query.split("&"))


def _parameter(part: str) -> str:
    name, eq, _ = part.partition("=")
    secret = _QUERY_NAMES.match(name) or _SECRET_NAME.search(name)
    return f"{name}={MARK}" if eq and secret else part


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
    for part in address.partition("?")[2].split("&") if "?" in address else ():
        parameter, _, text_value = part.partition("=")
        if _QUERY_NAMES.match(parameter) or _SECRET_NAME.search(parameter):
            found.update((text_value.encode(), unquote_to_bytes(text_value)))
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
    return bare.lower() == "key" or (" " not in bare and bool(_SECRET_NAME.search(bare)))


def request_body(body: bytes, secrets: tuple[bytes, ...] = ()) -> bytes:
    """A request body without key-shaped strings, values of key fields, and the request's own secrets."""
    body = _verbatim(body, secrets)
    for hint, pattern in _KEY_SHAPED:
        if hint in body:
            body = pattern.sub(_MARK, body)
    if names_secrets(body):
        body = _KEY_FIELD.sub(rb"\g<1>" + _MARK + rb"\g<4>", body)
    return body


def response_body(body: bytes, secrets: tuple[bytes, ...]) -> bytes:
    """A response body without the request's own secrets.

    Same length, so that chunk boundaries stay true; anything else is kept byte for byte, since it is
    what a replay serves.
    """
    for secret in secrets:
        if secret in body:
            body = body.replace(secret, b"*" * len(secret))
    return body


def text(message: str, secrets: tuple[bytes, ...] = ()) -> str:
    """Free text, such as an error message, without secrets."""
    raw = message.encode("utf-8", "surrogatepass")  # whatever an exception has for a text
    cleaned = request_body(raw, secrets)
    return message if cleaned == raw else cleaned.decode("utf-8", "replace")


def names_secrets(body: bytes) -> bool:
    """Whether a body seems to have a field that holds a credential. A quick look."""
    return any(hint in body for hint in _FIELD_HINTS) or (
        b'\\"' in body and any(hint in body for hint in _ESCAPED_HINTS)
    )


def recording(kept: Recording, *, body: bool = True) -> tuple[Recording, tuple[bytes, ...]]:
    """A recording fit to be written, and the secrets its request carried.

    Args:
        kept: the recording as it was.
        body: False leaves the request body to the caller.
    """
    request = kept.request
    secrets = credentials(request.headers, request.url)
    clean = Request(
        request.method,
        url(request.url),
        headers(request.headers, secrets, shapes=True),
        request_body(request.body, secrets) if body else request.body,
        request.library,
    )
    kept = replace(kept, request=clean, body=_answer(kept, secrets))
    if kept.head is not None:
        if kept.head.status >= _ERROR and content_encoding(kept.head):
            _look_inside(kept, secrets)
        kept.head = replace(kept.head, headers=headers(kept.head.headers, secrets))
    if kept.fault is not None:
        facts = _facts(kept.fault.facts, secrets)
        kept.fault = replace(kept.fault, message=text(kept.fault.message, secrets), facts=facts)
    return kept, secrets


def _answer(kept: Recording, secrets: tuple[bytes, ...]) -> bytes:
    """The body of the response without the request's own secrets; frames stay sound."""
    pairs = () if kept.head is None else kept.head.headers
    if not any(n.lower() == b"content-type" and v.startswith(event_stream.TYPE) for n, v in pairs):
        return response_body(kept.body, secrets)
    inside = event_stream.chunks(kept.body)
    if not any(secret in kept.body or secret in inside for secret in secrets):
        return kept.body
    return event_stream.cleaned(kept.body, partial(response_body, secrets=secrets))


def _facts(facts: Any, secrets: tuple[bytes, ...]) -> Any:
    if isinstance(facts, dict):
        return {name: _facts(fact, secrets) for name, fact in facts.items()}
    return text(facts, secrets) if isinstance(facts, str) else facts


def _look_inside(kept: Recording, secrets: tuple[bytes, ...]) -> None:
    """An error may quote the credential it refuses, and be compressed: then it is kept without its coding."""
    assert kept.head is not None
    body = decode(kept.head, kept.body)
    clean = response_body(body, secrets)
    if clean != body:
        kept.head, kept.body = replace(kept.head, wire=False), clean
        kept.cuts, kept.open_cuts = ((len(clean), kept.cuts[-1][1]),), ()
