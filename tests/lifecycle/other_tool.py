"""What another tool with its hands in the same libraries is to `with_others`."""

from __future__ import annotations

from contextlib import nullcontext

from calling import WAYS

MOCKED = "by the tool"


class Tool:
    """Imported when it is made.

    Attributes:
        ways: those that it works on.
        answers: whether it answers what is sent to /mocked in the server's place.
    """

    ways = WAYS
    answers = True

    def __init__(self, url):
        self.out, self.mocked = f"{url}/out/", f"{url}/mocked"

    def on(self):
        """Begin."""

    def off(self):
        """Give everything back."""

    def around(self):
        """To be held during a call."""
        return nullcontext()

    def seen(self):
        """What it has to say of the calls since the last time."""
