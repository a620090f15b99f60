"""Trace ids as backends write them."""

from __future__ import annotations

import pytest

from rewind_auto.core import trace_id

ID = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    "text",
    [
        ID,
        ID.upper(),
        f" {ID}\n",
        ID[1:],  # Jaeger
        f"0x{ID}",
        f"0X{ID.upper()}",
        f"tr-{ID}",  # MLflow
        "0af76519-16cd-43dd-8448-eb211c80319c",
        "1-0af76519-16cd43dd8448eb211c80319c",  # AWS X-Ray
        f"00-{ID}-b7ad6b7169203331-01",
        f"00-{ID}-B7AD6B7169203331-00".upper(),
    ],
)
def test_the_ways_to_write_one(text):
    assert trace_id.parse(text) == ID


def test_one_of_64_bits():
    assert trace_id.parse("8448eb211c80319c") == "0" * 16 + "8448eb211c80319c"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0" * 32,
        "0x",
        "tr-",
        "-",
        "nightly",
        ID + "0",
        f"{ID[:-1]}g",
        f"{ID[:-1]}٣",
        f"00-{'0' * 32}-{'1' * 16}-01",
    ],
)
def test_what_is_none(text):
    assert trace_id.parse(text) is None
