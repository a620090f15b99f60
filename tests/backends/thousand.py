"""A thousand calls, as fast as they go."""

from __future__ import annotations

import os

import httpx2

URL = f"{os.environ['OPENAI_BASE_URL']}/chat/completions"

with httpx2.Client() as client:
    for number in range(1, 1001):
        question = {"role": "user", "content": f"number {number}"}
        client.post(URL, json={"model": "gpt-4o", "messages": [question]}).raise_for_status()
