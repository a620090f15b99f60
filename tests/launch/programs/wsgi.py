"""A WSGI application: the answer to what its path asks. ``/`` asks nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from asking import ask

if at_import := os.environ.get("ASK_AT_IMPORT"):
    ask(at_import)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    what = environ["PATH_INFO"].strip("/")
    body = (ask(what) if what else "ready").encode()
    start_response("200 OK", [("Content-Length", str(len(body))), ("X-Process", str(os.getpid()))])
    return [body]
