"""Amazon Bedrock: signed requests and answers in binary frames, through SDKs and through every library."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import subprocess
import sys
from base64 import b64decode

import anthropic
import pytest
from bedrock_sdk import EVENT_STREAM, SECRET_KEY, chunk, event, exception
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.eventstream import EventStreamBuffer
from drivers import DRIVERS, MANNERS
from sdk_drivers import SdkDriver, attempt, collect, dumped, get, headers, opened, said
from servers import CUT, HANG, answer, chunked, reply
from test_wire_anthropic import EVENTS, MESSAGE
from test_wire_bedrock import ANSWER as CONVERSE_ANSWER
from test_wire_bedrock import EVENTS as CONVERSE_EVENTS
from test_wire_bedrock import REQUEST as CONVERSE_REQUEST
from trial import Trial

from rewind_auto.core.model import Decision, Ending

MODEL = "us.anthropic.claude-sonnet-5-v1:0"
PATH = f"/model/{MODEL}"
STREAM_PATH = f"{PATH}/invoke-with-response-stream"
KEY_ID = "AKIAIOSFODNN7EXAMPLE"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJHMEUCIQDcanary+token=="
METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 10, "outputTokenCount": 40}}
CHUNKS = [chunk({**one, **(METRICS if one["type"] == "message_stop" else {})}) for one in EVENTS]
USAGE = {
    "input_tokens": 3210,
    "output_tokens": 40,
    "cache_read_input_tokens": 3000,
    "cache_write_input_tokens": 200,
    "reasoning_output_tokens": 25,
}
FRAMED = [("Content-Type", EVENT_STREAM), ("X-Amzn-Bedrock-Content-Type", "application/json")]


class BedrockDriver(SdkDriver):
    """Anthropic's client for Bedrock, which signs what it sends."""

    def __init__(self, *, asynchronous):
        super().__init__("bedrock", asynchronous=asynchronous)

    def client(self, url, **options):
        kind = anthropic.AsyncAnthropicBedrock if self.asynchronous else anthropic.AnthropicBedrock
        keys = {"aws_access_key": KEY_ID, "aws_secret_key": SECRET_KEY, "aws_session_token": TOKEN}
        given = {"aws_region": "us-east-1", "max_retries": 0, "timeout": 20, **keys, **options}
        return opened(kind(base_url=url, **given))


SDKS = [BedrockDriver(asynchronous=value) for value in (False, True)]


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Stops the time that signatures are made at, and moves it on: no two runs sign at the same time."""
    now = [dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)]
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: now[0])

    def later():
        now[0] += dt.timedelta(days=1)

    return later


@pytest.fixture
def trial(driver, server, store_path):
    return Trial(driver, store_path, server)


def using(driver, server, work, **options):
    async def scenario():
        async with driver.client(server.url, **options) as client:
            return await work(client)

    return scenario


def ask(client, text="hello", **options):
    return client.messages.create(model=MODEL, max_tokens=9, messages=said(text), **options)


def written(trial):
    """All that is in the store: its files as they are, and what they give when they are read."""
    files = [path.read_bytes() for path in trial.store.parent.iterdir()]
    steps = [step for session in (trial.session, trial.replaying) for step in trial.steps(session)]
    kept = [repr((step, trial.recording(step.step))) for step in trial.steps()]
    return b"".join([*files, repr(steps).encode(), *(one.encode() for one in kept)])


@pytest.mark.parametrize("driver", SDKS, ids=repr)
def test_in_one_piece(trial, server, driver):
    server.on(f"{PATH}/invoke", answer(MESSAGE, X_Amzn_Bedrock_Input_Token_Count="10"))

    async def work(client):
        raw = await get(client.messages.with_raw_response.create(model=MODEL, max_tokens=9, messages=said()))
        return dumped(await get(ask(client))), raw.status_code, await get(raw.text()), headers(raw)

    steps = trial.check(using(driver, server, work))
    for step in steps:
        assert (step.provider, step.operation, step.model) == ("aws.bedrock", "chat", "claude-sonnet-5")
        assert (step.usage, step.stream, step.complete) == (USAGE, False, True)


@pytest.mark.parametrize("driver", DRIVERS[:1], ids=repr)
def test_tokens_are_counted_where_only_the_headers_have_them(trial, server, driver):
    counts = {"X_Amzn_Bedrock_Input_Token_Count": "7", "X_Amzn_Bedrock_Output_Token_Count": "5"}
    server.on("", answer({"outputs": [{"text": "hi", "stop_reason": "stop"}]}, **counts))

    async def scenario():
        async with driver.client() as client:
            url = f"{server.url}/model/mistral.mistral-7b-instruct-v0%3A2/invoke"
            return await driver.exchange(client, "POST", url, content=b'{"prompt": "hello"}')

    [step] = trial.check(scenario)
    assert (step.operation, step.model) == ("text_completion", "mistral.mistral-7b-instruct-v0:2")
    assert step.usage == {"input_tokens": 7, "output_tokens": 5}


@pytest.mark.parametrize("driver", SDKS, ids=repr)
@pytest.mark.parametrize("cut", ["frame by frame", "three bytes at a time", "all at once"])
def test_streamed(trial, server, driver, cut):
    body = b"".join(CHUNKS)
    pieces = {
        "frame by frame": CHUNKS,
        "three bytes at a time": [body[at : at + 3] for at in range(0, len(body), 3)],
        "all at once": [body],
    }
    server.on(STREAM_PATH, chunked(pieces[cut], FRAMED))

    async def work(client):
        stream = await get(ask(client, stream=True))
        events = [dumped(one) for one in await collect(stream)]
        async with opened(client.messages.stream(model=MODEL, max_tokens=9, messages=said())) as helper:
            return events, dumped(await get(helper.get_final_message()))

    steps = trial.check(using(driver, server, work))
    assert len(steps) == 2
    for step in steps:
        assert (step.provider, step.operation, step.model) == ("aws.bedrock", "chat", "claude-sonnet-5")
        assert (step.usage, step.stream, step.complete) == (USAGE, True, True)
        assert trial.recording(step.step).body == body


REST = {"end": [b"0\r\n\r\n"], "silence": [HANG], "more": [b"5\r\nabcde\r\n", b"0\r\n\r\n"], "cut": [CUT]}


@pytest.mark.parametrize("driver", SDKS, ids=repr)
@pytest.mark.parametrize("rest", REST)
def test_a_program_that_leaves_at_the_last_event_has_all_of_it(trial, server, driver, rest):
    server.on(STREAM_PATH, chunked(CHUNKS, FRAMED, end=REST[rest]))

    async def work(client):
        stream = await get(ask(client, stream=True))
        seen = []
        if driver.asynchronous:
            async for one in stream:
                seen.append(one.type)
                if one.type == "message_stop":
                    break
            await stream.close()
        else:
            for one in stream:
                seen.append(one.type)
                if one.type == "message_stop":
                    break
            stream.close()
        return seen

    [step] = trial.check(using(driver, server, work))
    assert step.complete is True
    assert trial.endings() == [Ending.TERMINAL]


@pytest.mark.parametrize("driver", SDKS, ids=repr)
def test_a_program_that_leaves_before_has_a_part(trial, server, driver):
    server.on(STREAM_PATH, chunked(CHUNKS, FRAMED, end=[HANG]))

    async def work(client):
        stream = await get(ask(client, stream=True))
        first = await anext(aiter(stream)) if driver.asynchronous else next(iter(stream))
        await get(stream.close())
        return dumped(first)

    [step] = trial.check(using(driver, server, work))
    assert step.complete is False


@pytest.mark.parametrize("driver", SDKS, ids=repr)
def test_errors(trial, server, driver):
    """Before the answer, tried again, and as a frame in the middle of it."""
    denied = answer({"message": "Too many requests"}, 429, X_Amzn_ErrorType="ThrottlingException")
    broken = chunked([*CHUNKS[:4], exception("modelStreamErrorException", "It broke")], FRAMED)
    damaged = chunked([*CHUNKS[:4], CHUNKS[4][:-1] + b"\x00"], FRAMED)
    server.on(f"{PATH}/invoke", denied, answer(MESSAGE), answer({"message": "Invalid"}, 400))
    server.on(STREAM_PATH, broken, damaged)

    async def streamed(client):
        return [dumped(one) for one in await collect(await get(ask(client, stream=True)))]

    async def work(client):
        whole = [await attempt(lambda: ask(client)) for _ in range(2)]
        return whole, [await attempt(lambda: streamed(client)) for _ in range(2)]

    steps = trial.check(using(driver, server, work, max_retries=1))
    assert [step.status for step in steps] == [429, 200, 400, 200, 200]


@pytest.mark.parametrize("driver", SDKS, ids=repr)
def test_nothing_that_signs_is_kept_and_nothing_of_it_counts(trial, server, driver, clock):
    """What is replayed was signed a day later."""
    server.on(f"{PATH}/invoke", answer(MESSAGE))
    server.on(STREAM_PATH, chunked(CHUNKS, FRAMED))

    async def work(client):
        return dumped(await get(ask(client))), [
            dumped(one) for one in await collect(await get(ask(client, stream=True)))
        ]

    scenario = using(driver, server, work)
    recorded, _ = trial.record(scenario)
    heads = b"\n".join(seen.head for seen in server.seen)
    signatures = {line.rpartition(b"Signature=")[2] for line in heads.splitlines() if b"Signature=" in line}
    assert len(signatures) == 2
    for secret in (TOKEN.encode(), KEY_ID.encode()):  # they were sent
        assert secret in heads
    clock()
    assert trial.replay(scenario) == recorded
    assert [step.decision for step in trial.steps(trial.replaying)] == [Decision.HIT] * 2
    kept = written(trial)
    assert b"X-Amz-Security-Token".lower() in kept.lower()  # the name, which is no secret
    for secret in (SECRET_KEY.encode(), TOKEN.encode(), KEY_ID.encode(), *signatures):
        assert secret not in kept


@pytest.mark.parametrize("driver", SDKS, ids=repr)
def test_an_answer_that_quotes_what_signed_is_kept_without_it(trial, server, driver):
    """As Amazon's do when a signature is wrong: they show what they have made out of the request."""

    def wrong(seen):
        signed = (seen.header("authorization") or b"").decode()
        token = (seen.header("x-amz-security-token") or b"").decode()
        return answer({"message": f"not {signed.rpartition('=')[2]} of x-amz-security-token:{token}"}, 403)

    server.on("", wrong)
    trial.record(using(driver, server, lambda client: attempt(lambda: ask(client))))
    [sent] = server.seen
    signature = sent.head.partition(b"Signature=")[2].partition(b"\r\n")[0]
    kept = written(trial)
    assert b"of x-amz-security-token:" in kept
    assert TOKEN.encode() not in kept
    assert len(signature) == 64
    assert signature not in kept


def test_a_stream_that_says_the_key_is_kept_without_it_and_still_replays(trial, server, driver):
    """In Amazon's frames, whose checksums have to be right for the client that reads them."""
    key = "an-ordinary-key-0123456789"
    said = {"contentBlockIndex": 0, "delta": {"text": f"Your key is {key}."}}
    server.on("/model/m/converse-stream", chunked([event("contentBlockDelta", said)], FRAMED))
    told = chunk({"generation": f"Your key is {key}."})
    server.on("/model/m/invoke-with-response-stream", chunked([told], FRAMED))

    def read(body):
        buffer = EventStreamBuffer()
        buffer.add_data(body)
        return [json.loads(one.payload) for one in buffer]

    async def scenario():
        seen = []
        async with driver.client() as client:
            for operation in ("converse-stream", "invoke-with-response-stream"):
                url = f"{server.url}/model/m/{operation}"
                headers = {"Authorization": f"Bearer {key}"}
                got = await driver.exchange(client, "POST", url, content=b"{}", headers=headers)
                seen.append(read(got.body))
        return seen

    recorded, _ = trial.record(scenario)
    assert key in str(recorded)
    [[converse], [invoke]] = trial.replay(scenario)
    assert converse["delta"]["text"] == "Your key is **************************."
    assert json.loads(b64decode(invoke["bytes"]))["generation"] == "Your key is **************************."
    assert key.encode() not in written(trial)


@pytest.mark.parametrize("driver", SDKS, ids=repr)
def test_a_key_for_bedrock_is_not_kept(trial, server, driver):
    key = "bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29tLz9BY3Rpb249Q2FsbFdpdGhCZWFyZXI="
    server.on(f"{PATH}/invoke", answer({"message": f"Invalid key {key}"}, 403))
    scenario = using(
        driver,
        server,
        lambda client: attempt(lambda: ask(client, f"My key is {key}")),
        api_key=key,
        aws_access_key=None,
        aws_secret_key=None,
        aws_session_token=None,
    )
    trial.record(scenario)
    assert key.encode() not in written(trial)


def presigned(url):
    """The URL with a signature in its query, as for a client that cannot set headers."""
    request = AWSRequest("POST", url)
    SigV4QueryAuth(Credentials(KEY_ID, SECRET_KEY, TOKEN), "bedrock", "us-east-1").add_auth(request)
    return request.prepare().url


def test_a_signature_in_the_url_is_not_kept_and_does_not_count(trial, server, driver, clock):
    server.on("", answer(CONVERSE_ANSWER))

    async def scenario():
        async with driver.client() as client:
            url = presigned(f"{server.url}/model/m/converse")
            return await driver.exchange(client, "POST", url, content=json.dumps(CONVERSE_REQUEST).encode())

    recorded, _ = trial.record(scenario)
    clock()
    assert trial.replay(scenario).body == recorded.body
    url = trial.recording().request.url
    for name in ("Signature", "Credential", "Security-Token"):
        assert f"X-Amz-{name}=[redacted]" in url
    assert "X-Amz-SignedHeaders=host" in url
    sent = [seen.target.encode() for seen in server.seen]
    kept = written(trial)
    for secret in (SECRET_KEY.encode(), TOKEN.encode(), KEY_ID.encode()):
        assert secret not in kept
    assert sent == [] or all(one.rpartition(b"Signature=")[2] not in kept for one in sent)


CONVERSED = [event(*one) for one in CONVERSE_EVENTS]


@pytest.mark.parametrize("manner", MANNERS)
def test_frames_go_through_every_library_in_every_manner(trial, server, driver, manner):
    """Cut anywhere, and read as programs do, even as text."""
    body = b"".join(CONVERSED)
    pieces = [body[at : at + 100] for at in range(0, len(body), 100)]
    server.on("", chunked(pieces, FRAMED))

    async def scenario():
        async with driver.client() as client:
            url = f"{server.url}/model/amazon.nova-pro-v1%3A0/converse-stream"
            return await driver.exchange(
                client, "POST", url, manner, content=json.dumps(CONVERSE_REQUEST).encode()
            )

    [step] = trial.check(scenario)
    assert (step.provider, step.operation, step.model) == ("aws.bedrock", "chat", "amazon.nova-pro-v1:0")
    assert step.usage == {name: count for name, count in USAGE.items() if not name.startswith("reasoning")}
    assert (step.stream, step.complete) == (True, True)
    buffer = EventStreamBuffer()
    buffer.add_data(trial.recording().body)
    assert [one.headers[":event-type"] for one in buffer] == [name for name, _ in CONVERSE_EVENTS]


def test_frames_that_are_compressed_are_read_all_the_same(trial, server, driver):
    zipped = gzip.compress(b"".join(CONVERSED))
    server.on("", reply(zipped, 200, [*FRAMED, ("Content-Encoding", "gzip")]))

    async def scenario():
        async with driver.client() as client:
            url = f"{server.url}/model/m/converse-stream"
            return await driver.exchange(client, "POST", url, content=b"{}")

    [step] = trial.check(scenario)
    assert step.usage["input_tokens"] == 3210


def show(trial, *words):
    command = [sys.executable, "-m", "rewind_auto.cli.main", "show", trial.session, "--content", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    return done.stdout


@pytest.mark.parametrize("driver", SDKS[:1], ids=repr)
def test_frames_can_be_looked_at(trial, server, driver):
    pieces = [CHUNKS[0][:50], CHUNKS[0][50:] + b"".join(CHUNKS[1:])]
    server.on(STREAM_PATH, chunked(pieces, FRAMED))

    async def work(client):
        return [dumped(one) for one in await collect(await get(ask(client, stream=True)))]

    trial.record(using(driver, server, work))
    [step] = json.loads(show(trial, "--json"))["steps"]
    assert step["usage"] == USAGE
    assert b64decode(step["response"]) == b"".join(CHUNKS)
    lines = show(trial).splitlines()
    framed = [line for line in lines if " ms chunk {" in line]
    assert len(framed) == len(CHUNKS)
    assert '"type":"message_start"' in framed[0]
    assert "Looking it up." in lines
    assert 'weather(city="Bern")' in lines


@pytest.mark.parametrize("driver", DRIVERS[:1], ids=repr)
def test_what_is_no_whole_frame_is_told(trial, server, driver):
    broken = exception("throttlingException", "Slow down")
    server.on("", chunked([CONVERSED[0], broken + CONVERSED[1][:20]], FRAMED))

    async def scenario():
        async with driver.client() as client:
            await driver.exchange(client, "POST", f"{server.url}/model/m/converse-stream", content=b"{}")

    trial.record(scenario)
    shown = show(trial)
    assert 'messageStart {"role":"assistant"' in shown
    assert 'throttlingException {"message": "Slow down"}' in shown
    assert "20 bytes of a frame that is cut or damaged" in shown
