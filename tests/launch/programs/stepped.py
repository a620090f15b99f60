"""A program to be stopped at its second question."""

from __future__ import annotations

import sys

from asking import ask

said = ask("one")
print(said)
print(ask("two"))  # here
sys.exit(3)
