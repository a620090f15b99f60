"""The program that meets a fault: a preamble that gives it `ask(text)` and `show(*texts)`."""

from __future__ import annotations

from dataclasses import dataclass

# What a program does, whichever library it uses: it prints all that it gets.
LIBRARIES = ("httpx2", "httpx2 async", "requests", "aiohttp")
AGENT = """
import os, sys, threading, time
LIBRARY, URL = sys.argv[1], sys.argv[2]

if LIBRARY == "requests":
    import requests
    session = requests.Session()
    session.trust_env = False
    def ask(text):
        url = URL + "/v1/chat/completions"
        with session.post(url, data=text.encode(), timeout=30, stream=True) as response:
            return response.status_code, b"".join(response.iter_content(None))
elif LIBRARY == "httpx2":
    import ssl
    import httpx2
    client = httpx2.Client(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False, timeout=30)
    def ask(text):
        with client.stream("POST", URL + "/v1/chat/completions", content=text.encode()) as response:
            return response.status_code, b"".join(response.iter_bytes())
elif LIBRARY == "httpx2 async":
    import asyncio, ssl
    import httpx2
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    def ask(text):
        async def main():
            async with httpx2.AsyncClient(verify=tls, trust_env=False, timeout=30) as client:
                response = await client.post(URL + "/v1/chat/completions", content=text.encode())
                return response.status_code, response.content
        return asyncio.run(main())
else:
    import asyncio
    import aiohttp
    def ask(text):
        async def main():
            async with aiohttp.ClientSession() as client:
                async with client.post(URL + "/v1/chat/completions", data=text.encode()) as response:
                    return response.status, await response.read()
        return asyncio.run(main())

def show(*texts):
    for text in texts:
        print(text, *ask(text), flush=True)
"""


@dataclass(frozen=True)
class Done:
    """A program that has ended. ``said``: what the agent wrote to stderr; ``err``: all of stderr."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("rewind-")]
