"""A loopback server that costs little, in a process of its own. Prints its port.

``POST /stream?chunks=N&pause=MS`` streams events; every other path gets the 2 KB answer.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

from benchmarks.harness import ROOT, clean_environment
from benchmarks.scene import ANSWER, EVENT

_WHOLE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_1\r\nContent-Length: %d\r\n\r\n"
    % len(ANSWER)
) + ANSWER
_STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nx-request-id: req_1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    await reader.readexactly(int(line[15:]))
            target = head.split(b" ", 2)[1].decode()
            if target.startswith("/stream"):
                await _stream(writer, parse_qs(urlsplit(target).query))
            else:
                writer.write(_WHOLE)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _stream(writer: asyncio.StreamWriter, query: dict[str, list[str]]) -> None:
    writer.write(_STREAM)
    pause = float(query["pause"][0]) / 1000
    for _ in range(int(query["chunks"][0])):
        if pause:
            await asyncio.sleep(pause)
        writer.write(b"%x\r\n%b\r\n" % (len(EVENT), EVENT))
    writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(_DONE), _DONE))


_DONE = b"data: [DONE]\n\n"


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # Ends with the process that started it, however that ends, and with no word about open connections.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


@contextmanager
def running() -> Iterator[str]:
    """The server in a process of its own; yields its base URL."""
    command = [sys.executable, "-m", "benchmarks.server"]
    with subprocess.Popen(
        command, cwd=ROOT, env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


if __name__ == "__main__":
    asyncio.run(_main())
