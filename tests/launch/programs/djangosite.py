"""A Django site in one module, its own settings: the answer to what its path asks. ``/`` asks nothing.

The words up to e are asked by a synchronous view, all others by an asynchronous one.
"""

from __future__ import annotations

import os

from asking import ask, ask_async
from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path

DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1"]
SECRET_KEY = "of a site that lasts for seconds"
ROOT_URLCONF = __name__


def _answered(said: str) -> HttpResponse:
    return HttpResponse(said, headers={"X-Process": str(os.getpid())})


def ready(_request: HttpRequest) -> HttpResponse:
    return _answered("ready")


def answer(_request: HttpRequest, what: str) -> HttpResponse:
    return _answered(ask(what))


async def answer_async(_request: HttpRequest, what: str) -> HttpResponse:
    return _answered(await ask_async(what))


urlpatterns = [path("", ready), re_path(r"^(?P<what>word-[a-e])$", answer), path("<what>", answer_async)]
