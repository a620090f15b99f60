"""The table of ``docs/limits.md`` and the tests named after its rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from drivers import DRIVERS

from rewind_auto.boot.tripwire import WATCHED

HERE = Path(__file__).parent
ROWS = dict(
    re.findall(
        r"^\| L(\d+) (\|.+)$", (HERE.parents[1] / "docs" / "limits.md").read_text("utf-8"), re.MULTILINE
    )
)
TESTS = {
    (name, path.name)
    for path in HERE.glob("test_limits_*.py")
    for name in re.findall(r"^def (test_l\d\d_\w+)\(", path.read_text("utf-8"), re.MULTILINE)
}
# What there is none for: the project's own affairs, and what there is no need of.
UNTESTED = {"12", "15", "21", "25", "50", "55"}


def test_no_row_is_missing():
    assert list(ROWS) == [str(number) for number in range(1, 59)]


@pytest.mark.parametrize("number", ROWS)
def test_a_row_names_its_tests(number):
    named = set(re.findall(r"\[`(test_\w+)`\]\(\.\./tests/regressions/(\w+\.py)\)", ROWS[number]))
    assert named == {(name, path) for name, path in TESTS if name[6:8] == number.zfill(2)}
    assert bool(named) == (number not in UNTESTED)


def test_l13_every_library_is_in_the_suites_and_none_can_be_missing():
    assert {driver.module.__name__ for driver in DRIVERS} == set(WATCHED)
    skipped = re.compile(rf"importorskip\(\W({'|'.join(WATCHED)})\W")
    suites = [*HERE.glob("*.py"), *(HERE.parent / "contract").glob("*.py")]
    assert [path.name for path in suites if skipped.search(path.read_text("utf-8"))] == []
