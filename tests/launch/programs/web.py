"""A Flask application: the answer to what its path asks. ``/`` asks nothing."""

from __future__ import annotations

import os

from asking import ask
from flask import Flask, Response

app = Flask(__name__)


@app.get("/", defaults={"what": ""})
@app.get("/<what>")
def answer(what: str) -> Response:
    return Response(ask(what) if what else "ready", headers={"X-Process": str(os.getpid())})
