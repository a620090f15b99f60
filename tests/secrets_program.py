"""A program that has secrets in every place, and makes calls with all of them.

``python secrets_program.py URL [WORD] --api-key=…``; the secrets come in the variable CANARIES, as JSON.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import httpx2

URL, WORD = sys.argv[1], sys.argv[2]
HAS = json.loads(os.environ["CANARIES"])
OPTIONS = {"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "trust_env": False}
ARGUMENTS = json.dumps({"api_key": HAS["argument of a tool call"], "city": "Paris"})
HEADERS = {
    "Proxy-Authorization": "Bearer {}",
    "cf-aig-authorization": "Bearer {}",
    "Helicone-Auth": "Bearer {}",
    "x-portkey-api-key": "{}",
    "x-portkey-virtual-key": "{}",
    "x-litellm-api-key": "Bearer {}",
    "Ocp-Apim-Subscription-Key": "{}",
    "x-goog-iam-authorization-token": "{}",
    "Authorization": "Token {}",  # of Replicate
    "X-Auth-Token": "{}",
}
MESSAGES = [
    {"role": "system", "content": f"You may use {HAS['key-shaped']} for that."},
    {"role": "user", "content": f"ordinary words {WORD}"},
    {
        "role": "assistant",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}}
        ],
    },
    {
        "role": "tool",
        "tool_call_id": "call_1",
        "content": f"the key {HAS['bearer']} was refused " + "word " * 300,
    },
]


def with_openai() -> None:
    import openai

    client = openai.OpenAI(base_url=f"{URL}/v1", api_key=HAS["bearer"], max_retries=0)
    places = {
        "extra_headers": {"X-Custom-Token": HAS["custom header"], "Cookie": f"session={HAS['cookie']}"},
        "extra_query": {"key": HAS["query"]},
        "extra_body": {"api_key": HAS["field"], "metadata": {"password": HAS["password"]}},
    }
    for stream in (False, True):
        answer = client.chat.completions.create(model="gpt-5", messages=MESSAGES, stream=stream, **places)
        print([chunk.id for chunk in answer] if stream else answer.choices[0].message.content.split()[0])
    azure = openai.AzureOpenAI(
        azure_endpoint=URL, api_key=HAS["azure"], api_version="2024-10-21", max_retries=0
    )
    print(azure.chat.completions.create(model="gpt-5", messages=MESSAGES[:2]).id)
    for name in ("plain", "zipped"):
        try:
            client.chat.completions.create(model=f"refused-{name}", messages=MESSAGES[:2])
        except openai.AuthenticationError as error:
            print(error.status_code, HAS["bearer"] in str(error) or "***" in str(error))


def with_anthropic() -> None:
    import anthropic

    client = anthropic.Anthropic(base_url=URL, api_key=HAS["x-api-key"], max_retries=0)
    message = client.messages.create(
        model="claude-x", max_tokens=9, system=f"Bearer {HAS['bearer in text']}", messages=MESSAGES[1:2]
    )
    print(message.id)


def with_gemini() -> None:
    from google import genai

    client = genai.Client(api_key=HAS["x-goog-api-key"], http_options={"base_url": URL})
    print(client.models.generate_content(model="gemini-x", contents="ordinary words").text)


def with_other_sdks() -> None:
    """The other ways in which SDKs say who they are."""
    import anthropic
    import cohere
    import mistralai.client
    import ollama
    import openai

    azure = openai.AzureOpenAI(
        azure_endpoint=URL, azure_ad_token=HAS["entra"], api_version="2024-10-21", max_retries=0
    )
    print(azure.chat.completions.create(model="gpt-5", messages=MESSAGES[1:2]).id)
    message = {"model": "claude-x", "max_tokens": 9, "messages": MESSAGES[1:2]}
    client = anthropic.Anthropic(base_url=URL, auth_token=HAS["auth token"], api_key=None, max_retries=0)
    print(client.messages.create(**message).id)
    aws = {"aws_region": "us-east-1", "base_url": URL, "max_retries": 0}
    signed = {"aws_secret_key": HAS["aws secret"], "aws_session_token": HAS["aws session"]}
    for keys in ({"aws_access_key": HAS["aws key"], **signed}, {"api_key": HAS["bedrock key"]}):
        print(anthropic.AnthropicBedrock(**aws, **keys).messages.create(**message).id)
    print(cohere.ClientV2(api_key=HAS["cohere"], base_url=URL).chat(model="c", messages=MESSAGES[1:2]).id)
    with mistralai.client.Mistral(api_key=HAS["mistral"], server_url=URL) as mistral:
        print(mistral.chat.complete(model="m", messages=MESSAGES[1:2]).id)
    hosted = ollama.Client(host=URL, headers={"Authorization": f"Bearer {HAS['ollama']}"})
    print(hosted.chat(model="o", messages=MESSAGES[1:2]).message.content)


def with_gateways() -> None:
    """The headers of gateways and clouds, and of SDKs that are not installed here, as they send them."""
    with httpx2.Client(**OPTIONS) as client:
        for name, shape in HEADERS.items():
            client.post(f"{URL}/v1/x", headers={name: shape.format(HAS[name])}, json={"a": 1})


def with_bodies() -> None:
    """Bodies of other kinds, and what is answered with a credential."""
    with httpx2.Client(**OPTIONS) as client:
        form = {"grant_type": "password", "password": HAS["form"], "client_secret": HAS["client secret"]}
        issued = client.post(f"{URL}/oauth/token", data=form).json()["access_token"]
        client.post(f"{URL}/v1/x", headers={"Authorization": f"Bearer {issued}"}, json={"a": 1})
        client.post(
            f"{URL}/v1/x", data={"api_key": HAS["part"]}, files={"file": ("a.txt", b"ordinary words")}
        )
        query = f'mutation {{ login(password: "{HAS["graphql"]}") {{ id }} }}'
        client.post(f"{URL}/v1/x", json={"query": query})
        nested = json.dumps({"a": json.dumps({"password": HAS["json in json"]})})
        client.post(f"{URL}/v1/x", json={"arguments": nested})
        client.post(f"{URL}/v1/bot{HAS['path']}/send", json={"a": 1})
        client.post(f"{URL}/v1/x", content=f"dsn: postgres://me:{HAS['dsn']}@db/x".encode())
        gone = client.post(f"{URL}/v1/echoed", headers={"X-Api-Key": HAS["echoed"]}, content=b"{}")
        print(len(gone.text))


def with_httpx2() -> None:
    with httpx2.Client(**OPTIONS) as client:
        inside = URL.replace("://", f"://user:{quote(HAS['user information'], safe='')}@")
        client.post(f"{inside}/v1/x", json={"a": 1})
        client.post(f"{URL}/v1/x", auth=("user", HAS["basic"]), json={"a": 1})
        client.post(f"{URL}/v1/x", params={"access_token": HAS["token in query"]}, data={"a": 1})
        client.post(f"{URL}/v1/x", headers={"X-Anything": f"my {HAS['key-shaped']}"}, content=b"{}")
        # What the server set as a cookie is now sent with every request of this client.
        client.get(f"{URL}/v1/cookies")
        client.post(f"{URL}/v1/x", content=b"[]")

    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ProxyError(
            f"407: {HAS['in an error']} and {HAS['key-shaped']} are wrong", request=request
        )

    headers = {"Authorization": f"Bearer {HAS['in an error']}"}
    with httpx2.Client(transport=httpx2.MockTransport(refuse), headers=headers) as client:
        try:
            client.post(f"{URL}/v1/chat/completions", json={"model": "gpt-5", "messages": MESSAGES[:2]})
        except httpx2.ProxyError:
            print("a proxy error")


def with_requests() -> None:
    import requests

    with requests.Session() as session:
        session.trust_env = False
        inside = URL.replace("://", f"://user:{quote(HAS['user information'], safe='')}@")
        session.post(f"{inside}/v1/x", json={"a": 1})
        session.post(f"{URL}/v1/x", params={"access_token": HAS["token in query"]}, data={"a": 1})
        session.post(f"{URL}/v1/x", headers={"X-Anything": f"my {HAS['key-shaped']}"}, data=b"{}")
        session.get(f"{URL}/v1/cookies")
        session.post(f"{URL}/v1/x", data=b"[]", headers={"X-Custom-Token": HAS["custom header"]})
        headers = {"Authorization": f"Bearer {HAS['bearer']}"}
        body = {"model": "refused-zipped", "messages": MESSAGES[:2]}
        print(HAS["bearer"] in session.post(f"{URL}/v1/chat/completions", json=body, headers=headers).text)


def with_aiohttp() -> None:
    import asyncio

    import aiohttp

    async def calls() -> None:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {HAS['bearer']}"}) as session:
            await session.post(f"{URL}/v1/x", params={"access_token": HAS["token in query"]}, data={"a": "1"})
            await session.post(f"{URL}/v1/x", headers={"X-Anything": f"my {HAS['key-shaped']}"}, data=b"{}")
            session.cookie_jar.update_cookies({"session": HAS["cookie"]})
            await session.post(f"{URL}/v1/x", json={"metadata": {"password": HAS["password"]}})
            body = {"model": "refused-zipped", "messages": MESSAGES[:2]}
            async with session.post(f"{URL}/v1/chat/completions", json=body) as response:
                print(HAS["bearer"] in await response.text())

    asyncio.run(calls())


for name in os.environ.get(
    "PARTS", "openai anthropic gemini other_sdks gateways bodies httpx2 requests aiohttp"
).split():
    globals()[f"with_{name}"]()
copies = os.environ.get("COPIES")
if copies:  # the files as they are while the program runs; another process reads them, see POSIX's locks
    store = Path(os.environ["REWIND_STORE"]).parent
    subprocess.run(["cp", "-r", store, copies], check=True)
