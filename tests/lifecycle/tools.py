"""The tools of others that we are tried with."""

from __future__ import annotations

from mockers import Aioresponses, RequestsMock, Responses, Respx, RespxOfHttpx, Vcr
from tracers import Ddtrace, OpenTelemetry, Sentry

TOOLS = {
    "opentelemetry": OpenTelemetry,
    "sentry": Sentry,
    "vcrpy": Vcr,
    "respx": Respx,
    "respx of httpx": RespxOfHttpx,
    "responses": Responses,
    "requests-mock": RequestsMock,
    "aioresponses": Aioresponses,
}

# In an environment of its own: see test_ddtrace.
HEAVY = {"ddtrace": Ddtrace}
