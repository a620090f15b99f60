"""Known failures of recorders with whole programs; the rows are those of ``docs/limits.md``."""

from __future__ import annotations

import pytest
from running import RUN

CHAT = "/v1/chat/completions"
# How a program asks with each library; ``url`` and ``text`` are there.
CALLS = {
    "httpx": "print(__import__('httpx').post(url, content=text, trust_env=False).status_code)",
    "httpx2": "print(__import__('httpx2').post(url, content=text, trust_env=False).status_code)",
    "requests": """
session = __import__('requests').Session()
session.trust_env = False
print(session.post(url, data=text).status_code)
""",
    "aiohttp": """
import asyncio, aiohttp
async def main():
    async with aiohttp.ClientSession() as session, session.post(url, data=text) as response:
        await response.read()
        print(response.status)
asyncio.run(main())
""",
}
ASK = "import sys\nurl, text = sys.argv[1] + '/v1/chat/completions', '{}'\n"
ALL = ASK + "\n".join(CALLS.values())
INSTALL = "import rewind_auto\nrewind_auto.install(hosts=['127.0.0.1'])\n"


@pytest.fixture
def url(server):
    """A server's, that has an answer to everything."""
    from servers import answer

    server.on("", answer({"model": "m", "choices": []}))
    return server.url


def test_l08_threads_tasks_and_loops_are_recorded(program, server, store_path, kept):
    """Calls from pools and from threads with loops of their own, of which some recorded none."""
    from servers import answer

    server.on(CHAT, lambda seen: answer(seen.body.decode()))
    source = """
    import asyncio, sys
    from concurrent.futures import ThreadPoolExecutor
    import aiohttp, httpx, httpx2, requests
    import trio  # httpx2 does it at its first call, in whatever thread: of that is the test below
    url = sys.argv[1] + "/v1/chat/completions"
    def with_requests(text):
        return requests.post(url, data=text).json()
    def with_httpx(text):
        return httpx.post(url, content=text, verify=False).json()
    async def with_httpx2(text):
        async with httpx2.AsyncClient(verify=False) as client:
            return (await client.post(url, content=text)).json()
    async def with_aiohttp(text):
        async with aiohttp.ClientSession() as session, session.post(url, data=text) as response:
            return await response.json()
    def in_a_loop(text):
        return asyncio.run(with_aiohttp(text))
    async def main():
        loop = asyncio.get_running_loop()
        return await asyncio.gather(
            asyncio.to_thread(with_requests, "a"), asyncio.to_thread(with_httpx, "b"),
            loop.run_in_executor(None, with_requests, "c"), loop.run_in_executor(None, in_a_loop, "d"),
            with_httpx2("e"), with_aiohttp("f"), asyncio.create_task(with_httpx2("g")))
    with ThreadPoolExecutor(4) as pool:
        print(list(pool.map(with_requests, "hij")), list(pool.map(in_a_loop, "kl")))
    print(asyncio.run(main()))
    """
    recorded = program(source, arguments=[server.url], NO_PROXY="*")
    assert (recorded.returncode, recorded.stderr) == (0, "")
    assert "'g'" in recorded.stdout
    server.stop()
    replayed = program(source, "--replay", "last", arguments=[server.url], NO_PROXY="*")
    assert (replayed.returncode, replayed.stdout) == (0, recorded.stdout), replayed.stderr
    assert [len(steps) for _, steps in kept()] == [12, 12]


@pytest.mark.parametrize("name", ["asyncio", "trio"])
def test_l08_a_call_while_another_thread_imports_an_event_loop(program, url, kept, name):
    source = f"""
    import sys, types
    import requests
    sys.modules["{name}"] = types.ModuleType("{name}")  # what this thread sees of it
    print(requests.post(sys.argv[1] + "/v1/chat/completions", data="{{}}").status_code)
    """
    done = program(source, arguments=[url], NO_PROXY="*")
    assert (done.returncode, done.stdout, done.stderr) == (0, "200\n", "")
    [(_, steps)] = kept()
    assert len(steps) == 1


def test_l16_it_loads_where_no_http_library_is(program):
    source = """
    import pkgutil, sys
    from importlib import import_module
    libraries = ("httpx", "httpx2", "requests", "aiohttp")
    sys.modules.update(dict.fromkeys(libraries))  # importing one of them is an ImportError now
    import rewind_auto
    rewind_auto.install()
    import rewind_auto.adapters, rewind_auto.runtime
    for module in pkgutil.iter_modules(rewind_auto.adapters.__path__, "rewind_auto.adapters."):
        import_module(module.name)
    print(rewind_auto.is_installed(), [name for name in libraries if sys.modules[name]])
    """
    for under in ([], RUN):
        done = program(source, under=under)
        assert (done.returncode, done.stdout, done.stderr) == (0, "True []\n", "")


@pytest.mark.parametrize("library", CALLS)
def test_l26_install_alone_records(program, url, kept, library):
    done = program(INSTALL + ASK + CALLS[library], arguments=[url], under=[])
    assert (done.returncode, done.stdout, done.stderr) == (0, "200\n", "")
    [(_, steps)] = kept()
    assert [(step.library, step.decision.value) for step in steps] == [(library, "record")]


def test_l27_the_sdks_of_today_are_recorded(program, provider, kept):
    """They moved from httpx to httpx2, which whoever looks for httpx does not see."""
    source = """
    import sys
    from anthropic import Anthropic
    from openai import OpenAI
    said = [{"role": "user", "content": "hello"}]
    client = OpenAI(base_url=sys.argv[1] + "/v1", api_key="any")
    print(client.chat.completions.create(model="gpt-5", messages=said).object)
    client = Anthropic(base_url=sys.argv[1], api_key="any")
    print(client.messages.create(model="claude-x", max_tokens=9, messages=said).type)
    """
    done = program(source, arguments=[provider.url], NO_PROXY="*")
    assert (done.returncode, done.stdout, done.stderr) == (0, "chat.completion\nmessage\n", "")
    [(_, steps)] = kept()
    assert [(step.library, step.model) for step in steps] == [("httpx2", "gpt-5"), ("httpx2", "claude-x")]


@pytest.mark.parametrize("order", ["before", "after"])
def test_l28_install_says_nothing_that_is_not_so(program, url, kept, order):
    """Whether the libraries are imported before it or after, and in a program that has none of them."""
    imports = "import httpx, httpx2, requests, aiohttp\n"
    parts = [imports, INSTALL] if order == "before" else [INSTALL, imports]
    done = program("".join(parts) + ALL, arguments=[url], under=[], REWIND_LOG="debug")
    assert (done.returncode, done.stdout, done.stderr) == (0, "200\n" * 4, "")
    assert len(kept()[0][1]) == 4


def test_l41_what_comes_after_a_replay_is_not_put_into_its_session(program, url, kept):
    assert program(ALL, arguments=[url]).returncode == 0
    replayed = program(ALL, "--replay", "last", arguments=[url])
    assert (replayed.returncode, replayed.stdout) == (0, "200\n" * 4), replayed.stderr
    assert program(ASK + CALLS["httpx2"], arguments=[url]).returncode == 0
    assert [[step.decision.value for step in steps] for _, steps in kept()] == [
        ["record"] * 4,
        ["hit"] * 4,
        ["record"],
    ]


def test_l41_nor_is_what_the_same_process_does_after_uninstall(program, url, kept):
    ask = CALLS["httpx2"].strip() + "\n"
    again = "rewind_auto.uninstall()\nrewind_auto.install(hosts=['127.0.0.1'], {})\n"
    source = INSTALL + ASK + ask + again.format("mode='replay', source='last'") + ask + again.format("") + ask
    done = program(source, arguments=[url], under=[])
    assert (done.returncode, done.stdout) == (0, "200\n" * 3), done.stderr
    assert [[step.decision.value for step in steps] for _, steps in kept()] == [
        ["record"],
        ["hit"],
        ["record"],
    ]


def test_l48_a_proxy_of_the_environment_is_the_programs_affair(program, url, kept):
    """Who passes by the proxies that are set, and out of order. Recording and replaying speak to nobody."""
    nobody = "http://127.0.0.1:9"
    proxies = dict.fromkeys(["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"], nobody)
    for options in ([], ["--replay", "last"]):
        done = program(ALL, *options, arguments=[url], **proxies)
        assert (done.returncode, done.stdout, done.stderr) == (0, "200\n" * 4, "")
    assert [len(steps) for _, steps in kept()] == [4, 4]


def test_l49_what_is_not_recorded_is_said(program, url, store_path):
    """In one line. The program goes on, or under rewind-run does not begin."""
    store_path.parent.mkdir()
    store_path.write_bytes(b"no store of ours")
    done = program(INSTALL + ALL, arguments=[url], under=[])
    assert (done.returncode, done.stdout) == (0, "200\n" * 4)
    refused = program(ALL, arguments=[url])
    assert (refused.returncode, refused.stdout) == (2, "")
    for line, said in ((done.stderr, "nothing is recorded"), (refused.stderr, "")):
        assert len(line.splitlines()) == 1
        assert said in line
        assert str(store_path) in line
    assert store_path.read_bytes() == b"no store of ours"


def test_l49_a_call_that_is_too_large_leaves_a_step_that_says_so(program, url, kept):
    assert program(ALL, arguments=[url], REWIND_MAX_BODY="10").returncode == 0
    [(_, steps)] = kept()
    assert [(step.decision.value, step.note) for step in steps] == [("bypass", "larger than 10 bytes")] * 4


def test_l58_the_predicates_given_last_are_asked(program, url, kept):
    """By the program itself, under rewind-run, which has installed the agent before it."""
    source = """
class Mine:
    def is_llm_call(self, request):
        return request.body == b"{}"
    def is_tool_call(self, request):
        return False
import rewind_auto
rewind_auto.install()
rewind_auto.install(Mine())
"""
    assert program(source + ALL, arguments=[url], under=RUN).returncode == 0
    assert [(step.library, step.decision.value) for _, steps in kept() for step in steps] == [
        (library, "record") for library in CALLS
    ]
