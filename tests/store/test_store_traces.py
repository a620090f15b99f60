"""Sessions found by the traces that their calls belong to."""

from __future__ import annotations

import making
import pytest

from rewind_auto.core.errors import UnknownReferenceError
from rewind_auto.core.model import Mode

TRACE, OTHER = "0af7651916cd43dd8448eb211c80319c", "b" * 32


@pytest.mark.parametrize("written", [TRACE.upper(), TRACE[1:], f"tr-{TRACE}", f"00-{TRACE}-{'1' * 16}-01"])
def test_however_it_is_written(store, written):
    uid = making.session(store)
    making.save(store, uid, trace_id=TRACE)
    making.save(store, making.session(store), trace_id=OTHER)
    assert store.resolve(f"trace:{written}").id == uid


def test_a_session_of_many_traces_by_each(store):
    uid = making.session(store)
    traces = [f"{number:032x}" for number in range(1, 4)]
    for trace in traces:
        making.save(store, uid, trace_id=trace)
    making.session(store)
    assert {store.resolve(f"trace:{trace}").id for trace in traces} == {uid}


def test_of_many_sessions_the_newest_and_for_a_replay_the_newest_that_is_none(store):
    for mode in Mode.RECORD, Mode.CACHE, Mode.REPLAY:
        uid = making.session(store, mode, name=mode)
        making.save(store, uid, trace_id=TRACE)
    assert store.resolve(f"trace:{TRACE}").name == "replay"
    assert store.resolve(f"trace:{TRACE}", for_replay=True).name == "cache"


def test_a_trace_through_a_session_inside_another_is_of_the_outer_one(store):
    outer = making.session(store)
    inner = making.session(store, outer=outer)
    making.save(store, inner, trace_id=TRACE)
    assert store.resolve(f"trace:{TRACE}").id == inner  # a request of a server, say
    making.save(store, outer, trace_id=TRACE)
    for for_replay in False, True:
        assert store.resolve(f"trace:{TRACE}", for_replay=for_replay).id == outer


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        (f"trace:{OTHER}", f"no call in this store was recorded in the trace 'trace:{OTHER}'"),
        ("trace:last", "'trace:last' has no trace id: that is up to 32 hex digits"),
        ("trace:", "'trace:' has no trace id: that is up to 32 hex digits"),
        (f"trace:{TRACE}0", f"'trace:{TRACE}0' has no trace id: that is up to 32 hex digits"),
    ],
)
def test_one_that_leads_nowhere(store, ref, said):
    making.save(store, making.session(store), trace_id=TRACE)
    with pytest.raises(UnknownReferenceError) as raised:
        store.resolve(ref)
    assert str(raised.value) == said
