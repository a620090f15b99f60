"""The words of the domain, as data.

Everything here is plain values: no I/O, no HTTP library, no OpenTelemetry, no SQLite.

Units: ``*_at`` is seconds since the epoch (float); ``*_us`` is microseconds (int) since the step began.
Headers are ordered pairs of bytes, exactly as they were on the seam: names keep their case, values
may be latin-1 or worse, and repeated names stay apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MAX_BODY = 256 << 20  # bytes of a body that can be recorded, and so of one that is read back
FUNCTIONS = "python"  # the library of steps that are calls of the program's own functions
Headers = tuple[tuple[bytes, bytes], ...]


class Mode(StrEnum):
    """What to do with an LLM call."""

    RECORD = "record"
    CACHE = "cache"
    REPLAY = "replay"
    FORK = "fork"
    OFF = "off"


class Decision(StrEnum):
    """What was done with one LLM call."""

    HIT = "hit"
    MISS = "miss"
    RECORD = "record"
    BLOCKED = "blocked"
    BYPASS = "bypass"


class Kind(StrEnum):
    """What a step is: an inference, any other call to an LLM host, or an agent's tool."""

    LLM = "llm"
    HTTP = "http"
    TOOL = "tool"


class Match(StrEnum):
    """How a hit was found."""

    EXACT = "exact"
    RENAMED = "renamed"
    ALIGNED = "aligned"  # by its place, though it asks something else; only where that was asked for


class Ending(StrEnum):
    """How the body of a live response ended."""

    EOF = "eof"
    TERMINAL = "terminal"  # closed by the program after the provider's last event: complete
    CLOSED = "closed"  # closed by the program before that: truncated
    FAULT = "fault"  # the transport raised
    CANCELLED = "cancelled"  # the task was cancelled, or the program was interrupted


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as the seam saw it."""

    method: str
    url: str
    headers: Headers
    body: bytes
    library: str = ""
    tool: bool = False  # a tool of the agent's: over HTTP, or a function ("python")
    ttl: float | None = None  # seconds for which a cache may serve the answer, if this says more than its own
    oversized: bool = False  # too large to be recorded: the body is something that stands for it
    unreadable: str = ""  # why the recorded answer that it was given is of no use: to be asked live


@dataclass(frozen=True, slots=True)
class Fault:
    """A transport error as data: enough to raise the client's own exception type again.

    ``module`` and ``name`` locate the class; it is looked up, never imported, and only among the
    exceptions of the client library and the builtins.
    """

    module: str
    name: str
    message: str
    phase: str  # "send": no response came; "body": the stream broke
    facts: dict[str, Any] = field(default_factory=dict)  # what else the class is made of, as JSON values


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and headers of a response."""

    status: int
    headers: Headers
    reason: bytes | None = None  # None: none was given, and the library knows one itself
    http_version: str = "HTTP/1.1"
    wire: bool = True  # False: the body was delivered with its content-encoding already removed
    whole: bool = False  # True: the transport had read the body before it handed over the response


@dataclass(slots=True)
class Recording:
    """What a step keeps of its exchange.

    ``cuts`` has one ``(length, offset_us)`` per chunk of ``body``, so chunk boundaries and their times
    survive. ``open_cuts`` are the indexes of those that the program was told are no whole HTTP chunk.
    ``head`` is None when the transport failed before a response came.
    """

    request: Request
    head: Head | None = None
    body: bytes = b""
    cuts: tuple[tuple[int, int], ...] = ()
    head_us: int = 0
    end_us: int = 0
    ending: Ending = Ending.EOF
    fault: Fault | None = None
    open_cuts: tuple[int, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the whole answer is here: the body reached its end or its terminal event."""
        return self.head is not None and self.ending in (Ending.EOF, Ending.TERMINAL)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Digests of a request. ``exact`` is over the bytes, ``canonical`` over the canonical form."""

    exact: bytes
    canonical: bytes

    def __str__(self) -> str:
        return self.canonical.hex()


@dataclass(frozen=True, slots=True)
class StepRef:
    """Names a step: the session's id and the step's number."""

    session: str
    step: int


@dataclass(slots=True)
class Step:
    """One LLM HTTP exchange in a session, without its bodies."""

    session: str
    step: int
    kind: Kind = Kind.LLM
    decision: Decision = Decision.RECORD
    match: Match | None = None
    source: StepRef | None = None
    lane: str = ""
    fingerprint: Fingerprint | None = None
    method: str = ""
    url: str = ""
    status: int | None = None
    error: str | None = None
    library: str = ""
    provider: str | None = None
    operation: str | None = None
    model: str | None = None
    stream: bool = False
    complete: bool = False
    chunks: int = 0
    usage: dict[str, int] | None = None
    started_at: float = 0.0
    recorded_at: float | None = None  # of a hit: when the call that it repeats began
    duration_ms: float | None = None
    first_chunk_ms: float | None = None
    trace_id: str | None = None
    span_id: str | None = None
    call_site: str | None = None
    note: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    inside: int | None = None  # the tool call that made this one: serving that serves this


@dataclass(slots=True)
class Session:
    """One run of a program and all its child processes."""

    id: str
    name: str = ""
    mode: Mode = Mode.RECORD
    status: str = "running"
    parent: str | None = None
    fork_step: int | None = None
    outer: str | None = None  # the session around it, where a program has sessions of its own
    started_at: float = 0.0
    ended_at: float | None = None
    command: tuple[str, ...] = ()
    llm_hosts: tuple[str, ...] = ()  # those beside the known providers
    tool_hosts: tuple[str, ...] = ()
    session_by: str = ""  # what its calls were told apart by, into the sessions inside
    pid: int = 0
    steps: int = 0
    decisions: dict[str, int] = field(default_factory=dict)
