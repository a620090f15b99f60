"""The documents name only what is there, and the check that says so can tell."""

from __future__ import annotations

import check_docs
import pytest


def test_the_documents_name_only_what_is_there(capsys):
    assert check_docs.main() == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[x](nowhere.md)", "no such file: nowhere.md"),
        ("![x](img/none.svg)", "no such file: img/none.svg"),
        ('<img src="none.svg">', "no such file: none.svg"),
        ("# One thing\n[x](#other-thing)", "no such heading: #other-thing"),
        ("Set REWIND_NO_SUCH.", "no such variable: REWIND_NO_SUCH"),
        ("```sh\npython examples/none.py\n```", "no such file: examples/none.py"),
        ("```sh\n./dev nonsense\n```", "no such thing: ./dev nonsense"),
        ("```sh\nrewind-auto nonsense\n```", "no such thing: rewind-auto nonsense"),
        (
            "```console\n$ rewind-run --name x --nonsense python a.py --mine\n--output\n```",
            "no such thing: rewind-run --nonsense",
        ),
        ("# One thing, `two`\n[x](#one-thing-two) [y](https://example.com)", None),
        ("```sh\n./dev demo  # comment\nrewind-run --name x python examples/agent.py --own\n```", None),
        ("REWIND_STORE and REWIND_TESTING", None),
    ],
)
def test_problems(tmp_path, text, problem):
    document = tmp_path / "a.md"
    document.write_text(text)
    assert list(check_docs.problems(document)) == ([problem] if problem else [])
