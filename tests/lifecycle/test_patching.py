"""One method, wrapped by us and by others in every way there is, put on and taken off in any order."""

from __future__ import annotations

import functools
import gc
from contextlib import ExitStack
from unittest import mock

import pytest
import wrapt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewind_auto.adapters import patching


def fresh():
    """A library's class with one method, and the method."""

    class Library:
        def ask(self, question, *, times=1):
            return [question] * times

    return Library, Library.__dict__["ask"]


class Agent:
    """A driver, and the wrapper of an adapter, which counts the calls that it sees."""

    def __init__(self):
        self.seen = 0
        self.inside = False

    def make(self, patch):
        def ask(self, *args, **options):
            agent = patch.driver
            if agent is None or agent.inside:
                return patch.original(self, *args, **options)
            agent.seen += 1
            agent.inside = True
            try:
                return patch.original(self, *args, **options)
            finally:
                agent.inside = False

        return ask

    def install(self, cls):
        assert patching.wrap(cls, "ask", self, self.make)

    def uninstall(self, cls):
        patching.unwrap(cls, "ask")


class Other:
    """Another tool: puts its own wrapper on what it finds, and puts that back."""

    def __init__(self, cls, kind):
        self.cls = cls
        self.seen = 0
        self.kind = kind
        self._put_back = getattr(self, kind)(cls.__dict__["ask"])

    def put_back(self):
        self._put_back()
        self._put_back = None

    def _call(self, found, instance, *args, **options):
        self.seen += 1
        return found.__get__(instance, type(instance))(*args, **options)

    def _set(self, found, wrapper):
        self.cls.ask = wrapper
        return lambda: setattr(self.cls, "ask", found)

    def opaque(self, found):
        return self._set(
            found, lambda instance, *args, **options: self._call(found, instance, *args, **options)
        )

    def wraps(self, found):
        @functools.wraps(found)
        def ask(instance, *args, **options):
            return self._call(found, instance, *args, **options)

        return self._set(found, ask)

    def unwraps(self, found):
        """ddtrace goes by what is said to be below, not by what it found."""
        self.wraps(found)
        return lambda: setattr(self.cls, "ask", self.cls.__dict__["ask"].__wrapped__)

    def wrapt(self, found):
        def ask(wrapped, instance, args, options):
            assert (type(instance), args) == (self.cls, ("why",))
            self.seen += 1
            return wrapped(*args, **options)

        return self._set(found, wrapt.FunctionWrapper(found, ask))

    def mocks(self, found):
        patcher = mock.patch.object(
            self.cls, "ask", autospec=True, side_effect=functools.partial(self._call, found)
        )
        patcher.start()
        return patcher.stop


OTHERS = ("opaque", "wraps", "unwraps", "wrapt", "mocks")
STEPS = st.lists(st.sampled_from(("install", "uninstall", "off", *OTHERS)), max_size=12)


@pytest.fixture
def of_this_test_alone():
    """A collection looks at nothing that was there before: there is a lot in a process with many tests."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("of_this_test_alone")
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_any_order(steps):
    """At every point each one that is on sees a call once, and in the end nothing is left."""
    library, original = fresh()
    agent, installed, others = Agent(), False, []
    for step in [*steps, "uninstall", *["off"] * len(steps)]:
        if step == "install":
            agent.install(library)
            installed = True
        elif step == "uninstall":
            agent.uninstall(library)
            installed = False
        elif step == "mocks" and any(other.kind == "mocks" for other in others):
            continue  # a mock of a mock is refused by unittest itself
        elif step in OTHERS:
            others.append(Other(library, step))
        elif others:
            others.pop().put_back()
            if "mocks" in steps:
                gc.collect()  # a mock is part of a cycle, and holds on to what it found
        assert patching.is_wrapped(library, "ask") == installed
        agent.seen = 0
        assert library().ask("why", times=2) == ["why", "why"]
        assert agent.seen == installed
        for other in others:
            assert other.seen == 1
            other.seen = 0
        if not (installed or others) and "mocks" not in steps:
            assert library.__dict__["ask"] is original
    assert library.__dict__["ask"] is original


@pytest.mark.parametrize("kind", OTHERS)
def test_others_do_not_wait_for_a_collection(kind):
    """What one of them put back shows at once that it is off: the next call is seen."""
    library, _ = fresh()
    agent, other = Agent(), Other(library, kind)
    agent.install(library)
    gc.disable()
    try:
        other.put_back()
        library().ask("why")
    finally:
        gc.enable()
    assert agent.seen == 1
    agent.uninstall(library)


def test_a_wrapper_that_somebody_keeps_works_again():
    """requests-mock leaves the method that it found in the sessions that it has mocked."""
    library, original = fresh()
    agent = Agent()
    agent.install(library)
    kept = library.ask
    agent.uninstall(library)
    assert library.ask is original
    kept(library(), "off")
    assert agent.seen == 0
    agent.install(library)
    assert library.ask is kept
    kept(library(), "on")
    assert agent.seen == 1
    agent.uninstall(library)


def test_what_others_say_of_the_method_can_still_be_seen():
    """OpenTelemetry and others mark the function that they put in, and look for the mark."""
    library, original = fresh()
    library.ask.instrumented = True
    agent = Agent()
    agent.install(library)
    assert library.ask is not original
    assert library.ask.instrumented
    assert (library.ask.__name__, library.ask.__qualname__) == (original.__name__, original.__qualname__)
    agent.uninstall(library)


@pytest.mark.parametrize("spec", [{}, {"spec": True}, {"autospec": True}])
def test_a_mock_that_was_there_before(spec):
    """Mocks have any attribute one asks for, our mark among them, and plain ones are not bound."""
    library, original = fresh()
    agent = Agent()
    with mock.patch.object(library, "ask", **spec) as mocked:
        mocked.return_value = "mocked"
        agent.install(library)
        assert library().ask("why") == "mocked"
        assert mocked.call_args.args[-1] == "why"
        assert agent.seen == 1
        agent.uninstall(library)
    assert library.ask is original


def test_a_mock_that_takes_our_place():
    library, original = fresh()
    agent = Agent()
    agent.install(library)
    with mock.patch.object(library, "ask", autospec=True, return_value="mocked"):
        assert library().ask("why") == "mocked"
        agent.uninstall(library)
        agent.install(library)
        assert library().ask("why") == "mocked"
    library().ask("why")
    assert agent.seen == 2
    agent.uninstall(library)
    gc.collect()
    assert library.ask is original


def test_an_assignment_for_good():
    """The program's own method counts from then on, and we are where we were."""
    library, _ = fresh()
    agent = Agent()
    agent.install(library)

    def own(self, question):
        return "own"

    library.ask = own
    assert library().ask("why") == "own"
    assert agent.seen == 1
    agent.uninstall(library)
    assert library.ask is own


def test_a_method_that_is_not_there():
    library, _ = fresh()
    assert not patching.wrap(library, "answer", Agent(), Agent().make)
    agent = Agent()
    agent.install(library)
    del library.ask
    assert not hasattr(library, "ask")
    agent.uninstall(library)


def test_all_at_once():
    """Classes that nobody finds by their library's name any more are among them."""
    made = [fresh() for _ in range(3)]
    agent = Agent()
    with ExitStack() as stack:
        for library, _ in made:
            agent.install(library)
            stack.callback(agent.uninstall, library)
        assert patching.unwrap_all()
        assert [library.ask for library, _ in made] == [original for _, original in made]
        assert not patching.unwrap_all()
