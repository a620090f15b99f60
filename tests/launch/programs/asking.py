"""An LLM call, made in the ways that the programs beside this one need."""

from __future__ import annotations

import os

import httpx

_URL = f"{os.environ['ASK_URL']}/v1/chat/completions"


def _request(what: str) -> dict[str, object]:
    return {"model": "m", "messages": [{"role": "user", "content": what}]}


def ask(what: str) -> str:
    """The answer, which is what was asked."""
    answer = httpx.post(_URL, json=_request(what), trust_env=False, timeout=30)
    return str(answer.raise_for_status().json()["said"])


async def ask_async(what: str) -> str:
    """The same, for an event loop of any kind."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        answer = await client.post(_URL, json=_request(what))
        return str(answer.raise_for_status().json()["said"])


def ask_by_requests(what: str) -> str:
    """The same over requests."""
    import requests

    answer = requests.post(_URL, json=_request(what), timeout=30)
    answer.raise_for_status()
    return str(answer.json()["said"])
