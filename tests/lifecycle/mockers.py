"""Tools that answer in a server's place, or let a call out as they are told."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace

from other_tool import MOCKED, Tool


def _without_bytes(answer):
    return {**answer, "body": str(answer["body"])}


class Vcr(Tool):
    """With a cassette that has an answer for each way, since it plays each once."""

    PLAYED = """
- request: {{method: POST, uri: "{url}", body: "", headers: {{}}}}
  response:
    status: {{code: 200, message: OK}}
    headers: {{Content-Type: [text/plain]}}
    body: {{string: {answer}}}
"""

    def __init__(self, url):
        super().__init__(url)
        import vcr

        self.vcr = vcr

    def on(self):
        path = Path("cassette.yaml").absolute()
        played = self.PLAYED.format(url=self.mocked, answer=MOCKED) * 2 * len(self.ways)
        path.write_text(f"interactions:{played}version: 1")
        self.using = self.vcr.use_cassette(str(path), record_mode="new_episodes")
        self.cassette = self.using.__enter__()
        self.known = len(self.cassette)

    def off(self):
        self.using.__exit__(None, None, None)
        del self.using

    def seen(self):
        """What it recorded, and how often it played."""
        new = self.cassette.data[self.known :]
        self.known += len(new)
        return [
            [request.method, request.uri, str(request.body), dict(request.headers), _without_bytes(answer)]
            for request, answer in new
        ], self.cassette.play_count


class Respx(Tool):
    ways = ("httpx", "httpx async")
    using = "httpcore"

    def __init__(self, url):
        super().__init__(url)
        import respx

        self.respx = respx

    def on(self):
        self.router = self.respx.mock(assert_all_called=False, using=self.using)
        self.router.post(self.mocked).respond(200, text=MOCKED)
        self.router.post(url__startswith=self.out).pass_through()
        self.router.start()

    def off(self):
        self.router.stop()

    def seen(self):
        calls = [
            [call.request.method, str(call.request.url), call.has_response] for call in self.router.calls
        ]
        self.router.calls.reset()
        return calls


class RespxOfHttpx(Respx):
    using = "httpx"


class Responses(Tool):
    ways = ("requests",)

    def __init__(self, url):
        super().__init__(url)
        import responses

        self.responses = responses

    def on(self):
        self.mock = self.responses.RequestsMock(assert_all_requests_are_fired=False)
        self.mock.add("POST", self.mocked, body=MOCKED)
        self.mock.add_passthru(self.out)
        self.mock.start()

    def off(self):
        self.mock.stop()

    def seen(self):
        calls = [[call.request.url, call.request.body, call.response.text] for call in self.mock.calls]
        self.mock.calls.reset()
        return calls


class RequestsMock(Tool):
    ways = ("requests",)

    def __init__(self, url):
        super().__init__(url)
        import requests_mock

        self.mocker = requests_mock.Mocker(real_http=True)
        self.mocker.post(self.mocked, text=MOCKED)

    def on(self):
        self.mocker.start()

    def off(self):
        self.mocker.stop()

    def seen(self):
        calls = [[call.method, call.url, call.text] for call in self.mocker.request_history]
        self.mocker.reset()
        return calls


class Aioresponses(Tool):
    ways = ("aiohttp",)

    def __init__(self, url):
        super().__init__(url)
        from aiohttp import ClientResponse
        from aioresponses import aioresponses

        self.make = aioresponses
        # aioresponses 0.7.9 knows nothing of aiohttp 3.14's further argument.
        self.response = partial(ClientResponse, stream_writer=SimpleNamespace(output_size=0))

    def on(self):
        self.mock = self.make(passthrough=[self.out])
        self.mock.start()
        self.mock.post(self.mocked, body=MOCKED, repeat=True, response_class=self.response)

    def off(self):
        self.mock.stop()
        del self.mock

    def seen(self):
        calls = [[*map(str, key), len(times)] for key, times in self.mock.requests.items()]
        self.mock.requests.clear()
        return calls
