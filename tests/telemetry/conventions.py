"""Whether a span, a metric or an event of ours is as the GenAI semantic conventions have it.

``genai_conventions.json`` holds what they say, and of which version that is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from genai_schema import check_messages, check_parts, check_tools
from opentelemetry.trace import StatusCode

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

CONVENTIONS: Final = json.loads(Path(__file__).with_name("genai_conventions.json").read_text())

_INFERENCE: Final = CONVENTIONS["spans"]["gen_ai.client.inference"]
_LEVELS: Final = ("required", "conditionally_required", "recommended", "opt_in")
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "int": (int,),
    "double": (float,),
    "boolean": (bool,),
    "string[]": (tuple, list),
    "any": (str, dict, list, tuple),
}
_SPAN_TYPES: Final = {
    "embeddings": "gen_ai.client.embeddings",
    "execute_tool": "gen_ai.execute_tool.internal",
}
# Where none of the conventions' own values applies, an instrumentation may use one of its own.
_OWN_VALUES: Final[Mapping[str, frozenset[str]]] = {
    "gen_ai.operation.name": frozenset({"rerank"}),
    "gen_ai.provider.name": frozenset({"together_ai", "openrouter", "fireworks_ai", "ollama", "custom"}),
}
# Not a GenAI attribute, and not forbidden on a GenAI span: only this one of HTTP's is on ours.
_BESIDE: Final = ("http.response.status_code",)
# Azure OpenAI is OpenAI's API under another provider name; the conventions have no flavour of its own for it.
_FLAVOURS: Final = {"azure.ai.openai": "openai"}
# The conventions ask every call of Bedrock's for its guardrail; most have none.
_NOT_ALWAYS: Final = ("aws.bedrock.guardrail.id",)


def check_span(span: ReadableSpan) -> None:
    """Assert that a span of ours is one of the conventions', with the right types, and all that it owes."""
    attributes = dict(span.attributes or {})
    kind = _SPAN_TYPES.get(str(attributes.get("gen_ai.operation.name")), "gen_ai.client.inference")
    convention = CONVENTIONS["spans"][kind]
    _check(kind, convention, attributes, _BESIDE)
    assert span.kind.name.lower() == convention["kind"], kind
    assert span.name == " ".join(str(attributes[name]) for name in convention["name"] if name in attributes)
    assert ("error.type" in attributes) == (span.status.status_code is StatusCode.ERROR)
    assert ("server.address" in attributes) <= ("server.port" in attributes)
    for name in convention["opt_in"]:
        if name in attributes:
            assert isinstance(attributes[name], str), f"{name}: spans have no structured values"
            _check_content(name, json.loads(attributes[name]))


def check_metric(name: str, attributes: Mapping[str, Any], *, instrument: str = "", unit: str = "") -> None:
    """Assert that a data point's attributes are its metric's. What else is given counts too."""
    convention = CONVENTIONS["metrics"][name]
    _check(name, convention, attributes)
    assert instrument in ("", convention["instrument"]), name
    assert unit in ("", convention["unit"]), name


def check_event(name: str, attributes: Mapping[str, Any], *, severity: str = "") -> None:
    """Assert that an event's attributes are its own. ``severity`` ("DEBUG") counts if given."""
    event = CONVENTIONS["events"][name]
    convention = CONVENTIONS["spans"].get(event.get("attributes_of")) or event
    _check(name, convention, attributes)
    assert severity in ("", event["severity"]), name
    for content in convention["opt_in"]:
        if content in attributes:
            assert not isinstance(attributes[content], str), f"{content}: an event has the structure itself"
            _check_content(content, attributes[content])


def _check(
    what: str, convention: Mapping[str, Any], given: Mapping[str, Any], beside: tuple[str, ...] = ()
) -> None:
    provider = str(given.get("gen_ai.provider.name"))
    refined: dict[str, Any] = {}
    if convention is _INFERENCE:
        refined = CONVENTIONS["refinements"].get(_FLAVOURS.get(provider, provider), {})
    listed = {name for level in _LEVELS for part in (convention, refined) for name in part.get(level, ())}
    for name, value in given.items():
        if not name.startswith("rewind."):
            assert name in (*listed, *beside), f"{what} has no {name}"
            check_value(name, value)
    required = [name for part in (convention, refined) for name in part.get("required", ())]
    missing = {*required} - {*given} - {*_NOT_ALWAYS}
    assert not missing, f"{what} needs {missing}"


def check_value(name: str, value: Any) -> None:
    """Assert that a value is of its attribute's type, and can be exported."""
    attribute = CONVENTIONS["attributes"][name]
    assert type(value) in _TYPES[attribute["type"]], f"{name} is {attribute['type']}, not {value!r}"
    if attribute["type"] == "string[]":
        assert all(type(item) is str for item in value), name
    for said in [value] if isinstance(value, str) else value if isinstance(value, tuple) else []:
        said.encode()  # an exporter refuses a lone surrogate
    if attribute["type"] == "int":
        assert -(2**63) <= value < 2**63
    members = attribute.get("members", ())
    if name in _OWN_VALUES:
        assert value in members or value in _OWN_VALUES[name], f"{name} has no value {value!r}"


def _check_content(name: str, value: Any) -> None:
    if name == "gen_ai.tool.definitions":
        check_tools(value)
    elif name == "gen_ai.system_instructions":
        check_parts(value)
        assert {part["type"] for part in value} == {"text"}, "system instructions are text"
    elif name in ("gen_ai.input.messages", "gen_ai.output.messages"):
        check_messages(value, output="output" in name)
