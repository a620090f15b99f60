"""Amazon's own client for Bedrock, and event streams as its servers write them."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable
from struct import pack
from typing import Any
from zlib import crc32

import boto3
from botocore.config import Config

EVENT_STREAM = "application/vnd.amazon.eventstream"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def bedrock(url: str) -> Any:
    """A client that talks to this server."""
    return boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key=SECRET_KEY,
        config=Config(retries={"total_max_attempts": 1}, inject_host_prefix=False),
    )


def frame(headers: bytes, payload: bytes) -> bytes:
    """One frame, with sound checksums."""
    prelude = pack("!II", 16 + len(headers) + len(payload), len(headers))
    frame = prelude + pack("!I", crc32(prelude)) + headers + payload
    return frame + pack("!I", crc32(frame))


def header(name: str, kind: int, value: bytes) -> bytes:
    """One header, its value as it goes over the wire."""
    return bytes([len(name)]) + name.encode() + bytes([kind]) + value


def texts(headers: dict[str, str]) -> bytes:
    """Headers with texts."""
    return b"".join(
        header(name, 7, pack("!H", len(value.encode())) + value.encode()) for name, value in headers.items()
    )


def event(name: str, document: dict[str, Any]) -> bytes:
    """An event. The padding is Amazon's: it keeps the lengths of the pieces of a text from being seen."""
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return frame(
        texts(headers),
        json.dumps({**document, "p": "abcdefghijkl"[: len(name)]}, separators=(",", ":")).encode(),
    )


def chunk(document: dict[str, Any]) -> bytes:
    """A piece of a model's own stream."""
    data = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    return event("chunk", {"bytes": b64encode(data).decode()})


def exception(name: str, message: str) -> bytes:
    """What a stream breaks off with."""
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return frame(texts(headers), json.dumps({"message": message}).encode())


def converse_stream(events: Iterable[tuple[str, dict[str, Any]]]) -> bytes:
    """The events of ConverseStream."""
    return b"".join(event(name, document) for name, document in events)


def invoke_stream(chunks: Iterable[dict[str, Any]]) -> bytes:
    """The chunks of InvokeModelWithResponseStream."""
    return b"".join(map(chunk, chunks))
