"""A client of the Debug Adapter Protocol, as an editor is one.

Messages: https://microsoft.github.io/debug-adapter-protocol/specification
"""

from __future__ import annotations

import itertools
import json
import socket
import time
from types import TracebackType
from typing import Any, Self


class Debugger:
    """Attached to the debuggee on a port, once it listens there.

    Raises:
        TimeoutError: it does not, or what is waited for does not come.
    """

    def __init__(self, port: int, timeout: float = 60.0) -> None:
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", port), timeout)
                break
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"nobody listens on {port}") from None
                time.sleep(0.05)
        self._stream = self._socket.makefile("rb")
        self._numbers = itertools.count(1)
        self._unread: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._socket.close()

    def send(self, command: str, **arguments: Any) -> int:
        """Send a request; returns its number."""
        number = next(self._numbers)
        request = {"seq": number, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(request).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        return number

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a request; returns what it brings."""
        return self.answer(self.send(command, **arguments))

    def answer(self, number: int) -> dict[str, Any]:
        """What the request of this number brings."""
        found = self._wait(lambda message: message.get("request_seq") == number)
        assert found["success"], found
        return dict(found.get("body") or {})

    def event(self, name: str) -> dict[str, Any]:
        """The next event of this name."""
        return dict(self._wait(lambda message: message.get("event") == name).get("body") or {})

    def _wait(self, is_it: Any) -> dict[str, Any]:
        for message in self._unread:
            if is_it(message):
                self._unread.remove(message)
                return message
        while not is_it(message := self._read()):
            self._unread.append(message)
        return message

    def _read(self) -> dict[str, Any]:
        length = 0
        while line := self._stream.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        assert length, "the debuggee is gone"
        message: dict[str, Any] = json.loads(self._stream.read(length))
        return message
