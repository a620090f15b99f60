"""Whether the collector that spans would be exported to is there and takes them."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import threading
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from rewind_auto.core.errors import RewindError
from rewind_auto.telemetry.signals import TRACES, ExportPlan, signal_url

_PATIENCE = 3.0  # seconds for all of it: finding the host, connecting, and an answer
_FAILED = 300
_GRPC, _HTTP = 4317, 4318


class CollectorError(RewindError):
    """It is not there, or would not take spans. One line, without what may be secret in the URL."""


class Where(NamedTuple):
    """Where spans go."""

    url: str
    host: str
    port: int
    grpc: bool


def check(plan: ExportPlan) -> str:
    """Send no spans at all, as the exporter would send some, and say what came of it.

    Raises:
        CollectorError: a request with spans would have failed.
    """
    where = locate(plan.endpoint)
    place = f"{where.host}:{where.port}"
    # In a thread: the look-up of a name, and an answer that comes byte by byte, know no time limit.
    answer = _within(_PATIENCE, lambda: _connect(where) if where.grpc else _post(where))
    if isinstance(answer, urllib.error.URLError) and isinstance(answer.reason, BaseException):
        answer = answer.reason
    if answer is None or isinstance(answer, TimeoutError):
        raise CollectorError(
            f"{place} does not answer within {_PATIENCE:g} s: is a collector there, and well?"
        )
    if isinstance(answer, BaseException):
        raise CollectorError(f"{place}: {_reason(answer)}; start a collector there, or set another endpoint")
    if answer == 0:
        return f"{place} is reachable (gRPC)"
    if answer >= _FAILED and answer not in _TAKEN:
        hint = _HINTS.get(answer, "it would not take spans")
        raise CollectorError(f"{place} answers {answer}: {hint}")
    return f"{place} is reachable and answers {answer}"


_TAKEN = (
    HTTPStatus.BAD_REQUEST,  # a collector may take no spans for a malformed request
    HTTPStatus.TEMPORARY_REDIRECT,
    HTTPStatus.PERMANENT_REDIRECT,
)
_MOVED = "it redirects, and spans do not go along: set the endpoint to where it leads"
_HINTS = {
    301: _MOVED,
    302: _MOVED,
    303: _MOVED,
    401: "OTEL_EXPORTER_OTLP_HEADERS needs a valid key",
    403: "OTEL_EXPORTER_OTLP_HEADERS needs a key that may write",
    404: "the path of the endpoint is wrong",
    405: "the path of the endpoint is wrong",
}


def locate(endpoint: str | None) -> Where:
    """Where spans go: to ``endpoint``, or to where the OTEL_* variables say.

    Raises:
        CollectorError: that is no URL.
    """
    environ = os.environ
    protocol = environ.get(TRACES.variable("PROTOCOL")) or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    grpc = protocol == "grpc" and endpoint is None
    own = endpoint or environ.get(TRACES.variable("ENDPOINT"))
    base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or f"http://localhost:{_GRPC if grpc else _HTTP}"
    try:
        url = own or base
        url = url if "://" in url else f"http://{url}"
        if not (own or grpc):
            url = signal_url(TRACES, url)
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, _GRPC if grpc else _HTTP)
    except ValueError as error:
        raise CollectorError(f"the endpoint is not a URL: {error}") from None
    if not parts.hostname:
        raise CollectorError("the endpoint names no host")
    return Where(url, parts.hostname, port, grpc)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Keys are for the collector, not for where it sends us. The answer that says so is an error as well."""

    def redirect_request(self, *_what: object) -> None:
        return None


def _connect(where: Where) -> int:
    socket.create_connection((where.host, where.port), timeout=_PATIENCE).close()
    return 0


def _post(where: Where) -> int:
    """The status of the answer to a request with no spans: a message of protobuf without fields is empty."""
    parts = urlsplit(where.url)
    headers = {"content-type": "application/x-protobuf", **_headers()}
    if (
        parts.username is not None
    ):  # `requests`, which exporters use, takes these out of the URL, and so must we
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["authorization"] = f"Basic {b64encode(user.encode()).decode()}"
    url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    request = urllib.request.Request(url, data=b"", headers=headers, method="POST")  # noqa: S310 - checked
    certificates = os.environ.get(TRACES.variable("CERTIFICATE")) or os.environ.get(
        "OTEL_EXPORTER_OTLP_CERTIFICATE"
    )
    handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
    if where.url.startswith("https:"):
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=certificates)))
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=_PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _headers() -> dict[str, str]:
    """As the exporter reads them: ``name=value`` pairs, percent-encoded, separated by commas."""
    text = os.environ.get(TRACES.variable("HEADERS")) or os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")
    pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}


def _within(seconds: float, work: Callable[[], int]) -> int | BaseException | None:
    """What ``work`` returns or raises, or None when it takes longer."""
    result: list[int | BaseException] = []

    def target() -> None:
        try:
            result.append(work())
        except (OSError, ValueError, http.client.HTTPException) as error:
            result.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(seconds)
    return result[0] if result else None


def _reason(error: BaseException) -> str:
    if isinstance(error, http.client.HTTPException):
        return "what answers there speaks no HTTP"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
