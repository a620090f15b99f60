"""A program: install and uninstall, imports, reloads and re-imports in random order, checked at each step.

Arguments: the URL to call, a seed, how many sequences.
"""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import closing

from calling import WAYS, call, library, seams
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import rewind_auto
from rewind_auto.core.errors import UnknownReferenceError
from rewind_auto.store import open_store

LIBRARIES = ("httpx", "httpx2", "requests", "aiohttp")
URL, SEED, SEQUENCES = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def recorded() -> list[tuple[str, bytes]]:
    """The library of each step of the session, and the answer that was kept."""
    session = os.environ["REWIND_SESSION_ID"]
    with closing(open_store(os.environ["REWIND_STORE"])) as store:
        try:
            return [(step.library, store.recording(session, step.step).body) for step in store.steps(session)]
        except UnknownReferenceError:
            return []


def forget(name: str) -> None:
    """Have the library not imported."""
    for loaded in [key for key in sys.modules if key.partition(".")[0] == name]:
        del sys.modules[loaded]


class AnyOrder(RuleBasedStateMachine):
    """What is expected: the originals of each module object there was, and a step for each hooked call."""

    def __init__(self):
        super().__init__()
        os.environ["REWIND_SESSION_ID"] = os.urandom(16).hex()
        for name in LIBRARIES:
            forget(name)
        self.installed = False
        self.hooked = set()
        self.originals = {}  # of every module object, those that sys.modules has forgotten too
        self.steps = []

    def _import(self, name):
        self._met(importlib.import_module(name))

    def _met(self, module):
        found = seams(module)
        self.originals[module] = [now.__wrapped__ for now in found] if self.installed else found
        if self.installed:
            self.hooked.add(module)

    @rule()
    def install(self):
        rewind_auto.install(hosts=["127.0.0.1"])
        self.installed = True
        self.hooked |= {module for module in self.originals if sys.modules.get(module.__name__) is module}

    @rule()
    def uninstall(self):
        rewind_auto.uninstall()
        self.installed = False
        self.hooked.clear()

    @rule(name=st.sampled_from(LIBRARIES))
    def import_it(self, name):
        if name not in sys.modules:
            self._import(name)

    @rule(name=st.sampled_from(LIBRARIES))
    def import_it_anew(self, name):
        forget(name)
        self._import(name)

    @rule(name=st.sampled_from(LIBRARIES))
    def forget(self, name):
        forget(name)

    @precondition(lambda _: any(name in sys.modules for name in LIBRARIES))
    @rule(data=st.data())
    def reload(self, data):
        module = sys.modules[data.draw(st.sampled_from([name for name in LIBRARIES if name in sys.modules]))]
        before = seams(module)
        assert importlib.reload(module) is module
        assert seams(module) == before

    @precondition(lambda _: any(name in sys.modules for name in LIBRARIES))
    @rule(data=st.data())
    def reload_with_all_that_is_in_it(self, data):
        """The same module object, with classes that are not those that it had."""
        module = sys.modules[data.draw(st.sampled_from([name for name in LIBRARIES if name in sys.modules]))]
        for loaded in [key for key in sys.modules if key.startswith(f"{module.__name__}.")]:
            del sys.modules[loaded]
        assert importlib.reload(module) is module
        self._met(module)

    @precondition(lambda self: self.originals)
    @rule(data=st.data())
    def call(self, data):
        """With the newest module object of a library, or with one that was left behind."""
        module = data.draw(st.sampled_from(list(self.originals)))
        way = data.draw(st.sampled_from([way for way in WAYS if library(way) == module.__name__]))
        assert call(module, way, URL) == "answer"
        if module in self.hooked:
            self.steps.append((module.__name__, b"answer"))
        assert recorded() == self.steps

    @invariant()
    def every_attribute(self):
        assert rewind_auto.is_installed() == self.installed
        for module, originals in self.originals.items():
            same = [now is original for now, original in zip(seams(module), originals, strict=True)]
            assert same == [module not in self.hooked] * len(same)

    def teardown(self):
        rewind_auto.uninstall()
        for module, originals in self.originals.items():
            assert seams(module) == originals


seed(SEED)(AnyOrder)
run_state_machine_as_test(
    AnyOrder,
    settings=settings(
        max_examples=SEQUENCES,
        stateful_step_count=25,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    ),
)
