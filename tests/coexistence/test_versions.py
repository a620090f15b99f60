"""What the document says was tested is what the environments have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs" / "coexistence.md"


@pytest.mark.parametrize("age", ["new", "old"])
def test_the_document_names_the_tested_versions(age):
    pins = re.findall(r"^([^#=\n]+)==(\S+)$", (HERE / f"requirements-{age}.txt").read_text(), re.MULTILINE)
    assert pins
    text = DOCUMENT.read_text()
    assert [pin for pin in pins if not re.search(rf"(?<![\d.]){re.escape(pin[1])}(?!\d)", text)] == []
