"""How a step's details and its content are packed into bytes.

Data only: JSON and zlib. Nothing read back is ever executed or unpickled.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from rewind_auto.core.model import MAX_BODY, Ending, Fault, Head, Headers, Recording, Step

# What nearly every step's details contain. Part of the format: a change needs a new schema version.
_DICTIONARY = (
    b'{"method":"POST","url":"https://api.openai.com/v1/chat/completions","status":200,"library":"httpx2",'
    b'"provider":"openai","operation":"chat","model":"gpt-4o-mini-2024-07-18","stream":true,"complete":true,"chunks":1,'
    b'"usage":{"input_tokens":,"output_tokens":,"cache_read_input_tokens":0,"reasoning_output_tokens":0},'
    b'"duration_ms":,"first_chunk_ms":,"call_site":".py:",'
    b'"https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"'
    b'"anthropic","claude-sonnet-4-5","https://api.anthropic.com/v1/messages","anthropic-version","2023-06-01",'
    b'"exchange":{"request":["Host","api.openai.com","Accept-Encoding","gzip, deflate, br, zstd",'
    b'"Connection","keep-alive","Accept","application/json","Content-Type","application/json","User-Agent",'
    b'"OpenAI/Python 3.54.0","X-Stainless-Lang","python","X-Stainless-Package-Version","3.54.0",'
    b'"X-Stainless-OS","Linux","X-Stainless-Arch","x64","X-Stainless-Runtime","CPython","X-Stainless-Runtime-Version","3.12.1",'
    b'"X-Stainless-Async","false","x-stainless-retry-count","0","x-stainless-read-timeout","600",'
    b'"Authorization","Bearer [redacted]","x-api-key","[redacted]","Content-Length",""],'
    b'"head_us":,"end_us":,"ending":"eof","cuts":[],"response":["Date",'
    b'"Mon, Tue, Wed, Thu, Fri, Sat, Sun, Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec 2026 GMT",'
    b'"Content-Type","text/event-stream; charset=utf-8","Transfer-Encoding","chunked","Connection",'
    b'"keep-alive","openai-organization","","openai-processing-ms","","openai-version","2020-10-01","x-request-id","req_",'
    b'"x-ratelimit-limit-requests","10000","x-ratelimit-limit-tokens","200000","x-ratelimit-remaining-requests",'
    b'"9999","x-ratelimit-remaining-tokens","","x-ratelimit-reset-requests","ms","x-ratelimit-reset-tokens","ms",'
    b'"CF-Cache-Status","DYNAMIC","Set-Cookie","__cf_bm=[redacted]; path=/; expires=; HttpOnly; Secure",'
    b'"X-Content-Type-Options","nosniff","Server","cloudflare","CF-RAY","","Content-Encoding","gzip",'
    b'"alt-svc","h3=\\":443\\"; ma=86400"],"status":200,"reason":"OK","http":"HTTP/1.1","wire":true}}'
)
_PACK_FROM = 1024  # bytes
_LARGEST_DOC = 64 << 20  # bytes
# Details are small: a window of 4 KB, and a compressor that has read the dictionary already, to be copied.
# A full one spends three times as long on clearing its memory as on the data.
_DOC_WINDOW = 12
_compressor = zlib.compressobj(1, zlib.DEFLATED, -_DOC_WINDOW, 5, zdict=_DICTIONARY)
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def pack(data: bytes) -> tuple[int, bytes]:
    """``(1, compressed)`` where that saves a tenth or more, else ``(0, data)``."""
    if len(data) >= _PACK_FROM:
        packed = zlib.compress(data, 1)
        if len(packed) < len(data) * 0.9:
            return 1, packed
    return 0, data


def unpack(packed: int, data: bytes) -> bytes:
    """The inverse of `pack`.

    Raises:
        ValueError: it would be larger than anything that is recorded.
        zlib.error: the bytes are damaged.
    """
    return _inflated(zlib.decompressobj(), data, MAX_BODY) if packed else data


def _inflated(decompressor: Any, data: bytes, most: int) -> bytes:
    """What was compressed, whole: a few kilobytes can stand for gigabytes."""
    raw: bytes = decompressor.decompress(data, most)
    if decompressor.unconsumed_tail or not decompressor.eof:
        raise ValueError("it is cut off, or larger than what is ever recorded")
    return raw


def dump_doc(step: Step, recording: Recording | None) -> bytes:
    """Details of a step that no query needs, as compressed JSON."""
    doc: dict[str, Any] = {
        "method": step.method,
        "url": step.url,
        "status": step.status,
        "error": step.error,
        "library": step.library,
        "provider": step.provider,
        "operation": step.operation,
        "model": step.model,
        "stream": step.stream,
        "complete": step.complete,
        "chunks": step.chunks,
        "usage": step.usage,
        "duration_ms": step.duration_ms,
        "first_chunk_ms": step.first_chunk_ms,
        "call_site": step.call_site,
        "note": step.note,
        "detail": step.detail,
    }
    doc = {key: value for key, value in doc.items() if value or (value == 0 and value is not False)}
    if recording is not None:
        doc["exchange"] = dump_exchange(recording)
    return encode_doc(doc)


def encode_doc(doc: dict[str, Any], *, plain: bool = False) -> bytes:
    """What `load_doc` reads; ``plain``: as that of a hit, too little to be worth compressing."""
    raw = _encode(doc).encode("utf-8", "surrogatepass")
    if plain:
        return b"{" + raw
    compressor = _compressor.copy()
    return compressor.compress(raw) + compressor.flush()


def dump_hit(step: Step) -> bytes:
    """Details of a hit: only what is its own."""
    own = {"library": step.library, "call_site": step.call_site, "note": step.note, "detail": step.detail}
    return encode_doc({name: value for name, value in own.items() if value}, plain=True)


def load_doc(data: bytes) -> dict[str, Any]:
    """The inverse of `dump_doc`, as plain JSON values.

    Raises:
        ValueError: the bytes are damaged.
    """
    try:
        # Plain JSON is marked by a brace of its own, which as deflate would begin a reserved block.
        raw = (
            data[1:]
            if data[:1] == b"{"
            else _inflated(zlib.decompressobj(-_DOC_WINDOW, zdict=_DICTIONARY), data, _LARGEST_DOC)
        )
        doc = json.loads(raw.decode("utf-8", "surrogatepass"))
    except (zlib.error, ValueError) as error:
        raise ValueError(f"damaged step: {error}") from None
    if not isinstance(doc, dict):
        raise ValueError("damaged step: not an object")  # noqa: TRY004 - the data is wrong, not the caller
    return doc


def fill(step: Step, doc: dict[str, Any]) -> Step:
    """Put the details of ``doc`` onto ``step``."""
    for name in _FIELDS:
        if name in doc:
            setattr(step, name, doc[name])
    return step


_FIELDS = (
    *(
        "method",
        "url",
        "status",
        "error",
        "library",
        "provider",
        "operation",
        "model",
        "stream",
        "complete",
        "chunks",
    ),
    *("usage", "duration_ms", "first_chunk_ms", "call_site", "note", "detail"),
)


def dump_exchange(recording: Recording) -> dict[str, Any]:
    """What of a step's details is of its exchange, as JSON values."""
    exchange: dict[str, Any] = {
        "request": _dump_headers(recording.request.headers),
        "head_us": recording.head_us,
        "end_us": recording.end_us,
        "ending": recording.ending.value,
        "cuts": [number for cut in recording.cuts for number in cut],
    }
    head = recording.head
    if head is not None:
        exchange["response"] = _dump_headers(head.headers)
        exchange["status"] = head.status
        exchange["reason"] = None if head.reason is None else head.reason.decode("latin-1")
        exchange["http"] = head.http_version
        exchange["wire"] = head.wire
        if head.whole:
            exchange["whole"] = True
    if recording.open_cuts:
        exchange["open_cuts"] = recording.open_cuts
    fault = recording.fault
    if fault is not None:
        exchange["fault"] = [fault.module, fault.name, fault.message, fault.phase, fault.facts]
    return exchange


def load_request_headers(doc: dict[str, Any]) -> Headers:
    """Request headers of a step's details."""
    return _load_headers(doc["exchange"]["request"])


def given_up(doc: dict[str, Any]) -> bool:
    """Whether a step's call was cancelled before any answer came.

    What cancels such a call, an error of another one or a quicker answer, comes at once in a replay: the
    program may then never make it.
    """
    exchange = doc.get("exchange", {})
    return "status" not in exchange and exchange.get("ending") == Ending.CANCELLED.value


def load_head(doc: dict[str, Any]) -> Head | None:
    """Response head of a step's details; None when no response came."""
    exchange = doc["exchange"]
    if "status" not in exchange:
        return None
    return Head(
        status=exchange["status"],
        headers=_load_headers(exchange["response"]),
        reason=None if exchange["reason"] is None else exchange["reason"].encode("latin-1"),
        http_version=exchange["http"],
        wire=exchange["wire"],
        whole=exchange.get("whole", False),
    )


def complete_recording(recording: Recording, doc: dict[str, Any]) -> Recording:
    """Put times, chunk boundaries and the ending of ``doc`` onto ``recording``."""
    exchange = doc["exchange"]
    recording.head_us = exchange["head_us"]
    recording.end_us = exchange["end_us"]
    recording.ending = Ending(exchange["ending"])
    flat = exchange["cuts"]
    recording.cuts = tuple(zip(flat[::2], flat[1::2], strict=True))
    recording.open_cuts = tuple(exchange.get("open_cuts", ()))
    if "fault" in exchange:
        recording.fault = Fault(*exchange["fault"])
    return recording


def _dump_headers(pairs: Headers) -> list[str]:
    # latin-1 maps every byte to one character and back.
    return [text.decode("latin-1") for pair in pairs for text in pair]


def _load_headers(flat: list[str]) -> Headers:
    raw = [text.encode("latin-1") for text in flat]
    return tuple(zip(raw[::2], raw[1::2], strict=True))
