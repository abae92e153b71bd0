"""Arrays in .safetensors files: read as .npz are, and checked against the bytes there are."""

import io
import json
import struct

import numpy as np
import pytest
from data_helpers import prepared, same_rows, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save, save_file

from trainer.cli import main
from trainer.data.sources.safetensors import read_safetensors
from trainer.errors import DataError, UserError
from trainer.predict.fitted_model import load_model
from trainer.workflow.run import run

rng = np.random.default_rng(4)
X = rng.normal(size=(30, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


def raw(dtype, shape, data, name="X"):
    """A file of one array, by hand."""
    header = json.dumps({name: {"dtype": dtype, "shape": shape, "data_offsets": [0, len(data)]}})
    return struct.pack("<Q", len(header)) + header.encode() + data


def test_every_type_of_numpy_comes_back(tmp_path):
    held = {
        np.dtype(t).name: np.arange(6).reshape(2, 3).astype(t)
        for t in ("?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8")
    }
    held["empty"] = np.empty((0, 3), np.float32)
    save_file(held, tmp_path / "a.safetensors", metadata={"by": "a test"})
    found = read_safetensors(tmp_path / "a.safetensors", list(held))
    assert len(found) == 13
    for name, array in held.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
        assert not found[name].flags.writeable or not array.size


def test_bfloat16_is_the_upper_half_of_float32(tmp_path):
    values = np.array([[1.0, -2.5, 3.0e38], [0.0, np.inf, 1e-39]], np.float32)
    bits = (values.view(np.uint32) >> 16).astype("<u2")
    write(tmp_path, "a.safetensors", raw("BF16", [2, 3], bits.tobytes()))
    found = read_safetensors(tmp_path / "a.safetensors", ["X"])["X"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, (bits.astype(np.uint32) << 16).view(np.float32))
    np.testing.assert_allclose(found[0], values[0], rtol=2**-8)


def test_a_source_is_that_of_arrays(tmp_path):
    path = tmp_path / "f.safetensors"
    save_file({"X": X, "y": Y, "w": np.ones(30), "g": np.arange(30)}, path)
    source = {"safetensors": str(path), "features": "X", "target": "y"}
    expected = prepared("logistic", "arrays", arrays={"train": (X, Y)})
    assert same_rows(prepared("logistic", source).train, expected.train)
    weighted = prepared("logistic", {**source, "weight": "w", "group": "g"}, val=0.2)
    assert len(weighted.train) == 24


def test_a_run_and_predict_by_the_same_names(tmp_path, capfd, monkeypatch):
    save_file({"emb": X, "label": Y}, tmp_path / "f.safetensors")
    save_file({"label": Y[:9], "emb": X[:9]}, tmp_path / "new.safetensors")
    source = {"safetensors": str(tmp_path / "f.safetensors"), "features": "emb", "target": "label"}
    run({"model": "logistic", "data": {"train": source}}, out=tmp_path / "run")
    assert main(["predict", str(tmp_path / "run"), str(tmp_path / "new.safetensors")]) == 0
    out, err = capfd.readouterr()
    said = [int(line.split(",")[1]) for line in out.splitlines()[1:]]
    assert said == load_model(tmp_path / "run").predict(X[:9]).tolist()
    assert "accuracy" in err
    piped = io.TextIOWrapper(io.BytesIO((tmp_path / "new.safetensors").read_bytes()))
    monkeypatch.setattr("sys.stdin", piped)
    assert main(["predict", str(tmp_path / "run"), "-"]) == 0
    assert capfd.readouterr() == (out, err)


FAULTS = {
    "cut": (save({"X": X})[:-1], "and the file holds 479 of it"),
    "cut behind it": (save({"X": X, "Z": X})[:-1], "is cut short: its header tells of more bytes"),
    "no header": (b"12345", "is damaged or no .safetensors file"),
    "long header": (struct.pack("<Q", 10**9) + b"{}", "its header is longer than the file"),
    "no json": (struct.pack("<Q", 4) + b"{[}]", "is damaged or no .safetensors file"),
    "deep json": (struct.pack("<Q", 200_000) + b"[" * 200_000, "is damaged or no"),
    "a list": (struct.pack("<Q", 2) + b"[]", "its header is no mapping"),
    "another name": (save({"x": X}), "holds no array 'X'; 'x' is the nearest name"),
    "float8": (raw("F8_E4M3", [2], b"ab"), "holds 'F8_E4M3' numbers, which NumPy has no type for"),
    "wrong size": (raw("F32", [3], b"abcd"), "shape (3,) of F32 takes 12 bytes"),
    "negative": (raw("F32", [-1], b"abcd"), "its entry in the header is damaged"),
    "no shape": (raw("F32", None, b"abcd"), "its entry in the header is damaged"),
    "text": (raw("F32", ["1"], b"abcd"), "its entry in the header is damaged"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_damaged_file_is_one_line(tmp_path, name):
    content, words = FAULTS[name]
    path = write(tmp_path, "f.safetensors", content)
    with pytest.raises(DataError) as caught:
        read_safetensors(path, ["X"])
    assert words in str(caught.value)
    assert str(caught.value).startswith(path)
    assert "\n" not in str(caught.value)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.integers(0, 199), bits=st.integers(1, 255), cut=st.integers(0, 30))
def test_a_flipped_byte_is_a_value_or_a_fault(tmp_path, place, bits, cut):
    content = bytearray(save({"X": X[:4], "y": Y[:4]}))
    content[place % len(content)] ^= bits
    path = write(tmp_path, "f.safetensors", bytes(content[: len(content) - cut]))
    said = ""
    try:
        read_safetensors(path, ["X", "y"])
    except UserError as error:
        said = str(error)
    assert "\n" not in said
