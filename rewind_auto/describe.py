"""Puts what the providers know about a call into the words of steps and spans."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rewind_auto.core import guard, redact
from rewind_auto.core.address import parts_of, port_of
from rewind_auto.core.decode import decode
from rewind_auto.core.model import Decision, Fingerprint, Head, Recording, Request, Step
from rewind_auto.providers import reading, registry, wire
from rewind_auto.providers.hosts import provider_of
from rewind_auto.providers.info import RequestInfo, ResponseInfo
from rewind_auto.providers.registry import Route
from rewind_auto.telemetry import names
from rewind_auto.telemetry.ambient import baggage, current_trace
from rewind_auto.telemetry.spans import SpanEnd, SpanStart, Tracing
from rewind_auto.telemetry.values import text

if TYPE_CHECKING:
    from rewind_auto.core.model import Session
    from rewind_auto.telemetry.call_span import CallSpan

_HTTP_ERROR = 400
_NO_REQUEST = RequestInfo()
_API_TYPES = {"openai-chat": "chat_completions", "openai-responses": "responses"}
_OPENAI = ("openai", "azure.ai.openai")  # many speak like it, and mean other things by a service tier


TOOL = Route("", "", None)  # what answers there, nobody knows
FUNCTION = Route("", "", "execute_tool")  # of the program's own


@lru_cache(maxsize=512)  # programs call few URLs, many times
def route_of(method: str, url: str, user_hosts: tuple[str, ...]) -> Route:
    """Which provider and operation a request is for. A host only a predicate knows is read by its shape."""
    parts = parts_of(url)
    host = parts.hostname or ""
    port = port_of(parts)
    known = registry.identify(host, port, parts.path, method, user_hosts)
    return known or registry.by_shape(port, parts.path, method)


@lru_cache(maxsize=512)
def _server(url: str) -> tuple[str | None, int]:
    """Host and port that a URL is for."""
    parts = parts_of(url)
    host = text(parts.hostname) if parts.hostname else None
    return host, port_of(parts) or (443 if parts.scheme == "https" else 80)


def host_class(host: str, _port: int | None) -> str:
    """What stands for a host in fingerprints: its provider, else its name. Never its port."""
    return provider_of(host) or host


def session_key(session_by: str, request: Request) -> str:
    """What tells a call's trace or conversation from others, or "" where nothing does.

    A header of the call itself, else an entry of that name in the baggage that came with the request which
    the program is answering.
    """
    kind, _, name = session_by.partition(":")
    if kind == "trace":
        return current_trace()
    wanted = name.encode()
    value = next((v.decode("latin-1") for n, v in request.headers if n.lower() == wanted), "")
    return value or baggage(name)


def ended(route: Route, head: Head, body: bytes) -> bool:
    """Whether a body that the program stopped reading already held its provider's last event."""
    with guard.swallow("end of stream"):
        return wire.ended(route.shape, decode(head, body))
    return False


class Description:
    """What is known of one call, as it goes on."""

    __slots__ = ("_asked", "_fingerprint", "_request", "_wants_content", "route", "span")

    def __init__(self, route: Route, request: Request) -> None:
        self.route = route
        self.span: CallSpan | None = None
        self._request = request
        self._asked: RequestInfo | None = None
        self._fingerprint: Fingerprint | None = None  # as the span knows it
        self._wants_content = False

    def asked(self) -> RequestInfo:
        """What the request asks for."""
        if self._asked is None:
            self._asked = _NO_REQUEST
            if self.route.shape and self._request.body:
                with guard.swallow("request info"):
                    path = parts_of(self._request.url).path
                    self._asked = wire.request_info(self.route.shape, path, self._request.body)
        return self._asked

    def start(self, step: Step, session: Session, tracing: Tracing) -> None:
        """Start the span, if the call is an inference and somebody listens."""
        if self.route.operation is None or not tracing.listening:
            return
        function = self.route is FUNCTION
        self._fingerprint = step.fingerprint
        host, port = (None, 0) if function else _server(self._request.url)
        asked = self.asked()
        attributes = self._openai(asked.attributes())
        if self.route.provider in _OPENAI and self.route.shape in _API_TYPES:
            attributes[names.OPENAI_API_TYPE] = _API_TYPES[self.route.shape]
        self.span = tracing.start(
            SpanStart(
                operation=self.route.operation,
                provider=self.route.provider,
                model=redact.ruled(asked.model),
                server_address=host,
                server_port=port,
                tool=self._request.url.partition(":")[2] if function else "",
                request_attributes=redact.ruled(attributes),
                mode=session.mode.value,
                session_id=session.id,
                step=step.step or None,
                fingerprint=str(step.fingerprint) if step.fingerprint else None,
            )
        )
        if self.span is not None:
            self._wants_content = tracing.wants_content
            step.trace_id, step.span_id = self.span.trace_id, self.span.span_id
            if step.step:  # a replay's step has no number before it is decided
                self.decided(step)

    def decided(self, step: Step, link: Step | None = None, recording: Recording | None = None) -> None:
        """Say early what was decided, on a span of someone else: it may end before the body does.

        Of a hit, all is known by then: ``recording`` is what will be served.
        """
        if self.span is not None and not self.span.owned:
            self.span.decided(
                step.decision.value,
                match=step.match.value if step.match else None,
                source_session=step.source.session if step.source else None,
                source_step=step.source.step if step.source else None,
                link=_linked(link),
                step=step.step or None,
                fingerprint=str(step.fingerprint) if step.fingerprint else None,
                usage=self._answered(recording).usage if recording else None,
            )

    def finish(self, step: Step, recording: Recording) -> None:
        """Put model and usage onto the step of a live call, and end its span."""
        self._request = recording.request
        asked = self.asked()
        # What was too large to keep is not here to be read, which says nothing of how it ended.
        gone = step.decision is Decision.BYPASS and not recording.body
        answered = ResponseInfo() if gone else self._answered(recording)
        step.stream = asked.stream
        step.model = answered.model or asked.model
        step.usage = dict(answered.usage) or None
        self.end(step, recording, answered)

    def end(
        self, step: Step, recording: Recording, answered: ResponseInfo | None = None, link: Step | None = None
    ) -> None:
        """End the span."""
        span, self.span = self.span, None
        if span is None:
            return
        if answered is None:
            answered = self._answered(recording)
        error_type, message = _error(step, recording, answered)
        if message:
            message = redact.text(message, self._secrets())
        changed = None if step.fingerprint is self._fingerprint else step.fingerprint
        outcome = SpanEnd(
            decision=step.decision.value,
            step=step.step or None,  # a hit has its number and its fingerprint by now
            fingerprint=str(changed) if changed else None,
            match=step.match.value if step.match else None,
            source_session=step.source.session if step.source else None,
            source_step=step.source.step if step.source else None,
            link=_linked(link),
            status=step.status,
            error_type=error_type,
            error_message=message,
            time_to_first_chunk=self._first_chunk(step, recording),
            duration=recording.end_us / 1e6,
            usage=answered.usage,
            response_attributes=redact.ruled(self._openai(answered.attributes())),
            divergence=_divergence(step) if step.detail else None,
        )
        if self._wants_content:
            for name, source in self._content(answered, recording).items():
                setattr(outcome, name, source)
        span.end(outcome)

    def _content(self, answered: ResponseInfo, recording: Recording) -> dict[str, Any]:
        """Where a span gets its messages from."""
        if self.route is FUNCTION:
            return {
                "tool_arguments": lambda: redact.text(self._request.body.decode("utf-8", "replace"), ()),
                "tool_result": lambda: redact.text(recording.body.decode("utf-8", "replace"), ()),
            }
        asked = self.asked()
        return {
            "system_instructions": lambda: self._clean(_texts(asked.system_instructions)),
            "input_messages": lambda: self._clean(asked.input_messages),
            "output_messages": lambda: self._clean(answered.output_messages),
            "tool_definitions": lambda: self._clean(asked.tool_definitions),
        }

    def _first_chunk(self, step: Step, recording: Recording) -> float | None:
        """Seconds to the first chunk of a stream. On a hit there was no provider to wait for."""
        head = recording.head
        if not self.asked().stream or step.decision is Decision.HIT:
            return None
        if head is None or head.status >= _HTTP_ERROR:
            return None
        return next((at / 1e6 for length, at in recording.cuts if length), None)

    def _openai(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """Without OpenAI's own attributes where it is not OpenAI that means them."""
        if self.route.provider in _OPENAI:
            return attributes
        return {name: value for name, value in attributes.items() if not name.startswith("openai.")}

    def _clean(self, content: Any) -> Any:
        """Message content without secrets. Only spans that have content come here."""
        return content and json.loads(redact.text(json.dumps(content, default=str), self._secrets()))

    def _secrets(self) -> tuple[bytes, ...]:
        return redact.credentials(self._request.headers, self._request.url)

    def _answered(self, recording: Recording) -> ResponseInfo:
        head = recording.head
        if self.route.operation and head is not None:
            with guard.swallow("response info"):
                failed = head.status >= _HTTP_ERROR
                kind = next((v for n, v in head.headers if n.lower() == b"content-type"), b"")
                return wire.response_info(
                    self.route.shape,
                    decode(head, recording.body),
                    kind.decode("latin-1"),
                    stream=self.asked().stream and not failed,
                    cut=not (failed or recording.complete),
                    headers=head.headers,
                )
        return ResponseInfo()


def _linked(recorded: Step | None) -> tuple[str, str] | None:
    """Trace and span id of a recorded call, if it was traced."""
    if recorded is None or not (recorded.trace_id and recorded.span_id):
        return None
    return recorded.trace_id, recorded.span_id


def _divergence(step: Step) -> dict[str, Any]:
    """What a step's detail says of a divergence, without values: these are content."""
    detail = step.detail
    changes = detail.get("drift") or detail.get("diff") or ()
    return {
        "paths": [change["path"] for change in changes],
        "source_step": detail.get("source_step"),
        "cause": detail.get("cause"),
        "drift": detail.get("downstream_of"),
    }


def _texts(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What of the system instructions is text: the conventions allow nothing else there."""
    return [part for part in parts if part["type"] == "text"]


def _error(step: Step, recording: Recording, answered: ResponseInfo) -> tuple[str | None, str | None]:
    """What went wrong, as `rewind_auto.telemetry.spans` lists it, and in words."""
    if step.decision is Decision.BLOCKED:
        # Its first line: what differs, in those below it, is content.
        return "RewindReplayDivergenceError", (step.note or "").partition("\n")[0]
    if recording.fault is not None:
        return recording.fault.name, recording.fault.message
    if step.error == "cancelled":
        return "cancelled", "the call was cancelled"
    head = recording.head
    if step.status is not None and step.status >= _HTTP_ERROR and head is not None:
        return str(step.status), reading.complaint(decode(head, recording.body))
    return answered.error, None
