"""The provider of the soak: no two of its answers are equal, and many of them go wrong.

Prints its port. Ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import socket
import struct
import sys
from itertools import count

_FAULTS = {"429": 4, "500": 4, "cut": 4, "reset": 3, "slow": 5, "none": 80}  # of a hundred answers
_KINDS = ("whole", "chunked", "gzip")
_SERIAL = count(1)


def _head(status: int, *more: bytes) -> bytes:
    lines = (b"HTTP/1.1 %d Whatever" % status, b"Content-Type: application/json", b"Retry-After: 0", *more)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _answer(asked: bytes) -> bytes:
    key = json.loads(asked)["messages"][0]["content"]
    said = {"role": "assistant", "content": f"{key} {next(_SERIAL)} " + "word " * random.randint(0, 400)}
    usage = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
    choices = [{"index": 0, "message": said, "finish_reason": "stop"}]
    return json.dumps({"id": "chatcmpl-1", "model": "m", "choices": choices, "usage": usage}).encode()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (
                    int(line[15:])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                ),
                0,
            )
            if not await _reply(writer, await reader.readexactly(length)):
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


async def _reply(writer: asyncio.StreamWriter, asked: bytes) -> bool:
    """Answer a request. False: that was the last of this connection."""
    [fault] = random.choices(list(_FAULTS), list(_FAULTS.values()))
    body = _answer(asked)
    if fault.isdigit():
        writer.write(_head(int(fault), b"Content-Length: %d" % len(body)) + body)
        return True
    kind = random.choice(_KINDS)
    if kind == "chunked":
        writer.write(_head(200, b"Transfer-Encoding: chunked"))
        cuts = range(0, len(body), max(1, len(body) // 5))
        pieces = [body[at : at + cuts.step] for at in cuts]
        pieces = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces] + [b"0\r\n\r\n"]
    else:
        coding = (b"Content-Encoding: gzip",) if kind == "gzip" else ()
        body = gzip.compress(body) if kind == "gzip" else body
        writer.write(_head(200, b"Content-Length: %d" % len(body), *coding))
        half = len(body) // 2
        pieces = [body[:half], body[half:]]
    for number, piece in enumerate(pieces):
        if number and fault == "slow":
            await asyncio.sleep(random.random() * 0.3)
        if number and fault in ("cut", "reset"):
            await asyncio.sleep(0.02)  # what was sent before is there
            if fault == "reset":
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        writer.write(piece)
        await writer.drain()
    return True


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(_main())
