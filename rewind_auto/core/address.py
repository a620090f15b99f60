"""What a URL says of where a request goes, for URLs that the libraries take and `urllib` does not."""

from __future__ import annotations

from urllib.parse import SplitResult


def port_of(parts: SplitResult) -> int | None:
    """The port, None when it is the scheme's own or there is no such port (httpx lets 123456 pass)."""
    try:
        return parts.port
    except ValueError:
        return None
