"""What changes between a recorded head and the one that is served."""

from __future__ import annotations

from dataclasses import replace

from rewind_auto.core.model import Head

# openai refuses to retry after longer delays, so making one short would change the program's path.
_LONGEST = 120.0  # seconds


def without_waiting(head: Head, *, retried: bool) -> Head:
    """The head with its retry delays brought to nothing, so that no SDK sleeps in a replay.

    ``retry-after: 0`` alone does not do it: openai and anthropic take a delay of zero for none given and
    fall back to their own back-off of half a second and more (``_calculate_retry_timeout``). The
    ``retry-after-ms: 1`` that they look at first does.

    Args:
        head: a recorded head.
        retried: whether the recorded program did try again, whatever delay was asked of it.
    """
    delay = _delay(head)
    if delay is None or (delay > _LONGEST and not retried):
        return head
    kept = [(n, v) for n, v in head.headers if n.lower() != b"retry-after-ms"]
    headers = [(n, b"0" if n.lower() == b"retry-after" else v) for n, v in kept]
    return replace(head, headers=(*headers, (b"retry-after-ms", b"1")))


def asks_to_wait(head: Head) -> bool:
    """Whether the head has a retry delay."""
    return any(name.lower() in (b"retry-after", b"retry-after-ms") for name, _ in head.headers)


def _delay(head: Head) -> float | None:
    """Seconds asked for; 0 for a date, which is in the past by now."""
    found: float | None = None
    for name, value in head.headers:
        lowered = name.lower()
        if lowered in (b"retry-after", b"retry-after-ms"):
            try:
                seconds = float(value) / (1000 if lowered.endswith(b"-ms") else 1)
            except ValueError:
                seconds = 0.0
            found = seconds if found is None else max(found, seconds)
    return found
