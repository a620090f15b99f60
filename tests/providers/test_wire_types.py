"""Whatever stands in a field, an attribute made of it is of its convention's type.

Nothing looks at the values again on their way into a span.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conventions import check_value

from rewind_auto import providers
from rewind_auto.providers import wire

PACKAGE = Path(providers.__file__).parent


def sources(module: str) -> list[str]:
    """The text of a reader, and of what it shares with others."""
    own = (PACKAGE / f"{module}.py").read_text()
    shared = set(re.findall(r"from rewind_auto\.providers\.(\w+) import", own)) - {"info"}
    return [own, *((PACKAGE / f"{name}.py").read_text() for name in sorted(shared))]


def fields(module: str) -> list[str]:
    """Every name that a reader can look for."""
    return sorted({name for text in sources(module) for name in re.findall(r'"(\w+)"', text)})


def into(module: str) -> list[str]:
    """The names of those that it looks into."""
    lines = [line for text in sources(module) for line in text.splitlines()]
    looked = [line for line in lines if re.search(r"\bobj(ects)?\(", line)]
    return sorted({name for line in looked for name in re.findall(r'"(\w+)"', line)})


WRONG = [
    None, True, 0, 1, -1, 3.0, 0.5, 2**63, 10**400, float("nan"), float("inf"),
    "", "a", "\ud800", [], ["a", 1, "\ud800"], [[1.5]], {},
]  # fmt: skip


def documents(module: str, wrong: Any) -> Iterator[dict[str, Any]]:
    """Documents with the wrong value in every field, of their own, of every object and of every list."""
    flat = dict.fromkeys(fields(module), wrong)
    yield flat
    yield flat | dict.fromkeys(into(module), flat)
    yield flat | {name: [flat] for name in into(module)}


@pytest.mark.parametrize("shape", sorted(wire._READERS))
def test_attributes_are_of_their_types(shape: str) -> None:
    module = wire._READERS[shape][0]
    for document in [document for wrong in WRONG for document in documents(module, wrong)]:
        body = json.dumps(document).encode()
        asked = wire.request_info(shape, "/model/m/invoke", body)
        for answer in (body, b"data: " + body + b"\n\n"):
            answered = wire.response_info(shape, answer)
            for name, value in {**asked.attributes(), **answered.attributes()}.items():
                check_value(name, value)
            for model in (asked.model, answered.model):
                assert model is None or model.encode()
            assert all(type(count) is int and 0 <= count < 2**63 for count in answered.usage.values())
