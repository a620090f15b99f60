"""How an internal error of ours leaves: one line, once, and never into the program."""

from __future__ import annotations

import sys

import pytest

from rewind_auto.core import guard


@pytest.fixture(autouse=True)
def as_in_a_program(monkeypatch):
    monkeypatch.delenv("REWIND_TESTING")
    monkeypatch.delenv("REWIND_LOG", raising=False)
    monkeypatch.setattr(guard, "_seen", set())


def test_one_line_for_each_place_and_type(capsys):
    for _ in range(3):
        for where in ("here", "there"):
            for error in (ValueError("first\nsecond"), KeyError("x")):
                guard.report(where, error)
    said = capsys.readouterr().err.splitlines()
    assert len([line for line in said if line.startswith("rewind-auto: internal error in ")]) == 4
    assert "ValueError: first" in said[0]


def test_no_memory_is_one_line_wherever_it_is_met(capsys):
    for where in ("here", "there"):
        with guard.swallow(where):
            raise MemoryError
        with guard.swallow(where):
            bytearray(1 << 62)
    assert (
        capsys.readouterr().err == "rewind-auto: internal error in here, the program goes on: MemoryError\n"
    )


def test_no_memory_for_the_line_itself(monkeypatch):
    def none_left(_text):
        raise MemoryError

    monkeypatch.setattr(sys.stderr, "write", none_left)
    with guard.swallow("a block"):
        raise ValueError("of ours")
    guard.warn_once("key", "a line")


def test_the_block_ends_and_the_program_goes_on(capsys):
    with guard.swallow("a block"):
        raise ValueError("of ours")
    assert capsys.readouterr().err == (
        "rewind-auto: internal error in a block, the program goes on: ValueError: of ours\n"
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_error_goes_through(error):
    with pytest.raises(error), guard.swallow("a block"):
        raise error


def test_under_our_own_tests_it_is_raised(monkeypatch, capsys):
    monkeypatch.setenv("REWIND_TESTING", "1")
    with pytest.raises(ValueError, match="of ours"), guard.swallow("a block"):
        raise ValueError("of ours")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("level", "said"),
    [("debug", True), ("warning", True), ("WARNING", True), ("error", False), ("off", False)],
)
def test_warnings_once_and_at_their_level(monkeypatch, capsys, level, said):
    monkeypatch.setenv("REWIND_LOG", level)
    for key in ("a", "a", "b"):
        guard.warn_once(key, f"about {key}")
    assert capsys.readouterr().err == "rewind-auto: about a\nrewind-auto: about b\n" * said


@pytest.mark.parametrize("stderr", [None, "closed", "full"])
def test_an_stderr_that_is_of_no_use(monkeypatch, tmp_path, stderr):
    """Is not ours to complain about."""
    stream = None
    if stderr == "closed":
        stream = (tmp_path / "x").open("w")
        stream.close()
    elif stderr == "full":
        stream = open("/dev/full", "w")  # noqa: PTH123, SIM115
    monkeypatch.setattr("sys.stderr", stream)
    guard.say("anything")
    guard.report("here", ValueError("x"))
    with guard.swallow("there"):
        raise ValueError
