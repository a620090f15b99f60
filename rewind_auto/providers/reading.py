"""Taking values out of JSON that nobody has checked. Nothing here raises: what does not fit is not there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rewind_auto.core import sse

_BLANK = b"\xef\xbb\xbf \t\r\n"  # a byte order mark, and the blanks that keep a slow answer alive
_LARGEST = 2**63 - 1  # what a span attribute and a database column hold
MODALITIES = ("text", "image", "audio")  # which the conventions have token counts for
_SMALL = 64 * 1024
_EDGE = 8 * 1024


def parse(data: bytes | str) -> Any:
    """Return the JSON value, or None. Nesting that the parser refuses is a RecursionError."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def is_json(body: bytes) -> bool:
    """Whether a body starts as a JSON object or array does, rather than a stream of events."""
    return body.lstrip(_BLANK)[:1] in (b"{", b"[")


def documents(body: bytes) -> list[dict[str, Any]]:
    """Return the objects of a JSON body: the one it is, or those in its array, as far as they go."""
    value = parse(body)
    if value is None and body.lstrip(_BLANK)[:1] == b"[":
        value = _array_so_far(body)
    return [value] if isinstance(value, dict) else objects(value)


def _array_so_far(body: bytes) -> list[Any]:
    """The whole elements of an array that is cut or broken somewhere."""
    text = body.decode("utf-8", "replace")
    decode = json.JSONDecoder().raw_decode
    values: list[Any] = []
    at = text.find("{")
    while at >= 0:
        try:
            value, end = decode(text, at)
        except (ValueError, RecursionError):
            break
        values.append(value)
        at = text.find("{", end)
    return values


def pieces(body: bytes, telling: re.Pattern[bytes] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the objects of an answer: the one it is, or one for each line or event of a stream.

    Args:
        body: what came.
        telling: finds the pieces of a stream that are wanted, beside the first. None for all of them.
    """
    if is_json(body):
        value = parse(body)
        if value is not None:
            yield obj(value)
            return
        written = iter(body.splitlines())
    else:
        written = (data for _, data in sse.events(body))
    first = True
    for piece in written:
        if first or telling is None or telling.search(piece):
            value = parse(piece)
            if isinstance(value, dict):
                first = False
                yield value


def outline(body: bytes, *names: str) -> dict[str, Any]:
    """Return a small document as it is; of a large one these fields, if they stand near its start or end.

    Embeddings and images come in megabytes, and all that is asked for stands around them.
    """
    if len(body) <= _SMALL:
        return obj(parse(body))
    found: dict[str, Any] = {}
    field = re.compile(rf'"({"|".join(names)})"\s*:\s*')
    decode = json.JSONDecoder().raw_decode
    for edge in (body[:_EDGE], body[-_EDGE:]):
        told = edge.decode("utf-8", "replace")
        for match in field.finditer(told):
            try:
                found[match[1]] = decode(told, match.end())[0]
            except (ValueError, RecursionError):
                continue
    return found


def obj(value: Any) -> dict[str, Any]:
    """Return the object, or an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """Return those elements of a list that are objects."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: Any) -> str | None:
    """Return the string, fit to be encoded, unless it is empty."""
    return clean(value) if isinstance(value, str) and value else None


def clean(value: str) -> str:
    """Join surrogates that arrived in two escapes. One left alone is replaced: it cannot be exported."""
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def texts(value: Any) -> tuple[str, ...]:
    """Return the strings of a list, or the one string that stands for a list."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        return ()
    return tuple(clean(item) for item in value if isinstance(item, str))


def integer(value: Any) -> int | None:
    """Return a whole number, also one written as 3.0."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and -_LARGEST <= value <= _LARGEST else None


def number(value: Any) -> float | None:
    """Return a finite number."""
    if type(value) is int and abs(value) <= _LARGEST:
        value = float(value)
    return value if type(value) is float and value - value == 0 else None


def usage(counts: Mapping[str, Any]) -> dict[str, int]:
    """Return those token counts that are counts."""
    whole = ((name, integer(count)) for name, count in counts.items())
    return {name: count for name, count in whole if count is not None and count >= 0}


def total(*counts: Any) -> int | None:
    """Return the sum of those that are counts, or None when none is."""
    known = [count for count in map(integer, counts) if count is not None]
    return sum(known) if known else None


def arguments(value: Any) -> Any:
    """Return what a tool was called with: providers send JSON inside a string, and not always whole."""
    if not isinstance(value, str):
        return value
    parsed = parse(value) if value.lstrip()[:1] in ("{", "[") else None
    return clean(value) if parsed is None else parsed


def pick(source: Mapping[str, Any], *names: str) -> Any:
    """Return the first of these fields that is there and not null."""
    for name in names:
        value = source.get(name)
        if value is not None:
            return value
    return None


def merged_text(pieces: Iterable[Any]) -> str:
    """Return the strings among the pieces, joined."""
    return clean("".join(piece for piece in pieces if isinstance(piece, str)))


def error_code(document: Mapping[str, Any]) -> str | None:
    """Return a provider's code from ``{"error": …}``: a word if it has one, else a number or "error"."""
    error = document.get("error")
    if not error:
        return None
    if isinstance(error, str):
        return "error"
    # OpenAI has code and type, Anthropic has type, Google a status beside the HTTP code.
    fields = obj(error)
    for name in ("status", "code", "type"):
        value = fields.get(name)
        if isinstance(value, str) and value:
            return clean(value)
    code = integer(fields.get("code"))
    return "error" if code is None else str(code)


def complaint(body: bytes) -> str | None:
    """Return what an error's body says is wrong, or None where it is no JSON that says it in words."""
    said: Any = parse(body)
    if isinstance(said, list) and said:  # Gemini's streams
        said = said[0]
    for key in ("error", "message", "detail"):
        if isinstance(said, dict) and key in said:
            said = said[key]
    return text(said)
