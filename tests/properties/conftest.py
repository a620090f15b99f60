"""The servers, the drivers and the comparisons are those of the contract suite."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.append(str(Path(__file__).parents[1] / "contract"))
pytest.register_assert_rewrite("trial", "plan_runs")


@pytest.fixture
def examples(request: pytest.FixtureRequest) -> settings:
    """How many plans are tried: a few that are always the same, or with --full many new ones."""
    full = request.config.getoption("--full")
    return settings(
        max_examples=300 if full else 30,
        derandomize=not full,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
