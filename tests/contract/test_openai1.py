"""The generation of the openai SDK that is on httpx, in its own interpreter (``./dev test`` has one)."""

from __future__ import annotations

import os

import pytest
from programs import Runs
from tape import Tape

from rewind_auto.store import open_store

PYTHON = os.environ.get("REWIND_TEST_OPENAI1_PYTHON", "")

PROGRAM = """
import asyncio, json, sys
import openai

given = {"base_url": sys.argv[1] + "/v1", "api_key": "sk-test-0123456789abcdefghij", "max_retries": 2}
tools = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object",
    "properties": {"city": {"type": "string"}}, "required": ["city"]}, "strict": True}}]

def asked(text, **more):
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **more}

def show(name, thing):
    print(name, json.dumps(thing, default=lambda value: value.model_dump(), sort_keys=True), flush=True)

def failed(error):
    return type(error).__name__, str(error), getattr(error, "body", None)

assert openai.__version__.startswith("1.") and "httpx2" not in sys.modules
client = openai.OpenAI(**given)
create = client.chat.completions.create
show("buffered", create(**asked("Paris")))
show("streamed", list(create(**asked("Où ça ? ☃", stream=True, stream_options={"include_usage": True}))))
raw = client.chat.completions.with_raw_response.create(**asked("raw"))
kept = [pair for pair in raw.headers.multi_items() if pair[0] != "set-cookie"]
show("raw", [raw.status_code, kept, raw.text, raw.http_version, raw.parse()])
show("tools", create(**asked("Paris and Tokyo", tools=tools)))
with client.beta.chat.completions.stream(**asked("Tokyo")) as stream:
    show("helper", [[event.type for event in stream], stream.get_final_completion()])
show("retried", create(**asked("[fail=2][retry_after=0.01] x")))
show("models", list(client.models.list()))
for text in ("[status=400] x", "[status=401] x", "[disconnect=0] x"):
    try:
        client.with_options(max_retries=0).chat.completions.create(**asked(text))
    except openai.APIError as error:
        show("failed", failed(error))
try:
    list(create(**asked("[disconnect=3] x", stream=True)))
except Exception as error:
    show("broken", failed(error))

async def main():
    async with openai.AsyncOpenAI(**given) as client:
        create = client.chat.completions.create
        show("gathered", await asyncio.gather(*(create(**asked(f"question {n}")) for n in range(5))))
        show("async streamed", [chunk async for chunk in await create(**asked("Oslo", stream=True))])
        stream = await create(**asked("Lima", stream=True))
        show("left early", await anext(aiter(stream)))
        await stream.close()

asyncio.run(main())
"""


@pytest.mark.skipif(
    not PYTHON, reason="REWIND_TEST_OPENAI1_PYTHON does not name an interpreter with openai 1.x"
)
def test_the_same_three_times(provider, store_path, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with Tape(provider) as tape:
        printed = Runs(program, tape, python=PYTHON).check()
    assert printed.count("\n") == 14
    store = open_store(str(store_path))
    try:
        recorded = store.steps(store.sessions()[-1].id)
    finally:
        store.close()
    assert {step.library for step in recorded} == {"httpx"}
    whole = [step for step in recorded if step.operation and step.status == 200 and not step.stream]
    assert {step.model for step in whole} == {"gpt-4o"}
    assert all(step.usage for step in whole)
