"""What every call asks of the store goes by an index of digests, however many steps there are."""

from __future__ import annotations

import pytest

from rewind_auto.core.model import Match
from rewind_auto.store import claims, open_store

NEXT = dict.fromkeys(("digest", "source", "used", "before", "me", "lane"))


@pytest.mark.parametrize(
    ("query", "index", "given"),
    [
        (claims._NEXT_ANYWHERE, "steps_exact", NEXT),
        (claims._NEXT_IN_LANE, "steps_exact", NEXT),
        (claims._NEWEST[Match.EXACT], "steps_exact", (None,) * 3),
        (claims._NEWEST[Match.RENAMED], "steps_canonical", (None,) * 3),
    ],
)
def test_by_digest(store_path, query, index, given):
    store = open_store(str(store_path))
    with store._connection.reading() as db:
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}", given)]
    store.close()
    (first,) = (line for line in plan if line.startswith(("SEARCH s ", "SCAN s ")))
    assert f"USING INDEX {index}" in first
    assert not any(line.startswith("SCAN") for line in plan)
    assert not any("TEMP B-TREE" in line for line in plan)
