"""An ASGI application: the answer to what its path asks. ``/`` asks nothing."""

from __future__ import annotations

import os
from typing import Any

from asking import ask_async


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for _ in range(2):
            told = await receive()
            await send({"type": f"{told['type']}.complete"})
        return
    what = scope["path"].strip("/")
    body = (await ask_async(what) if what else "ready").encode()
    headers = [(b"content-length", b"%d" % len(body)), (b"x-process", b"%d" % os.getpid())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
