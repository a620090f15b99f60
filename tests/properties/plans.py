"""Random agents, as trees that say what one does: written by hypothesis, to be read by people.

An agent carries along what it was answered so far, and puts it into every prompt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from hypothesis import strategies as st

CHUNKS = 4  # of a streamed answer


@dataclass(frozen=True)
class Ask:
    """A call, tried again while it goes wrong.

    Attributes:
        to: what is asked: the model (``chat``), its provider (``models``, no inference), or an HTTP ``tool``.
        stream: whether the answer is a stream.
        take: a stream is left after so many chunks.
        fresh: the prompt has nothing in it that was answered before.
        trouble: what the server does about the first tries.
        tries: so many in all.
        give_up: whether it raises when the last one has failed too.
        ms: how long the server takes.
    """

    text: str = "a"
    to: str = "chat"
    stream: bool = False
    take: int | None = None
    fresh: bool = False
    trouble: tuple[str, ...] = ()
    tries: int = 1
    give_up: bool = False
    ms: int = 0


@dataclass(frozen=True)
class Call:
    """A call of a function of the program's own that is decorated with ``cached_call``.

    Attributes:
        kind: what the function is; one that ``raises``; or, as ``agent``, one that does what is in ``body``.
    """

    text: str = "f"
    kind: str = "plain"
    fresh: bool = False
    body: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Own:
    """A session of the program's own."""

    name: str
    body: tuple[Node, ...]


@dataclass(frozen=True)
class Together:
    """Branches at the same time.

    Attributes:
        how: ``gather``: tasks; ``completed``: tasks, taken as they complete; ``pool``: threads. For a
            synchronous agent all of them are threads.
        alike: branches may ask the very same: the names of their tasks tell them apart.
        workers: threads of a pool.
    """

    how: str
    branches: tuple[tuple[Node, ...], ...]
    alike: bool = False
    workers: int = 2


Node = Ask | Call | Own | Together


@dataclass(frozen=True)
class Plan:
    """What an agent does, one thing after the other."""

    body: tuple[Node, ...]

    def __str__(self) -> str:
        return "\n".join(["agent:", *_lines(self.body, "  ")])

    def nodes(self) -> Iterator[Node]:
        """All of them, at any depth."""
        return _all(self.body)


def _all(body: tuple[Node, ...]) -> Iterator[Node]:
    for node in body:
        yield node
        for below in node.branches if isinstance(node, Together) else (getattr(node, "body", ()),):
            yield from _all(below)


def _lines(body: tuple[Node, ...], indent: str) -> Iterator[str]:
    for node in body:
        known = (
            (field.name, getattr(node, field.name), field.default)
            for field in fields(node)
            if field.name not in ("body", "branches")
        )
        said = ", ".join(f"{name}={value!r}" for name, value, usual in known if value != usual)
        yield f"{indent}{type(node).__name__.lower()} {said}".rstrip()
        if isinstance(node, Together):
            for branch in node.branches:
                yield f"{indent}  branch"
                yield from _lines(branch, f"{indent}    ")
        else:
            yield from _lines(getattr(node, "body", ()), f"{indent}  ")


# --- at random

_TEXTS = st.sampled_from(["a", "b"])
_NAMES = st.sampled_from(["chat", "deep"])
_WRONG = st.lists(st.sampled_from(["500", "429", "cut", "reset"]), max_size=2).map(tuple)


def asks(*, trouble: bool = True, http: bool = True, whole: bool = False) -> st.SearchStrategy[Ask]:
    """Single calls: with errors, to more than the model, with streams that are left."""

    def made(to: str, stream: bool, take: int | None, wrong: tuple[str, ...], **more: object) -> Ask:
        streamed = stream and to == "chat"
        return Ask(to=to, stream=streamed, take=take if streamed else None, trouble=wrong, **more)  # type: ignore[arg-type]

    return st.builds(
        made,
        to=st.sampled_from(["chat", "chat", "models", "tool"]) if http else st.just("chat"),
        stream=st.booleans(),
        take=st.none() if whole else st.none() | st.integers(0, CHUNKS - 1),
        wrong=_WRONG if trouble else st.just(()),
        text=_TEXTS,
        fresh=st.booleans(),
        tries=st.integers(1, 3),
        give_up=st.booleans() if trouble else st.just(False),
        ms=st.sampled_from([0, 0, 0, 2, 5]),
    )


def calls(asked: st.SearchStrategy[Ask], *, trouble: bool = True) -> st.SearchStrategy[Call]:
    """Single calls of the program's own functions."""
    kinds = ["plain", "generator", *(["raises"] if trouble else [])]
    plain = st.builds(Call, kind=st.sampled_from(kinds), fresh=st.booleans(), text=_TEXTS)
    agents = st.builds(
        Call, kind=st.just("agent"), fresh=st.booleans(), text=_TEXTS, body=_bodies(asked | plain, 2)
    )
    return plain | agents


def _bodies(nodes: st.SearchStrategy[Node], most: int) -> st.SearchStrategy[tuple[Node, ...]]:
    return st.lists(nodes, min_size=1, max_size=most).map(tuple)


def sequential() -> st.SearchStrategy[Plan]:
    """Agents that do one thing at a time."""
    simple = asks() | calls(asks())
    inner = st.builds(Own, name=_NAMES, body=_bodies(simple, 3))
    nested = st.builds(Own, name=_NAMES, body=_bodies(simple | inner, 3))
    return _bodies(asks() | simple | nested, 5).map(Plan)


def _together(nodes: st.SearchStrategy[Node], *how: str, alike: bool = False) -> st.SearchStrategy[Together]:
    return st.builds(
        Together,
        how=st.sampled_from(how),
        branches=st.lists(_bodies(nodes, 3), min_size=2, max_size=3).map(tuple),
        alike=st.just(alike),
        workers=st.integers(1, 3) if "pool" in how else st.just(2),
    )


def parallel(*, completed: bool = True) -> st.SearchStrategy[Plan]:
    """Agents that do several things at a time: in threads anywhere, or in sessions of their own.

    Args:
        completed: whether some take answers as they come.
    """
    return _with_threads() | _with_sessions(completed=completed)


def _with_threads() -> st.SearchStrategy[Plan]:
    simple = asks() | calls(asks())
    alike = _together(simple | _together(simple, "gather", alike=True), "gather", alike=True)
    around = _together(simple | _together(simple, "gather", "pool") | alike, "gather", "pool") | alike
    own = st.builds(Own, name=_NAMES, body=_bodies(simple | around, 3))
    return _bodies(simple | around | own, 4).map(Plan)


def _with_sessions(*, completed: bool) -> st.SearchStrategy[Plan]:
    simple = asks() | calls(asks())
    # A thread belongs to the session that was open when it started, if there is but one: sessions side by
    # side start none here.
    own = st.builds(Own, name=_NAMES, body=_bodies(simple | _together(simple, "gather"), 3))
    nodes = simple | own | _together(simple | own, "gather")
    if completed:
        # Which one completes first must be for the answers to say: not for a thread, nor for a stream that is
        # left. Nor, of two at the same instant, for what takes the agent fewer turns of its event loop.
        asked = asks(whole=True)
        nodes |= _together(asked | st.builds(Own, name=_NAMES, body=_bodies(asked, 2)), "completed")
    return _bodies(nodes, 4).map(Plan)


def cacheable() -> st.SearchStrategy[Plan]:
    """Agents whose calls a cache can serve, and that ask nothing twice at the same time."""
    asked = asks(trouble=False, http=False, whole=True)
    simple = asked | calls(asked, trouble=False)
    around = st.builds(
        Together,
        how=st.sampled_from(["gather", "pool"]),
        branches=st.lists(_bodies(simple, 3), min_size=2, max_size=3).map(tuple),
    )
    own = st.builds(Own, name=_NAMES, body=_bodies(simple, 3))
    return _bodies(simple | around | own, 4).map(Plan)
