"""Clients over clients: each of these is one exchange of the program's, whatever works on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing

import aiohttp
import requests
from requests.adapters import BaseAdapter

_HOP = ("content-encoding", "content-length", "transfer-encoding")


def over_aiohttp(module):
    """A transport for ``module.AsyncClient`` that sends by aiohttp, and streams what comes."""

    class Body(module.AsyncByteStream):
        def __init__(self, session, response):
            self.session, self.response = session, response

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for piece in self.response.content.iter_any():
                yield piece

        async def aclose(self):
            self.response.close()
            await self.session.close()

    class Transport(module.AsyncBaseTransport):
        async def handle_async_request(self, request):
            session = aiohttp.ClientSession()
            response = await session.request(
                request.method, str(request.url), data=await request.aread(), headers=dict(request.headers)
            )
            return module.Response(
                response.status, headers=list(response.headers.items()), stream=Body(session, response)
            )

    return Transport()


def over_requests(module):
    """A transport for ``module.Client`` that sends by requests."""

    class Transport(module.BaseTransport):
        def handle_request(self, request):
            answer = requests.request(request.method, str(request.url), data=request.read())
            headers = [pair for pair in answer.headers.items() if pair[0].lower() not in _HOP]
            return module.Response(answer.status_code, headers=headers, content=answer.content)

    return Transport()


def over_a_thread(module):
    """A transport for ``module.AsyncClient`` that has requests do it, in a thread."""
    inner = over_requests(module)

    class Transport(module.AsyncBaseTransport):
        async def handle_async_request(self, request):
            await request.aread()
            return await asyncio.to_thread(inner.handle_request, request)

    return Transport()


def over_an_executor(module):
    """The same in a thread that is not told whose work it does."""
    inner = over_requests(module)

    class Transport(module.AsyncBaseTransport):
        async def handle_async_request(self, request):
            await request.aread()
            return await asyncio.get_running_loop().run_in_executor(None, inner.handle_request, request)

    return Transport()


def retrying(module):
    """A transport for ``module.Client`` that tries again when it is told of an error."""

    class Transport(module.HTTPTransport):
        def handle_request(self, request):
            while (response := super().handle_request(request)).status_code >= 500:
                response.read()
            return response

    return Transport()


def by(module):
    """An adapter for a session of requests that sends with ``module.Client``."""

    class Adapter(BaseAdapter):
        def send(self, request, **_):
            with module.Client() as client:
                got = client.request(request.method, request.url, content=request.body)
            answer = requests.Response()
            answer.status_code, answer._content, answer.request = got.status_code, got.content, request
            answer.headers.update(got.headers)
            answer.url = request.url
            return answer

        def close(self):
            pass

    return Adapter()


def sync_client(module, transport, url):
    with module.Client(transport=transport(module)) as client:
        return client.post(url, content=b"hello").text


def async_client(module, transport, url):
    async def main():
        async with module.AsyncClient(transport=transport(module)) as client:
            return (await client.post(url, content=b"hello")).text

    return asyncio.run(main())


def session(adapter, url):
    with closing(requests.Session()) as opened:
        opened.mount("http://", adapter)
        return opened.post(url, data=b"hello").text
