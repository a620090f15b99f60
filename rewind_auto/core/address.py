"""What a URL says of where a request goes, for URLs that the libraries take and `urllib` does not."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

_NO_BRACKETS = dict.fromkeys(map(ord, "[]"))


def port_of(parts: SplitResult) -> int | None:
    """The port, None when it is the scheme's own or there is no such port (httpx lets 123456 pass)."""
    try:
        return parts.port
    except ValueError:
        return None


def parts_of(url: str) -> SplitResult:
    """The parts of a URL that was read, whatever is in the place of its host.

    Where a secret was taken out of that, brackets are now, which only an IPv6 address may have; and what was
    read may have been made by somebody else.
    """
    try:
        return urlsplit(url)
    except ValueError:
        scheme, _, rest = url.partition("://")
        rest, _, fragment = rest.partition("#")
        rest, _, query = rest.partition("?")
        host, slash, path = rest.partition("/")
        return SplitResult(scheme, host.translate(_NO_BRACKETS), slash + path, query, fragment)
