"""Random sequences over the four libraries, and single ones that are worth a name."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import WAYS, library

PROGRAM = str(Path(__file__).parent / "any_order.py")


@pytest.mark.parametrize("seed", [1, 2])
def test_any_order(start, server, seed):
    done = start(PROGRAM, server.url, str(seed), "8")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_a_module_that_is_given_new_classes(start, server, way):
    """`importlib.reload` of all of a package leaves the module object, and it is what we go by."""
    code = f"""
import importlib, sys
import rewind_auto
from calling import call
rewind_auto.install(hosts=["127.0.0.1"])
import {library(way)} as module
print(call(module, {way!r}, {server.url!r}))
for name in [name for name in sys.modules if name.startswith(module.__name__ + ".")]:
    del sys.modules[name]
importlib.reload(module)
print(call(module, {way!r}, {server.url!r}))
"""
    done = start("-c", code)
    assert done.stdout.split() == ["answer", "answer"], done.stderr
