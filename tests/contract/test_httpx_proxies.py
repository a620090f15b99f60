"""Through proxies: given to the client, mounted, or from the environment."""

from __future__ import annotations

import ssl

import pytest
import trustme
from drivers import HTTPX_DRIVERS, MANNERS
from proxies import Proxy
from servers import Server, answer, chunked


@pytest.fixture(params=HTTPX_DRIVERS, ids=repr)
def driver(request):
    return request.param


WAYS = ["proxy", "mounts", "HTTP_PROXY", "ALL_PROXY"]


@pytest.fixture
def proxy(server):
    with Proxy(server) as running:
        yield running


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def secure(authority):
    """A server with a certificate for a real provider's name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.openai.com").configure_cert(context)
    with Server(context) as running:
        yield running


def proxied(driver, way, proxy, monkeypatch):
    """The options of a client that goes through the proxy."""
    if way == "proxy":
        return lambda: {"proxy": proxy.url}
    if way == "mounts":
        return lambda: {"mounts": {"all://": driver.HTTPTransport(proxy=proxy.url)}}
    monkeypatch.setenv(way, proxy.url)
    return lambda: {"trust_env": True}


@pytest.mark.parametrize("way", WAYS)
def test_plain(trial, server, driver, proxy, way, monkeypatch):
    trial.served.append(proxy)
    trial.options["llm_hosts"] = ("llm.example",)
    server.on("/v1/x", chunked([b"one\n", b"two\n"]))
    options = proxied(driver, way, proxy, monkeypatch)

    async def scenario():
        async with driver.client(**options()) as client:
            url = "http://llm.example/v1/x"
            return [await driver.exchange(client, "POST", url, manner, content=b"{}") for manner in MANNERS]

    steps = trial.check(scenario)
    assert len(steps) == len(MANNERS)
    assert len(server.seen) == len(MANNERS)


@pytest.mark.parametrize("way", ["proxy", "mounts", "HTTPS_PROXY"])
def test_a_providers_own_name_through_a_tunnel(trial, driver, secure, authority, way, monkeypatch):
    """As in production: TLS, the provider's host, known without being named to us."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    monkeypatch.setattr("httpx_driver.PLAIN_TLS", context)
    secure.on(
        "/v1/chat/completions",
        answer({"model": "gpt-5", "usage": {"prompt_tokens": 1, "completion_tokens": 2}}),
    )
    with Proxy(secure) as proxy:
        trial.served = [secure, proxy]
        trial.options["llm_hosts"] = ()
        options = proxied(driver, way, proxy, monkeypatch)
        if way == "mounts":
            options = lambda: {  # noqa: E731
                "mounts": {"all://": driver.HTTPTransport(proxy=proxy.url, verify=context)}
            }

        async def scenario():
            async with driver.client(**options()) as client:
                url = "https://api.openai.com/v1/chat/completions"
                return await driver.exchange(client, "POST", url, content=b'{"model":"gpt-5"}')

        plain, _ = trial.plain(scenario)
        assert plain.response["status"] == 200
        [step] = trial.check(scenario)
    assert (step.provider, step.model, step.usage) == (
        "openai",
        "gpt-5",
        {"input_tokens": 1, "output_tokens": 2},
    )


def test_a_proxy_that_is_not_there(trial, server, driver):
    with Server() as gone:
        pass

    async def scenario():
        async with driver.client(proxy=gone.url) as client:
            return await driver.exchange(client, "POST", f"{server.url}/v1/x", content=b"{}")

    plain, _ = trial.plain(scenario)
    assert plain.error["type"] is driver.errors["refused"]
    trial.check(scenario)


def test_a_proxy_that_refuses(trial, server, driver):
    server.on("", answer("who are you", 407))
    trial.options["llm_hosts"] = ("llm.example",)

    async def scenario():
        async with driver.client(proxy=server.url) as client:
            plain = await driver.exchange(client, "POST", "http://llm.example/v1/x", content=b"{}")
            return plain, await driver.exchange(client, "POST", "https://llm.example/v1/x", content=b"{}")

    seen, _ = trial.plain(scenario)
    assert seen[0].response["status"] == 407
    assert seen[1].error["type"] is driver.module.ProxyError
    trial.check(scenario)
