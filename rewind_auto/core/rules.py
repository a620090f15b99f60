"""What a user wants redacted beside credentials: names, and regular expressions.

``ssn,x-tenant,/ACME-[0-9]{8}/``: a name is that of a header, a query parameter, or a field of JSON or of a
form, in any case, at any depth; a regular expression stands between slashes, and is looked for in everything
that is written. One with a group loses what is in its first group.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rewind_auto.core.secret_shapes import MARK, Span, closing, replaced

_IGNORING = re.IGNORECASE | re.DOTALL
_RULE = re.compile(r"\s*(?:/(?P<pattern>.+?)/(?=\s*(?:,|$))|(?P<name>[^,/][^,]*?)?)\s*(?:,|$)", re.DOTALL)
_NAME = re.compile(r"[\w.$@\-]+", re.ASCII)
# In what is kept of a rule's value: a string (which is no name of a field), a number, a word.
_LEAF = re.compile(rb'"((?:[^"\\]|\\.)*)"(\s*:)?|-?\d[\d.eE+\-]*', re.DOTALL)
_SCALAR = re.compile(rb"-?\d[\d.eE+\-]*")
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_UNQUOTED = re.compile(rb"""=([^\s&"'<>\\#]+)""")


def split(text: str) -> tuple[str, ...]:
    """The rules in a text, each checked.

    Raises:
        ValueError: one of them is neither a name nor a regular expression.
    """
    found, at = [], 0
    while at < len(text):
        rule = _RULE.match(text, at)
        if rule is None:
            raise ValueError(f"{text[at:].strip()!r} has no slash at its end")
        at = rule.end()
        if rule["pattern"] is not None:
            found.append(f"/{rule['pattern']}/")
        elif rule["name"]:
            found.append(rule["name"])
    for one in found:
        _compiled(one)
    return tuple(found)


def _compiled(rule: str) -> re.Pattern[bytes] | None:
    """The regular expression of a rule, or None for a name."""
    if not rule.startswith("/"):
        if not _NAME.fullmatch(rule):
            raise ValueError(f"{rule!r} is neither a name nor a regular expression between slashes")
        return None
    try:
        pattern = re.compile(rule[1:-1].encode())
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{rule} is no regular expression: {error}") from None
    if pattern.search(b""):
        raise ValueError(f"{rule} matches where nothing is")
    return pattern


class Rules:
    """Rules, ready to be applied.

    Args:
        rules: as `split` gives them.

    Raises:
        ValueError: as `split`.
    """

    def __init__(self, rules: tuple[str, ...]) -> None:
        self._patterns = [pattern for pattern in map(_compiled, rules) if pattern is not None]
        self._names = frozenset(rule.lower() for rule in rules if not rule.startswith("/"))
        either = "|".join(re.escape(name) for name in sorted(self._names)).encode()
        self._part = re.compile(
            rb'form-data; ?name="(?:%b)"\r\n(?:[^\r\n]+\r\n)*\r\n(.*?)(?=\r\n--|\Z)' % either, _IGNORING
        )
        # A field, with any quotes around its name, or a parameter in a query or a form.
        self._field = re.compile(
            rb"""(?<![\w.$@\-])(?:%b)(?:(\\*)["'])?(?:\s{0,16}:\s{0,16}|(?==))""" % either, re.IGNORECASE
        )

    def has(self, name: str) -> bool:
        """Whether this is the name of a header or a parameter that is to be redacted."""
        return name.lower() in self._names

    def clean(self, body: bytes, *, same_length: bool = False) -> bytes:
        """The body without what the rules find.

        Args:
            body: JSON stays JSON where a rule finds whole values in it.
            same_length: put stars in its place, as many as it had bytes: chunk boundaries stay true.
        """
        put = _stars if same_length else _mark
        for pattern in self._patterns:
            group = 1 if pattern.groups else 0
            found = (match.span(group) for match in pattern.finditer(body))
            body = replaced(body, [span for span in found if 0 <= span[0] < span[1]], put)
        return replaced(body, self._values(body), put) if self._names else body

    def _values(self, body: bytes) -> Iterator[Span]:
        if b"form-data" in body:
            yield from (part.span(1) for part in self._part.finditer(body))
        covered = 0  # up to where everything is taken out
        for found in self._field.finditer(body):
            if found.start() < covered:
                continue
            at, depth = found.end(), len(found[1] or b"")
            unquoted = _UNQUOTED.match(body, at)
            if unquoted:
                yield unquoted.span(1)
                covered = unquoted.end()
                continue
            quote = at + len(body[at : at + 64]) - len(body[at : at + 64].lstrip(b"\\"))
            if body[quote : quote + 1] in (b'"', b"'"):
                end = closing(body, quote + 1, quote - at, body[quote : quote + 1])
                if end is not None and end > quote + 1:
                    yield quote + 1, end
                    covered = end
            elif body[at : at + 1] in (b"{", b"[") and not depth:
                covered = _end(body, at)
                leaves = _LEAF.finditer(body, at, covered)
                yield from (leaf.span(0 if leaf[1] is None else 1) for leaf in leaves if not leaf[2])
            elif scalar := _SCALAR.match(body, at):
                yield scalar.span()


def _end(body: bytes, start: int) -> int:
    """Where the object or list ends that begins here."""
    depth = 0
    for token in _TOKEN.finditer(body, start):
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(token[0], 0)
        if not depth:
            return token.end()
    return len(body)


def _is_number(body: bytes, start: int, end: int) -> bool:
    """Whether this is a number of JSON, which a mark or a star would be none."""
    before, after = body[max(0, start - 4) : start].rstrip(), body[end : end + 4].lstrip()
    return bool(_SCALAR.fullmatch(body, start, end)) and before[-1:] in b":,[" and after[:1] in b",]}"


def _mark(body: bytes, start: int, end: int) -> bytes:
    return b"0" if _is_number(body, start, end) else MARK


def _stars(body: bytes, start: int, end: int) -> bytes:
    return (b"1" if _is_number(body, start, end) else b"*") * (end - start)
