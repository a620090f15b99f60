"""Known failures of recorders with what a client is made of; the rows are those of ``docs/limits.md``."""

from __future__ import annotations

import ssl

import aiohttp
import pytest
import requests
import trustme
from drivers import DRIVERS, HTTPX_DRIVERS, RequestsDriver
from http2_server import Http2Server
from own_transports import Wrapping
from proxies import Proxy
from servers import Server, answer, chunked, reply
from urllib3.util import Retry

CHAT = "/v1/chat/completions"
REQUESTS = RequestsDriver()


def asking(driver, server, client=dict, manner="buffered", **options):
    """``client`` makes the options of the client."""

    async def scenario():
        async with driver.client(**client()) as opened:
            return await driver.exchange(opened, "POST", f"{server.url}{CHAT}", manner, json={}, **options)

    return scenario


def through(driver, proxy):
    """The options that have a client use a proxy."""
    if driver.library == "requests":
        return {"proxies": {"http": proxy.url}}
    return {"proxy": proxy.url}


@pytest.mark.parametrize("driver", HTTPX_DRIVERS, ids=repr)
@pytest.mark.parametrize("way", ["mounts", "proxy", "HTTP_PROXY"])
def test_l04_mounts_and_proxies_of_httpx_are_covered(trial, server, driver, way, monkeypatch):
    """Which are one thing: a proxy is mounted."""
    server.on(CHAT, chunked([b"one\n", b"two\n"]))
    with Proxy(server) as proxy:
        trial.served.append(proxy)
        if way == "mounts":
            client = lambda: {"mounts": {"all://": driver.HTTPTransport(proxy=proxy.url)}}  # noqa: E731
        elif way == "proxy":
            client = lambda: {"proxy": proxy.url}  # noqa: E731
        else:
            monkeypatch.setenv(way, proxy.url)
            client = lambda: {"trust_env": True}  # noqa: E731
        assert len(trial.check(asking(driver, server, client, "raw"))) == 1
        assert len(proxy.seen) == 1


def test_l07_a_client_made_before_installation_is_covered(trial, server, driver):
    server.on(CHAT, answer("live"), answer("gone"))

    async def scenario():
        async with driver.client() as client:
            ask = lambda: driver.exchange(client, "POST", server.url + CHAT, content=b"{}")  # noqa: E731
            with trial.agent("record", "a" * 32):
                recorded = await ask()
            with trial.agent("replay", "b" * 32, source="a" * 32):
                replayed = await ask()
            return recorded.body, replayed.body, (await ask()).body

    assert driver.run(scenario()) == (b'"live"', b'"live"', b'"gone"')
    assert len(trial.steps("a" * 32)) == 1


# Providers that a list of eight hosts had not, and what only looks like one of them.
LISTED = [
    "bedrock-runtime.us-east-1.amazonaws.com",
    "openrouter.ai",
    "api.fireworks.ai",
    "mine.openai.azure.com",
    "us-central1-aiplatform.googleapis.com",
    "api.cohere.com",
    "api.x.ai",
    "eu.api.openai.com",
]
NAMED = ["api.replicate.com", "localhost"]
FOREIGN = ["api.openai.com.attacker.net", "api-openai.com", "api.replicate.com.attacker.net", "amazonaws.com"]


def test_l10_providers_are_known_by_whole_labels_and_others_can_be_named(trial, server, driver):
    server.on("", answer({"model": "m"}))
    trial.options["llm_hosts"] = tuple(NAMED)
    with Proxy(server) as proxy:
        trial.served.append(proxy)

        async def scenario(hosts=(*LISTED, *NAMED)):
            async with driver.client(**through(driver, proxy)) as client:
                urls = [f"http://{host}{CHAT}" for host in hosts]
                return [await driver.exchange(client, "POST", url, json={}) for url in urls]

        trial.record(lambda: scenario(FOREIGN))
        assert (len(server.seen), trial.steps()) == (len(FOREIGN), [])
        steps = trial.check(scenario)
    assert [step.url.split("/")[2] for step in steps] == [*LISTED, *NAMED]
    assert all(step.provider for step in steps[: len(LISTED)])


@pytest.mark.parametrize("driver", [REQUESTS], ids=repr)
def test_l11_an_adapter_that_the_program_mounts_is_covered(trial, server, driver):
    """Its retries are below the call that the program made."""
    server.on(CHAT, reply(b"", 503), reply(b"", 503), answer("at last"))
    calls = []

    class Own(requests.adapters.HTTPAdapter):
        def send(self, request, *args, **options):
            calls.append(request.url)
            return super().send(request, *args, **options)

    async def scenario():
        async with driver.client() as session:
            retry = Retry(2, status_forcelist=[503], allowed_methods=None, backoff_factor=0)
            session.mount("http://", Own(max_retries=retry))
            return await driver.exchange(session, "POST", server.url + CHAT, data=b"{}")

    [step] = trial.check(scenario)
    assert (step.status, len(server.seen)) == (200, 3)
    assert len(calls) == 2  # plain and recorded, not replayed


@pytest.mark.parametrize("trusts", [True, False])
def test_l20_certificates_of_both_sides_stay_as_the_client_has_them(trial, driver, tmp_path, trusts):
    authority, other = trustme.CA(), trustme.CA()
    of_server, of_client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tmp_path / "client.pem"
    authority.issue_cert("127.0.0.1").configure_cert(of_server)
    authority.configure_trust(of_server)
    of_server.verify_mode = ssl.CERT_REQUIRED
    authority.issue_cert("me@example.org").private_key_and_cert_chain_pem.write_to_path(of_client)
    trusted = tmp_path / "trusted.pem"
    (authority if trusts else other).cert_pem.write_to_path(trusted)
    context = ssl.create_default_context(cafile=trusted)
    context.load_cert_chain(of_client)
    client = {
        "requests": lambda: {"verify": str(trusted), "cert": str(of_client)},
        "aiohttp": lambda: {"connector": aiohttp.TCPConnector(ssl=context)},
    }.get(driver.library, lambda: {"verify": context})
    with Server(of_server) as server:
        server.on(CHAT, answer("in"))
        trial.served = [server]
        plain, _ = trial.plain(asking(driver, server, client))
        recorded, _ = trial.record(asking(driver, server, client))
    assert (plain.body == b'"in"', plain.error is None) == (trusts, trusts)
    assert (recorded.body, recorded.error) == (plain.body, plain.error)
    assert len(trial.steps()) == 1


@pytest.mark.parametrize("driver", HTTPX_DRIVERS, ids=repr)
def test_l20_http2_limits_and_trust_env_stay_as_the_client_has_them(trial, driver, monkeypatch):
    authority = trustme.CA()
    of_server, of_client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(of_server)
    authority.configure_trust(of_client)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nobody is there
    limits = driver.module.Limits(max_connections=0)
    with Http2Server(of_server) as server:
        server.on(CHAT, [b"one\n", b"two\n"])
        trial.served = [server]
        scenario = asking(driver, server, lambda: {"http2": True, "verify": of_client}, "raw")
        plain, _ = trial.plain(scenario)
        assert plain.response["version"] == "HTTP/2"
        trial.check(scenario)
    scenario = asking(driver, server, lambda: {"limits": limits, "timeout": 0.05})
    plain, _ = trial.plain(scenario)
    assert plain.error["type"] is driver.module.PoolTimeout
    trial.check(scenario)


@pytest.mark.parametrize("driver", HTTPX_DRIVERS, ids=repr)
def test_l22_an_unread_response_is_unread_until_it_is_read(trial, server, driver):
    server.on(CHAT, answer("hello"))

    async def scenario():
        async with (
            driver.client() as client,
            driver.streaming(client, "POST", server.url + CHAT, json={}) as response,
        ):
            with pytest.raises(driver.module.ResponseNotRead):
                _ = response.text
            await driver.read(response)
            return response.text, response.json()

    plain, _ = trial.plain(scenario)
    assert plain == ('"hello"', "hello")
    assert len(trial.check(scenario)) == 1


CLOSED = [(driver, "own") for driver in DRIVERS] + [(driver, "given") for driver in HTTPX_DRIVERS]


@pytest.mark.parametrize(("driver", "transport"), CLOSED, ids=str)
def test_l23_connections_are_closed_with_the_client(trial, server, driver, transport):
    server.on(CHAT, answer(1))
    held = []  # else the interpreter would close what the client forgot

    async def scenario():
        options = {"transport": Wrapping(driver)} if transport == "given" else {}
        async with driver.client(**options) as client:
            held.append(client)
            await driver.exchange(client, "POST", server.url + CHAT, content=b"{}")
            assert server._open
        server.settle()
        return len(server._open)

    assert trial.plain(scenario)[0] == trial.record(scenario)[0] == 0


def test_l51_a_client_is_made_of_no_more_than_without_us(trial, server, driver, monkeypatch):
    """Neither transports nor the certificates they trust, which are what takes its time."""
    server.on(CHAT, answer(1))
    made = []
    theirs = {"requests": requests.adapters.HTTPAdapter, "aiohttp": aiohttp.TCPConnector}
    transport = theirs.get(driver.library) or driver.HTTPTransport
    for cls, name in ((transport, "__init__"), (ssl.SSLContext, "load_verify_locations")):
        original = getattr(cls, name)

        def counted(self, *args, original=original, name=name, **options):
            made.append(name)
            return original(self, *args, **options)

        monkeypatch.setattr(cls, name, counted)

    async def scenario():
        made.clear()
        async with driver.client(**({"verify": True} if driver in HTTPX_DRIVERS else {})) as client:
            await driver.exchange(client, "POST", server.url + CHAT, content=b"{}")
        return list(made)

    plain, _ = trial.plain(scenario)
    assert "__init__" in plain
    assert trial.record(scenario)[0] == plain
    assert trial.replay(scenario) == plain
