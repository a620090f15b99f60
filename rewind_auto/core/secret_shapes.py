"""What a credential looks like in bytes: a key of a known issuer, or the value of what is named after one.

All of it works on bytes and stays linear in their number, whatever they are: a body is the program's, and
looking at it must not cost more than sending it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache

MARK = b"[redacted]"

# Any spelling: X-Api-Key, api_key, x-goog-api-key, Openai-Apikey, X-Amz-Security-Token, ... but not
# x-ratelimit-remaining-tokens, which ends in the plural, nor page_token, which is part of what is asked, nor
# Access-Control-Allow-Credentials.
_NAME = re.compile(
    r"^(?!access-control-).*(authorization|secret|passw(or)?d|passphrase|credential|signature"
    r"|(api|private|subscription|access|functions|virtual|litellm)[-_]?key)"
    r"|(^|(?<!page)(?<!continuation)[-_])(token|auth|jwt|sig|csrf|xsrf)$"
    r"|(access|refresh|security|session|bearer|id|csrf|xsrf)[-_]?token|(client|saml)[-_]?assertion|^assertion$",
    re.IGNORECASE,
)

_BEGIN = rb"-----BEGIN[ A-Z]{0,40}PRIVATE KEY-----"
# One pattern a family, each with the literal that must be there first: a substring test over the body is a
# hundred times cheaper than an alternation tried at every byte. For the same reason a pattern begins with a
# literal, and what must not be before it is looked at after it. What is in a group stays.
# They are compiled when they are needed: most never are, and to compile all takes longer than a call.
_KEY_SHAPED: tuple[tuple[bytes, bytes], ...] = (
    (b"sk-", rb"sk-(?<!\wsk-)[A-Za-z0-9_\-]{16,}"),  # OpenAI, Anthropic, and many more
    (b"csk-", rb"csk-(?<!\wcsk-)[A-Za-z0-9_\-]{16,}"),
    (b"bsk-", rb"bsk-(?<!\wbsk-)[A-Za-z0-9_\-]{16,}"),
    (b"ek_", rb"ek_(?<!\wek_)[A-Za-z0-9]{16,}"),  # OpenAI, for a browser
    (b"gsk_", rb"gsk_[A-Za-z0-9]{16,}"),
    (b"xai-", rb"xai-[A-Za-z0-9]{16,}"),
    (b"pplx-", rb"pplx-[A-Za-z0-9]{16,}"),
    (b"fw_", rb"fw_(?<!\wfw_)[A-Za-z0-9]{16,}"),
    (b"r8_", rb"r8_(?<!\wr8_)[A-Za-z0-9]{16,}"),
    (b"hf_", rb"hf_(?<!\whf_)[A-Za-z0-9]{16,}"),
    (b"tgp_", rb"tgp_(?<!\wtgp_)v1_[A-Za-z0-9_\-]{16,}"),  # Together
    (b"nvapi-", rb"nvapi-[A-Za-z0-9_\-]{16,}"),
    (b"dapi", rb"dapi(?<!\wdapi)[0-9a-f]{32}"),  # Databricks
    (b"tvly-", rb"tvly-(?<!\wtvly-)[A-Za-z0-9\-]{16,}"),
    (b"pcsk_", rb"pcsk_(?<!\wpcsk_)[A-Za-z0-9_]{16,}"),
    (b"sk_live_", rb"sk_live_(?<!\wsk_live_)[A-Za-z0-9]{16,}"),  # Stripe
    (b"rk_live_", rb"rk_live_(?<!\wrk_live_)[A-Za-z0-9]{16,}"),
    (b"gh", rb"gh(?<!\wgh)[posur]_[A-Za-z0-9]{16,}"),
    (b"github_pat_", rb"github_pat_[A-Za-z0-9_]{20,}"),
    (b"glpat-", rb"glpat-[A-Za-z0-9_\-]{16,}"),
    (b"lsv2_", rb"lsv2_[a-z]{2}_[A-Za-z0-9_]{16,}"),
    (b"AIza", rb"AIza[0-9A-Za-z_\-]{35}"),  # Google
    (b"ya29.", rb"ya29\.[0-9A-Za-z_\-]{20,}"),
    (b"GOCSPX-", rb"GOCSPX-[0-9A-Za-z_\-]{20,}"),
    (b"AKIA", rb"AKIA[0-9A-Z]{16}"),  # AWS
    (b"ASIA", rb"ASIA[0-9A-Z]{16}"),
    (b"ABSK", rb"ABSK(?<!\wABSK)[A-Za-z0-9+/]{20,}=*"),  # AWS, of Bedrock alone
    (b"bedrock-api-key-", rb"bedrock-api-key-[A-Za-z0-9+/]{16,}=*"),
    (b"xox", rb"xox[abeprs]-[A-Za-z0-9\-]{10,}"),  # Slack
    (b"hooks.slack.com", rb"(hooks\.slack\.com/services/)[A-Z0-9]+/[A-Z0-9]+/[A-Za-z0-9]{16,}"),
    (b"/webhooks/", rb"(/webhooks/)\d{15,20}/[A-Za-z0-9_\-]{40,}"),  # Discord
    (b":AA", rb"(?<!\d)\d{6,12}:AA[A-Za-z0-9_\-]{30,}"),  # Telegram, in the path
    (b"earer ", rb"[Bb]earer +[A-Za-z0-9._~+/\-]{16,}=*"),
    (
        b"PRIVATE KEY",
        _BEGIN + rb"(?:[^\"-]|-(?!----BEGIN))*?" + _BEGIN.replace(b"BEGIN", b"END"),
    ),
    (b"://", rb"(://)[^\s/@:?#\"'\\<>]*:[^\s/@?#\"'\\<>]{3,}(?=@)"),  # user:password@
)
_compiled = cache(re.compile)
# The second and third part of a JSON web token; the first is the run of such characters before it.
_JWT = re.compile(rb"\.eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]+")
_TOKEN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_LARGE, _BEGINNING = 1 << 16, 1 << 10  # bytes

# How the names of fields and parameters end that hold a credential. A look for these few is all that most
# bodies cost; what stands around one is looked at only where it was found.
_STEMS = (
    *(b"key", b"oken", b"ecret", b"assword", b"asswd", b"uthorization"),
    *(b"ignature", b"sig", b"ssertion", b"assphrase", b"redentials", b"jwt"),
)
_FIELD = re.compile(
    rb"(?:(?:api|private|secret|virtual|subscription|access|litellm)[-_]?key"
    rb"|(?:access|refresh|auth|session|bearer|security|csrf|xsrf|(?<![a-z])id)[-_]?token"
    rb"|secret|passw(?:or)?d|passphrase|credentials|jwt|authorization)\Z",
    re.IGNORECASE,
)
_PARAMETER = re.compile(_FIELD.pattern[:-3] + rb"|\A(?:key|token|sig)|signature|assertion)\Z", re.IGNORECASE)
_BEFORE = re.compile(rb"[A-Za-z0-9_.\-]+\Z")
_LONGEST_NAME = 64
_LONGEST = 16_384  # bytes of a credential
# The quotes may have backslashes before them, the same ones: the arguments of a tool call are JSON in JSON.
_QUOTED = re.compile(rb"""(?:(\\*)["'])?\s{0,16}[:=]\s{0,16}(\\*)(["'])""")
_UNQUOTED = re.compile(rb"""=([^\s&"'<>\\#]+)""")
_ESCAPED = b"\\u0026"  # an ampersand, as some write it in JSON
_SEPARATORS = (b"?", b"&", b";", _ESCAPED)
_PART = re.compile(rb'form-data; ?name="([^"\r\n]*)"\r\n(?:[^\r\n]+\r\n)*\r\n')
_FORM = re.compile(rb"[\w.%+~*\-$\[\]]+=[^\s&\"<>{}]*(?:&[\w.%+~*\-$\[\]]+=[^\s&\"<>{}]*)*")
_GRANTS = (b"grant_type=", b"response_type=")
_GRANTED = (b"code", b"code_verifier", b"device_code")

_BACKSLASH = ord("\\")

Span = tuple[int, int]


def is_name(name: str) -> bool:
    """Whether a header, a parameter or an option of this name holds a credential."""
    return bool(_NAME.search(name))


def clean(body: bytes) -> bytes:
    """The body without what is shaped like a key and the values of fields named after one."""
    if len(body) > _LARGE:
        rest = _without_files(body)
        if rest is not body and _cleaned(rest) == rest:
            return body
    return _cleaned(body)


def _without_files(body: bytes) -> bytes:
    """The body without the images and other files in it, which are strings in base64 and most of its size."""
    strings = body.split(b'"')
    if max(map(len, strings)) <= _LARGE:
        return body
    is_file = (len(one) > _LARGE and not one[_BEGINNING:].translate(None, _BASE64) for one in strings)
    return b'"'.join(one[:_BEGINNING] if file else one for one, file in zip(strings, is_file, strict=True))


def _cleaned(body: bytes) -> bytes:
    for hint, shape in _KEY_SHAPED:
        if hint in body:
            pattern = _compiled(shape)
            body = pattern.sub(rb"\1" + MARK if pattern.groups else MARK, body)
    if b".eyJ" in body:
        body = replaced(body, _web_tokens(body))
    return replaced(body, _named(body))


def _web_tokens(body: bytes) -> Iterator[Span]:
    for rest in _JWT.finditer(body):
        before = body[max(0, rest.start() - _LONGEST) : rest.start()]
        first = before.find(b"eyJ", len(before.rstrip(_TOKEN)))
        if 0 <= first <= len(before) - 11:
            yield rest.start() - len(before) + first, rest.end()


def _mark(_body: bytes, _start: int, _end: int) -> bytes:
    return MARK


def replaced(body: bytes, spans: Iterable[Span], put: Callable[[bytes, int, int], bytes] = _mark) -> bytes:
    """The body with something else in each span, as ``put`` says. Of spans that overlap the first counts."""
    made: list[bytes] = []
    done = 0
    for start, end in sorted(spans):
        if start >= done:
            made += [body[done:start], put(body, start, end)]
            done = end
    return b"".join([*made, body[done:]]) if made else body


def _named(body: bytes) -> Iterator[Span]:
    if b"=" in body and body[:1] not in (b"{", b"["):
        yield from _form(body)
        for part in _PART.finditer(body) if b"form-data" in body else ():
            if is_name(part[1].decode("latin-1")):
                end = body.find(b"\r\n--", part.end(), part.end() + _LONGEST)
                yield part.end(), end if end >= 0 else min(len(body), part.end() + _LONGEST)
    lowered = body.lower()
    for stem in _STEMS:
        at = lowered.find(stem)
        while at >= 0:
            at += len(stem)
            span = _value_after(body, at)
            if span is not None:
                yield span
                at = span[1]
            at = lowered.find(stem, at)


def _form(body: bytes) -> Iterator[Span]:
    """What is secret in ``a=b&c=d``, where that is all of the body."""
    trimmed = body.rstrip()
    if not _FORM.fullmatch(trimmed):
        return
    granted = any(grant in trimmed for grant in _GRANTS)
    at = 0
    for part in trimmed.split(b"&"):
        name, _, value = part.partition(b"=")
        if value and (is_name(name.decode("latin-1")) or (granted and name in _GRANTED)):
            yield at + len(name) + 1, at + len(part)
        at += len(part) + 1


def _value_after(body: bytes, end: int) -> Span | None:
    """Where the value is of the name that ends here, if it is one of a credential."""
    opened = _QUOTED.match(body, end)
    if opened is None and body[end : end + 1] != b"=":
        return None
    before = body[max(0, end - _LONGEST_NAME) : end]
    name = _BEFORE.search(before)
    if name is None:
        return None
    if opened is None:
        start = name.start() + (len(_ESCAPED) - 1 if before[name.start() - 1 :].startswith(_ESCAPED) else 0)
        asked = before[:start].endswith(_SEPARATORS) and _PARAMETER.search(before[start:])
        # A variable of an environment, as in the files that set them; an escape may be before it.
        variable = before[start + (before[:start][-1:] == b"\\") :]
        known = asked or (variable.isupper() and _FIELD.search(variable))
        unquoted = _UNQUOTED.match(body, end) if known else None
        return unquoted.span(1) if unquoted else None
    if not _FIELD.search(name[0]):
        return None
    close = closing(body, opened.end(), len(opened[2]), opened[3])
    if close is None and opened[1] is not None and len(body) - opened.end() < _LONGEST:
        close = len(body)  # what was cut off in the middle of it
    return None if close is None or close == opened.end() else (opened.end(), close)


def closing(body: bytes, start: int, depth: int, quote: bytes = b'"') -> int | None:
    """Where the string ends that was opened before ``start`` by a quote with ``depth`` backslashes.

    None: it has no end, or is too long for a credential. An escaped quote has more backslashes, and an
    escaped backslash before the last quote twice as many: what is left over tells them apart.
    """
    at = body.find(quote, start, start + _LONGEST)
    while at >= 0:
        run = at
        while run > start and body[run - 1] == _BACKSLASH:
            run -= 1
        if (at - run) % (2 * depth + 2) == depth:
            return at - depth
        if at - run < depth:  # the string around this one ended
            return None
        at = body.find(quote, at + 1, start + _LONGEST)
    return None
