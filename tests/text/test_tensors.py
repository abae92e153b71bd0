import json

import numpy as np
import pytest
from safetensors.numpy import save

from trainer.text.tensors import arrays_of


def test_arrays_come_back():
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.array([np.nan, np.inf]),
        "c": np.arange(3, dtype=np.int32),
        "d": np.zeros((0, 2), np.int64),
        "e": np.array(1.5),
    }
    found = arrays_of(save(arrays))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3", "F8_E5M2", "F16", "BOOL"])
def test_other_numbers_are_refused(kind):
    size = 1 if kind in ("BOOL", "F8_E4M3", "F8_E5M2") else 2
    entry = {"dtype": kind, "shape": [4 // size], "data_offsets": [0, 4]}
    header = json.dumps({"a\n": entry}).encode()
    with pytest.raises(ValueError, match=f"has numbers of type {kind}, none of F32, F64"):
        arrays_of(len(header).to_bytes(8, "little") + header + bytes(4))


@pytest.mark.parametrize("data", [b"", b"\0" * 8, b"\xff" * 8, b"x" * 100, save({})[:-1]])
def test_what_is_none(data):
    with pytest.raises(ValueError, match="eader"):
        arrays_of(data)
