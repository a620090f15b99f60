"""SDKs in environments of their own: identical plain, recorded, and replayed with the provider stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from programs import LAUNCHER, ROOT, run
from wire import Wire

if TYPE_CHECKING:
    from servers import Seen

PYTHONS = {age: os.environ.get(f"REWIND_TEST_SDKS_{age.upper()}_PYTHON", "") for age in ("new", "old")}
KEY = b"sk-test-0123456789abcdefghij"  # that of the programs


@dataclass(frozen=True)
class Case:
    """A program of ``programs/``, and the library that is the outermost in its calls."""

    program: str
    form: str
    library: str
    age: str = "new"

    def __str__(self) -> str:
        return f"{self.program}-{self.form}" + ("-old" if self.age == "old" else "")


CASES = [
    Case("anthropic_aiohttp", "async", "httpx2"),
    Case("cohere_v2", "sync", "httpx"),
    Case("cohere_v2", "async", "httpx"),
    Case("gemini", "sync", "httpx2"),
    Case("gemini", "async", "aiohttp"),
    Case("groq_chat", "sync", "httpx"),
    Case("groq_chat", "async", "httpx"),
    Case("huggingface", "sync", "httpx2"),
    Case("huggingface", "async", "httpx2"),
    Case("huggingface", "sync", "requests", "old"),
    Case("huggingface", "async", "aiohttp", "old"),
    Case("litellm_routes", "sync", "httpx"),
    Case("litellm_routes", "async", "httpx"),
    Case("mistral_chat", "sync", "httpx2"),
    Case("mistral_chat", "async", "httpx2"),
    Case("ollama_chat", "sync", "httpx"),
    Case("ollama_chat", "async", "httpx"),
    Case("openai_0", "sync", "requests", "old"),
    Case("openai_0", "async", "aiohttp", "old"),
    Case("openai_aiohttp", "async", "httpx2"),
    Case("together_chat", "sync", "httpx"),
    Case("together_chat", "async", "httpx"),
    Case("together_chat", "sync", "requests", "old"),
    Case("together_chat", "async", "aiohttp", "old"),
]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_same_three_times(case, provider, store_path):
    if not PYTHONS[case.age]:
        pytest.skip(f"REWIND_TEST_SDKS_{case.age.upper()}_PYTHON does not name an interpreter with the SDKs")
    with Wire(provider) as wire:
        plain, sent = _run(case, wire)
        assert plain.returncode == 0, plain.stderr
        recorded, sent_recording = _run(case, wire, *LAUNCHER, "--record")
        assert _differences(plain, recorded) == []
        assert sent_recording == sent
        steps = _shown("last")
        wire.stop()
        replayed, _ = _run(case, wire, *LAUNCHER, "--replay", "last")
        assert _differences(plain, replayed) == []
    assert [step["decision"] for step in _shown("last")] == ["hit"] * len(steps)
    # One exchange is one step, however many clients work on it.
    assert len(steps) == len(sent)
    assert {step["library"] for step in steps} == {case.library}
    assert {step["decision"] for step in steps} == {"record"}
    assert KEY not in b"".join(path.read_bytes() for path in store_path.parent.iterdir())


def _run(case: Case, wire: Wire, *launcher: str) -> tuple[subprocess.CompletedProcess[str], list[Any]]:
    """How it ended, and what was sent, in the order of content: parallel requests have no other."""
    wire.forget()
    program = Path(__file__).parent / "programs" / f"{case.program}.py"
    done = run(program, wire.url, case.form, launcher=list(launcher), python=PYTHONS[case.age])
    return done, sorted(map(_line_and_body, wire.seen))


def _line_and_body(seen: Seen) -> tuple[str, str, bytes]:
    return seen.method, seen.target, seen.body


def _differences(
    first: subprocess.CompletedProcess[str], second: subprocess.CompletedProcess[str]
) -> list[str]:
    """Where two runs differ. Lines are long: what is around the first place of each is told."""
    if first.returncode != second.returncode:
        return [f"exit code {second.returncode}: {second.stderr}"]
    printed = ((done.stdout + done.stderr).split("\n") for done in (first, second))
    return [_excerpt(one, other) for one, other in zip_longest(*printed, fillvalue="") if one != other]


def _excerpt(one: str, other: str) -> str:
    same = len(os.path.commonprefix([one, other]))  # noqa: RUF071 - of characters
    near = slice(max(0, same - 40), same + 80)
    return f"{one[:20]} …{one[near]!r} → {other[near]!r}"


def _shown(session: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "rewind_auto.cli.main", "show", session, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["steps"]
