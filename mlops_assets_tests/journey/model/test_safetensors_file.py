"""What a safetensors file may hold, and the forged ones that are refused."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.journey.model.flavours.safetensors_file import Tensor, read_safetensors
from mlops_assets.journey.model.structure.parts import Malformed

WEIGHT = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
BIAS = {"dtype": "F64", "shape": [1], "data_offsets": [24, 32]}


def written(header: Any, size: int = 32) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size)


def test_tensors_are_told_by_name_type_shape_and_place() -> None:
    found = read_safetensors(written({"__metadata__": {"by": "ann"}, "w": WEIGHT, "b": BIAS}))
    assert found == {"w": Tensor("F32", (2, 3), 0, 24), "b": Tensor("F64", (1,), 24, 32)}
    assert read_safetensors(written({}, 0)) == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no safetensors file"),
        (b"\x05\0\0", "no safetensors file"),
        (struct.pack("<Q", 1 << 60) + b"{}", "only the beginning of one"),
        (struct.pack("<Q", 17 << 20) + bytes(17 << 20), "a header of 17,825,792 bytes"),
        (written(b"[]", 0), "no table"),
        (written(b" {}", 0), "no table"),
        (written(b"{", 0), "cannot be read"),
        (written(b"[" * 100_000, 0), "cannot be read"),
        (written(b'{"w": 1, "w": 2}', 0), "names something twice"),
        (written({"__metadata__": {"by": 1}}, 0), "notes are no texts"),
        (written({"__metadata__": []}, 0), "notes are no texts"),
        (written({"w": 3}), "told otherwise"),
        (written({"w": {**WEIGHT, "pickle": ""}}), "told otherwise"),
        (written({"w": {**WEIGHT, "dtype": "OBJECT"}}), "of the type 'OBJECT'"),
        (written({"w": {**WEIGHT, "dtype": ["F32"]}}), "of the type"),
        (written({"w": {**WEIGHT, "shape": [-2, -3]}}), "has the shape"),
        (written({"w": {**WEIGHT, "shape": [2.0, 3]}}), "has the shape"),
        (written({"w": {**WEIGHT, "shape": [True, 6]}}), "has the shape"),
        (written({"w": {**WEIGHT, "shape": [1] * 9}}), "has the shape"),
        (written({"w": {**WEIGHT, "shape": [1 << 62, 1 << 62]}}), "needs 85,070,591,730,234,615,865"),
        (written({"w": {**WEIGHT, "data_offsets": [0, 25]}}), "needs 24 bytes by its shape, and has 25"),
        (written({"w": {**WEIGHT, "data_offsets": [24, 0]}}), "and has -24"),
        (written({"w": {**WEIGHT, "data_offsets": [0]}}), "lies at"),
        (written({"w": WEIGHT, "v": WEIGHT}, 24), "lies in another one"),
        (written({"w": WEIGHT, "b": {**BIAS, "data_offsets": [32, 40]}}, 40), "lies behind a gap"),
        (written({"w": WEIGHT}, 25), "have 24 bytes, and the file has 25"),
        (written({"w": WEIGHT}, 23), "have 24 bytes, and the file has 23"),
        (b"PK\x03\x04" + bytes(60), "only the beginning"),  # what torch.save writes
    ],
)
def test_a_forged_header_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        read_safetensors(content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["F32", "I64"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*WEIGHT, "w"]), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(st.text(max_size=3), JSON, max_size=3) | JSON | st.binary(max_size=60), st.integers(0, 64))
def test_whatever_the_header_says_it_is_read_or_refused(header: Any, size: int) -> None:
    try:
        found = read_safetensors(written(header, size))
    except Malformed:
        return
    ends = sorted((one.begin, one.end) for one in found.values())
    assert sum(end - begin for begin, end in ends) == size, "every byte is that of one tensor"
