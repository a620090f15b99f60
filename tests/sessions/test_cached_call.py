"""``@cached_call``: a program's own functions are recorded and replayed with what they gave, or raised."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import decimal
import enum
import inspect
import json
import os
import subprocess
import sys
import threading
import typing
from concurrent.futures import ThreadPoolExecutor

import pydantic
import pytest

import rewind_auto
from rewind_auto import cached_call
from rewind_auto.core import guard
from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.store import open_store

ran: list[str] = []


class Colour(enum.Enum):
    RED = 1


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    tags: tuple[str, ...] = ()


class Forecast(pydantic.BaseModel):
    city: str
    at: dt.datetime
    where: Point | None = None


class Place(typing.NamedTuple):
    name: str
    size: int


class RefusedError(Exception):
    def __init__(self, code: int, why: str) -> None:
        super().__init__(code, why)
        self.code = code


VALUES = [
    None, True, 3, 2.5, "text ☃", [1, [2]], {"a": {"b": None}}, {1: "a", (2, 3): "b"}, {"$": "dollar"},
    (1, "a"), {1, 2}, frozenset({"a"}), b"\x00\xff", Colour.RED, Point(1, ("a", "b")), [Point(2)],
    Forecast(city="Ulm", at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC), where=Point(3, ("t",))),
    Place("Ulm", 3), decimal.Decimal("1.10"), dt.date(2026, 1, 2), dt.timedelta(days=1, seconds=2),
    Access.READ, Access.READ | Access.WRITE, Access(0),
]  # fmt: skip


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    ran.clear()
    monkeypatch.setattr(guard, "_seen", set())


@cached_call
def tool(number: int = 0, *more: object, unit: str = "m") -> object:
    """Gives one of the values."""
    ran.append(f"tool {number}")
    return VALUES[number]


@cached_call(name="refuse")
def refuse(code):
    ran.append("refuse")
    raise RefusedError(code, "no")


@cached_call
async def atool(number):
    ran.append(f"atool {number}")
    await asyncio.sleep(0)
    return VALUES[number]


@cached_call
def count(most, *, fail=False):
    for number in range(most):
        ran.append(f"count {number}")
        yield Point(number)
    if fail:
        raise RefusedError(1, "count")
    return "done"


@cached_call
async def acount(most, *, fail=False):
    for number in range(most):
        ran.append(f"acount {number}")
        yield Point(number)
    if fail:
        raise RefusedError(1, "count")


def steps_of(kept, name):
    return [(step.kind.value, step.decision.value) for step in kept()[name][1]]


def both(program, kept):
    """What the program gives when recorded; replayed, it gives the same and runs nothing."""
    with rewind_auto.session("recorded"):
        said = program()
    count = len(ran)
    assert count
    with rewind_auto.session("replayed", mode="replay", source="recorded"):
        assert program() == said
    assert len(ran) == count
    assert {kind for kind, _ in steps_of(kept, "recorded")} == {"tool"}
    assert {decision for _, decision in steps_of(kept, "replayed")} == {"hit"}
    return said


def test_without_the_agent_nothing_is_changed(store_path):
    assert tool(2) == tool(2) == 3
    assert ran == ["tool 2", "tool 2"]
    assert not store_path.exists()
    assert tool.__doc__ == "Gives one of the values."
    assert list(inspect.signature(tool).parameters) == ["number", "more", "unit"]
    assert inspect.iscoroutinefunction(atool)
    assert inspect.isgeneratorfunction(count)
    assert inspect.isasyncgenfunction(acount)


@pytest.mark.parametrize("number", range(len(VALUES)), ids=lambda number: repr(VALUES[number])[:20])
def test_a_value_comes_back_with_its_type(number, kept):
    said = both(lambda: [(value, type(value)) for value in [tool(number)]], kept)
    assert said == [(VALUES[number], type(VALUES[number]))]


async def test_of_a_coroutine(kept):
    async with rewind_auto.session("recorded"):
        said = await asyncio.gather(*(atool(number) for number in (14, 3, 15)))
    async with rewind_auto.session("replayed", mode="replay", source="recorded"):
        assert await asyncio.gather(*(atool(number) for number in (14, 3, 15))) == said
    assert len(ran) == 3


def test_an_exception_comes_back_with_its_type(kept):
    def program():
        with pytest.raises(RefusedError) as raised:
            refuse(7)
        return raised.value.code, raised.value.args, str(raised.value)

    assert both(program, kept) == (7, (7, "no"), "(7, 'no')")


class CodedError(Exception):
    def __init__(self, code: str) -> None:
        self.code = int(code)
        super().__init__(f"code {code}")


@cached_call
def fail(kind: str) -> None:
    ran.append(kind)
    if kind == "coded":
        raise CodedError("5")
    if kind == "file":
        open("/nowhere/at/all")  # noqa: PTH123, SIM115
    if kind == "zero":
        1 / 0  # noqa: B018
    if kind == "group":
        raise ExceptionGroup("all", [CodedError("5"), ExceptionGroup("in it", [KeyError("gone")])])
    {}["absent"]


@pytest.mark.parametrize("kind", ["coded", "file", "zero", "key"])
def test_an_exception_of_any_class(kind, kept):
    """Python's own too, and those whose constructors want something else than their ``args``."""

    def program():
        with pytest.raises(Exception) as raised:  # noqa: PT011
            fail(kind)
        return type(raised.value), str(raised.value), getattr(raised.value, "errno", None)

    recorded = both(program, kept)
    assert recorded[0] in (CodedError, FileNotFoundError, ZeroDivisionError, KeyError)


class ApiError(Exception):
    """As those of SDKs: with an ``args`` of its own, and attributes of several kinds."""

    __slots__ = ("retries",)

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status, self.where, self.connection = status, Point(3), threading.Lock()
        self.retries = 2


class SaidError(Exception):
    """Its words are made of an attribute."""

    def __init__(self, words: str, *, code: int = 0) -> None:
        super().__init__(words)
        self.code = code

    def __str__(self) -> str:
        return f"{self.code}: {self.args[0]}"


def raise_api_error() -> None:
    error = ApiError(404, "no such thing")
    error.add_note("while it was looked for")
    raise error from SaidError("lost", code=7)


def rename() -> None:
    os.rename("/nowhere/a", "/nowhere/b")  # noqa: PTH104


def hide() -> None:
    try:
        json.loads("{")
    except ValueError:
        raise KeyError("hidden") from None


def import_it() -> None:
    import nowhere_at_all  # noqa: F401


RAISING = {
    "api": (raise_api_error, lambda error: (error.status, error.where, error.retries, error.__notes__)),
    "cause": (raise_api_error, lambda error: (str(error.__cause__), error.__cause__.code)),
    "json": (lambda: json.loads("{"), lambda error: (error.pos, error.msg, error.doc)),
    "process": (
        lambda: subprocess.run([sys.executable, "-c", "1/0"], check=True, capture_output=True),
        lambda error: (error.returncode, error.cmd, error.stderr),
    ),
    "names of files": (rename, lambda error: (error.filename, error.filename2)),
    "import": (import_it, lambda error: error.name),
    "attribute": (lambda: object().nothing, lambda error: (error.name, error.__suppress_context__)),
    "hidden": (hide, lambda error: (error.__cause__, error.__suppress_context__)),
}


@cached_call
def raising(kind: str) -> None:
    ran.append(kind)
    RAISING[kind][0]()


@pytest.mark.parametrize("kind", RAISING)
def test_what_an_exception_has_to_say_for_itself(kind, kept):
    """What a handler looks at: attributes, notes, its cause."""

    def program():
        with pytest.raises(Exception) as raised:  # noqa: PT011
            raising(kind)
        return type(raised.value), str(raised.value), RAISING[kind][1](raised.value)

    both(program, kept)


def test_what_cannot_be_kept_of_an_exception_is_left_out(kept):
    def program():
        with pytest.raises(ApiError) as raised:
            raising("api")
        return raised.value

    with rewind_auto.session("recorded"):
        assert program().connection
    with rewind_auto.session("replayed", mode="replay", source="recorded"):
        replayed = program()
    assert (replayed.status, hasattr(replayed, "connection")) == (404, False)


def test_exceptions_that_go_round_in_circles(kept):
    @cached_call
    def circle():
        ran.append("circle")
        first, second = ValueError("first"), ValueError("second")
        first.__cause__, second.__cause__ = second, first
        raise first

    def program():
        with pytest.raises(ValueError, match="first") as raised:
            circle()
        return str(raised.value.__cause__)

    assert both(program, kept) == "second"


def test_an_exit(kept):
    @cached_call
    def leave():
        ran.append("leave")
        raise SystemExit(3)

    def program():
        with pytest.raises(SystemExit) as raised:
            leave()
        return raised.value.code

    assert both(program, kept) == 3


def test_a_group_of_exceptions(kept):
    """As task groups raise them."""

    def program():
        with pytest.raises(ExceptionGroup) as raised:
            fail("group")
        coded, inner = raised.value.exceptions
        assert isinstance(inner, ExceptionGroup)
        return str(raised.value), type(coded), str(coded), str(inner), type(inner.exceptions[0])

    assert both(program, kept) == (
        "all (2 sub-exceptions)", CodedError, "code 5", "in it (1 sub-exception)", KeyError,
    )  # fmt: skip


@pytest.mark.parametrize("fail", [False, True])
def test_a_generator(kept, fail):
    def program():
        seen, generator = [], count(3, fail=fail)
        try:
            while True:
                seen.append(next(generator))
        except StopIteration as stop:
            seen.append(stop.value)
        except RefusedError as error:
            seen.append(error.args)
        return seen

    assert both(program, kept) == [Point(0), Point(1), Point(2), (1, "count") if fail else "done"]


@pytest.mark.parametrize("fail", [False, True])
def test_an_asynchronous_generator(kept, fail):
    async def run():
        seen = []
        try:
            async for item in acount(3, fail=fail):
                seen.append(item)  # noqa: PERF401 - what came before an error counts
        except RefusedError as error:
            seen.append(error.args)
        return seen

    said = both(lambda: asyncio.run(run()), kept)
    assert said == [Point(0), Point(1), Point(2), *([(1, "count")] if fail else [])]


def test_a_generator_that_is_left(kept):
    def program():
        generator = count(5)
        seen = [next(generator), next(generator)]
        generator.close()
        return seen

    assert both(program, kept) == [Point(0), Point(1)]
    with (
        rewind_auto.session("more", mode="replay", source="recorded"),
        pytest.raises(RewindReplayDivergenceError),
    ):
        list(count(5))


def test_a_generator_that_is_sent_to_and_thrown_at():
    @cached_call
    def echo():
        said = yield "first"
        try:
            yield said
        except KeyError:
            yield "caught"

    with rewind_auto.session("recorded"):
        generator = echo()
        assert [next(generator), generator.send("sent"), generator.throw(KeyError())] == [
            "first", "sent", "caught",
        ]  # fmt: skip


def test_equal_calls_are_served_in_order(kept):
    def program():
        return [tool(3), tool(4), tool(3), tool(number=4), tool(3, unit="m"), tool(3, unit="km")]

    both(program, kept)


def test_other_arguments_diverge():
    with rewind_auto.session("recorded"):
        tool(1)
    with (
        rewind_auto.session("replayed", mode="replay", source="recorded"),
        pytest.raises(RewindReplayDivergenceError, match="number: 1 → 2"),
    ):
        tool(2)
    assert ran == ["tool 1"]


def test_arguments_of_any_kind():
    class Client:
        pass

    with rewind_auto.session("recorded"):
        tool(1, Client(), [Client()])
    with rewind_auto.session("replayed", mode="replay", source="recorded"):
        assert tool(1, Client(), [Client()]) is True


def test_a_key_of_its_own(kept):
    @cached_call(name="search", key=lambda query, **_: query.lower())
    def search(query, client=None):
        ran.append(query)
        return query

    with rewind_auto.session("recorded"):
        assert search("Ulm", client=object()) == "Ulm"
    with rewind_auto.session("replayed", mode="replay", source="recorded"):
        assert search("ULM", client=object()) == "Ulm"
    assert kept()["recorded"][1][0].url == "call:search"


def test_in_a_cache(kept):
    with rewind_auto.session("first", mode="cache"):
        assert [tool(5), tool(5)] == [VALUES[5]] * 2
        with pytest.raises(RefusedError):
            refuse(1)
        with pytest.raises(RefusedError):
            refuse(1)
    assert ran == ["tool 5", "refuse", "refuse"]  # errors are never served
    assert [decision for _, decision in steps_of(kept, "first")] == ["miss", "hit", "miss", "miss"]


def test_only_for_so_long(monkeypatch):
    import time

    @cached_call(ttl="1h")
    def search():
        ran.append("search")
        return 1

    with rewind_auto.session("first", mode="cache"):
        search()
        search()
        later = time.time() + 3601
        monkeypatch.setattr("rewind_auto.modes.cache.time.time", lambda: later)
        search()
    assert ran == ["search"] * 2


def test_a_result_that_cannot_be_kept(kept, capfd):
    @cached_call
    def odd():
        return object()

    with rewind_auto.session("recorded"):
        assert type(odd()) is type(odd()) is object
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "odd cannot be recorded: object is no JSON value" in said
    assert steps_of(kept, "recorded") == [("tool", "bypass")] * 2
    with (
        rewind_auto.session("replayed", mode="replay", source="recorded"),
        pytest.raises(RewindReplayDivergenceError),
    ):
        odd()


class Renamed(pydantic.BaseModel):
    user: str = pydantic.Field(alias="userName")


class Loose(pydantic.BaseModel):
    value: typing.Any


def test_a_model_with_other_names_in_json(kept):
    @cached_call
    def find():
        ran.append("find")
        return Renamed(userName="Ada")

    assert both(find, kept) == Renamed(userName="Ada")


def _circular() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value", [_circular(), 10**5000, Loose(value=object()), Loose(value=dt.date(2026, 1, 2))], ids=range(4)
)
def test_what_cannot_be_written_is_passed_on(value, kept):
    """As an argument, a result and an item: the program goes on as if nobody looked."""

    @cached_call
    def give(one, other):
        return one

    @cached_call
    def items():
        yield value

    with rewind_auto.session("recorded"):
        assert give(value, 1) is value
        assert next(items()) is value
    assert steps_of(kept, "recorded") == [("tool", "bypass")] * 2


def test_an_argument_that_cannot_be_written_leaves_the_others(kept):
    @cached_call
    def give(one, other):
        return other

    with rewind_auto.session("cached", mode="cache"):
        assert [give(10**5000, 1), give(10**5000, 2)] == [1, 2]
    with rewind_auto.session("replayed", mode="replay", source="cached"):
        assert [give(10**5000, 2), give(10**5000, 1)] == [2, 1]


def test_a_cache_does_not_take_one_object_for_another(kept, capfd):
    class Database:
        def __init__(self, name):
            self.name = name

        @cached_call
        def ask(self, question):
            return f"{self.name}: {question}"

    with rewind_auto.session("cached", mode="cache"):
        assert [Database(name).ask("who?") for name in "aba"] == ["a: who?", "b: who?", "a: who?"]
    assert [decision for _, decision in steps_of(kept, "cached")] == ["record"] * 3
    assert capfd.readouterr().err.count("is not served from the cache") == 1


def test_calls_made_inside_are_part_of_it(ask, server, kept, store_path):
    @cached_call
    def agent(text):
        ran.append(text)
        return [ask(text), tool(3), ask("more")]

    with rewind_auto.session("recorded"):
        said = [ask("start"), agent("hello"), ask("end")]
    server.stop()
    with rewind_auto.session("replayed", mode="replay", source="recorded"):
        assert [ask("start"), agent("hello"), ask("end")] == said
    _, steps = kept()["recorded"]
    assert [step.inside for step in steps] == [None, None, 2, 2, 2, None]
    assert len(kept()["replayed"][1]) == 3
    store = open_store(str(store_path))
    assert store.verdict(kept()["replayed"][0].id).clean
    store.close()


def test_a_class_that_is_gone(monkeypatch):
    with rewind_auto.session("recorded"):
        tool(14)
    monkeypatch.delitem(globals(), "Point")
    with (
        rewind_auto.session("replayed", mode="replay", source="recorded"),
        pytest.raises(RewindReplayDivergenceError, match="Point is not to be found"),
    ):
        tool(14)


@dataclasses.dataclass
class Half:
    one: int
    other: int = dataclasses.field(init=False)


def test_a_field_that_was_never_set(kept):
    @cached_call
    def half():
        ran.append("half")
        return Half(1)

    assert both(lambda: vars(half()), kept) == {"one": 1}


def order(*fields):
    """Another release of one class of the program."""
    cls = dataclasses.make_dataclass("Order", fields)
    cls.__module__ = __name__
    return cls


Order = order("number")


@cached_call
def look():
    ran.append("look")
    return Order(*range(len(dataclasses.fields(Order))))


@cached_call
async def alook():
    ran.append("alook")
    return Order(*range(len(dataclasses.fields(Order))))


@cached_call
def looks():
    ran.append("looks")
    yield "first"
    yield Order(*range(len(dataclasses.fields(Order))))


@cached_call
async def alooks():
    ran.append("alooks")
    yield "first"
    yield Order(*range(len(dataclasses.fields(Order))))


async def gathered(items):
    return [item async for item in items]


LOOKS = {
    "look": lambda: [look()],
    "alook": lambda: [asyncio.run(alook())],
    "looks": lambda: list(looks()),
    "alooks": lambda: asyncio.run(gathered(alooks())),
}
RELEASES = [(("number", "total"), ("number",)), (("number",), ("number", "total"))]


@pytest.mark.parametrize(("before", "now"), RELEASES, ids=["lost", "got"])
@pytest.mark.parametrize("mode", ["cache", "fork"])
@pytest.mark.parametrize("kind", LOOKS)
def test_a_class_with_other_fields_now_has_the_function_run(
    monkeypatch, kept, capfd, kind, mode, before, now
):
    monkeypatch.setitem(globals(), "Order", order(*before))
    with rewind_auto.session("recorded"):
        LOOKS[kind]()
    monkeypatch.setitem(globals(), "Order", order(*now))
    with rewind_auto.session("next", mode=mode, source="recorded" if mode == "fork" else None):
        said = LOOKS[kind]()
        assert said[-1] == Order(*range(len(now)))
        assert ran == [kind] * 2
        if mode == "cache":
            assert LOOKS[kind]() == said
            assert ran == [kind] * 2
    assert steps_of(kept, "next")[1] == ("tool", "miss" if mode == "cache" else "record")
    line = capfd.readouterr().err
    assert line.count("\n") == 1
    assert f"of {kind} cannot be served: Order has" in line
    assert "field 'total'" in line


@pytest.mark.parametrize(("before", "now"), RELEASES, ids=["lost", "got"])
@pytest.mark.parametrize("kind", LOOKS)
def test_a_class_with_other_fields_now_diverges(monkeypatch, kept, kind, before, now):
    monkeypatch.setitem(globals(), "Order", order(*before))
    with rewind_auto.session("recorded"):
        LOOKS[kind]()
    monkeypatch.setitem(globals(), "Order", order(*now))
    with (
        rewind_auto.session("replayed", mode="replay", source="recorded"),
        pytest.raises(RewindReplayDivergenceError, match=r"Order has .* field 'total'"),
    ):
        LOOKS[kind]()
    assert ran == [kind]
    assert steps_of(kept, "replayed")[-1] == ("tool", "blocked")


@cached_call(key=lambda asked: asked["id"])
def keyed(asked):
    ran.append("keyed")
    return 1


def test_a_key_that_fails_leaves_the_call_alone(monkeypatch, kept, capfd):
    monkeypatch.delenv("REWIND_TESTING")
    with rewind_auto.session("recorded"):
        assert [keyed({"id": 1}), keyed({}), keyed({})] == [1, 1, 1]
    assert len(steps_of(kept, "recorded")) == 1
    line = capfd.readouterr().err
    assert line.count("\n") == 1
    assert "the key of keyed" in line
    assert "KeyError: 'id'" in line


def test_a_key_that_fails_diverges():
    with rewind_auto.session("recorded"):
        keyed({"id": 1})
    with rewind_auto.session("replayed", mode="replay", source="recorded"):
        with pytest.raises(RewindReplayDivergenceError, match="the key of keyed: KeyError"):
            keyed({})
        with pytest.raises(TypeError, match="missing 1 required"):
            keyed()
    assert ran == ["keyed"]


def test_wrong_use():
    with pytest.raises(TypeError):
        cached_call(3)
    with pytest.raises(ValueError, match="not a number"):
        cached_call(ttl="soon")
    with rewind_auto.session("recorded"), pytest.raises(TypeError):
        tool(1, unit="m", colour="red")


def test_the_threads_that_a_function_starts_are_part_of_it(ask, server, kept):
    """And its tasks; not what a thread does that outlives it, nor the next function in the same thread."""
    done = threading.Event()
    outliving = []

    @cached_call
    def pooled(text):
        def late():
            done.wait(10)
            return ask("late")

        with ThreadPoolExecutor(2) as pool:
            said = list(pool.map(ask, [f"{text} one", f"{text} two"]))
        outliving.append(ThreadPoolExecutor(1))
        outliving.append(outliving[-1].submit(late))
        return sorted(said)

    rewind_auto.install(name="recorded")
    try:
        start = threading.Thread.start
        said = pooled("a")
        assert threading.Thread.start is start
        done.set()
        pool, late = outliving
        late.result()
        pool.submit(ask, "pooled").result()
        pool.shutdown()
    finally:
        rewind_auto.uninstall()
    steps = kept()["recorded"][1]
    assert [(step.kind, step.inside) for step in steps] == [
        ("tool", None), ("llm", 1), ("llm", 1), ("llm", None), ("llm", None),
    ]  # fmt: skip
    server.stop()
    rewind_auto.install(mode="replay", source="recorded", name="again")
    try:
        assert pooled("a") == said
        assert [ask("late")[0], ask("pooled")[0]] == ["3", "4"]
    finally:
        rewind_auto.uninstall()
    assert len(outliving) == 2


class OfAnotherClass(Exception):  # noqa: N818
    start = slice.start


class WithoutDict(Exception):  # noqa: N818
    @property
    def __dict__(self):
        raise RuntimeError("no dict")


class WithoutArgs(Exception):  # noqa: N818
    @property
    def args(self):
        raise RuntimeError("no args")


@pytest.mark.parametrize("kind", [OfAnotherClass, WithoutDict, WithoutArgs])
def test_an_exception_that_does_not_let_itself_be_looked_at(kind, store_path, monkeypatch):
    """It is the program's: nothing that comes of a look at it takes its place."""
    monkeypatch.delenv("REWIND_TESTING")

    @rewind_auto.cached_call
    def fail():
        raise kind

    with rewind_auto.session("recorded"), pytest.raises(kind):
        fail()
    with rewind_auto.session(mode="replay", source="recorded"), pytest.raises((kind, RuntimeError)):
        fail()
