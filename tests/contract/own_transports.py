"""Transports as programs make their own, for either family of httpx."""

from __future__ import annotations


class Wrapping:
    """A transport of a program's own, around the library's, not a subclass of anything."""

    def __init__(self, driver, **options):
        self.inner = driver.HTTPTransport(**options)
        self.calls = 0

    def handle_request(self, request):
        self.calls += 1
        return self.inner.handle_request(request)

    async def handle_async_request(self, request):
        self.calls += 1
        return await self.inner.handle_async_request(request)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.inner.close()

    def close(self):
        self.inner.close()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.inner.aclose()

    async def aclose(self):
        await self.inner.aclose()


class Retrying(Wrapping):
    """Tries again by itself: the program sees one call."""

    def handle_request(self, request):
        for _ in range(2):
            response = super().handle_request(request)
            if response.status_code < 500:
                return response
            response.close()
        return super().handle_request(request)

    async def handle_async_request(self, request):
        for _ in range(2):
            response = await super().handle_async_request(request)
            if response.status_code < 500:
                return response
            await response.aclose()
        return await super().handle_async_request(request)


class Reading(Wrapping):
    """Reads the answer before it hands it on, as caches and loggers do."""

    def handle_request(self, request):
        response = super().handle_request(request)
        response.read()
        return response

    async def handle_async_request(self, request):
        response = await super().handle_async_request(request)
        await response.aread()
        return response


class Inside(Wrapping):
    """Has a client of its own inside."""

    def __init__(self, driver):
        super().__init__(driver)
        self.driver = driver
        self.client = driver.Client(trust_env=False)

    def _rebuilt(self, response):
        headers = [
            (name, value) for name, value in response.headers.raw if name.lower() != b"transfer-encoding"
        ]
        return self.driver.module.Response(response.status_code, headers=headers, content=response.content)

    def handle_request(self, request):
        return self._rebuilt(self.client.request(request.method, request.url, content=request.read()))

    async def handle_async_request(self, request):
        return self._rebuilt(
            await self.client.request(request.method, request.url, content=await request.aread())
        )


class OwnError(Exception):
    """What a transport of a program's own may raise."""
