"""Checkpoints: what comes back, to the bit, and what is said of those that do not."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tracemalloc

import numpy as np
import pytest
from run_folders import raising
from safetensors.numpy import load_file

from trainer.errors import DiskError, RunFolderError
from trainer.runs import checkpoint
from trainer.runs.checkpoint import read_last, write


def odd_nans() -> np.ndarray:
    """float64 NaNs with payloads, and a signalling one."""
    bits = np.array([0x7FF8000000000123, 0xFFF0000000000001, 0x7FF0DEADBEEF0000], np.uint64)
    return bits.view(np.float64)


ARRAYS = {
    "0-d": np.array(2.5),
    "0-d of bool": np.array(True),
    "empty": np.empty(0, np.int64),
    "empty of two axes": np.empty((0, 3), np.float32),
    "bool": np.array([[True, False], [False, True]]),
    "int64": np.array([-(2**63), 2**63 - 1, 0]),
    "int32": np.arange(5, dtype=np.int32),
    "float32": np.array([np.nan, -np.inf, -0.0, 1e-45], np.float32),
    "float64": np.array([np.pi, 5e-324, -0.0]),
    "NaNs": odd_nans(),
    "NaNs of float32": np.array([0x7F800001, 0xFFC00123], np.uint32).view(np.float32),
    "not contiguous": np.arange(24.0).reshape(4, 6)[::2, ::3],
    "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "big-endian": np.arange(3, dtype=">f8"),
    "in Fortran's order": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "backwards": np.arange(4)[::-1],
}
LEAVES = {
    "numbers": [0, -1, 2**80, 0.1, -0.0, 1e308, 5e-324, float("nan"), float("inf"), -float("inf")],
    "words": ["", "é\n\0", "\ud800", 'a"b'],
    "truth": [True, False, None],
    "lists": [[1, [2.0]], [], [{"a": 1}]],
    "none": {},
}


def same(found, expected) -> bool:
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[k], expected[k]) for k in found)
    if isinstance(expected, np.ndarray):
        little = np.asarray(expected, expected.dtype.newbyteorder("<"))
        return (found.dtype, found.shape) == (little.dtype, little.shape) and (
            found.tobytes() == little.tobytes() and found.flags.writeable
        )
    return type(found) is type(expected) and repr(found) == repr(expected)


def test_all_comes_back_to_the_bit(tmp_path):
    saved = {"scheduler": {"stacks": {"0": ARRAYS, "1": LEAVES}, **LEAVES}, "none": {}}
    write(tmp_path, saved)
    found, told = read_last(tmp_path)
    assert told == []
    assert same(found, saved)
    assert len(ARRAYS) == 16


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_alone(tmp_path, name):
    write(tmp_path, {name: ARRAYS[name]})
    assert same(read_last(tmp_path)[0], {name: ARRAYS[name]})


def test_nothing_can_be_saved(tmp_path):
    write(tmp_path, {})
    assert read_last(tmp_path) == ({}, [])
    assert read_last(tmp_path / "elsewhere") == (None, [])


def test_keys_with_dots_are_no_two_keys(tmp_path):
    one = {key: {"b": np.array(float(i))} for i, key in enumerate(["a", "a.b", "a%2Eb", "a%", ""])}
    saved = {**one, "a.b.c": np.array(9.0), "": {"": np.array(1), ".": np.array(2)}}
    write(tmp_path, saved)
    assert same(read_last(tmp_path)[0], saved)


def test_the_arrays_are_a_plain_file_under_flat_names(tmp_path):
    write(tmp_path, {"scheduler": {"stacks": {"0": {"weights": np.arange(3.0), "step": 4}}}})
    arrays = load_file(tmp_path / "checkpoint" / "1.safetensors")
    assert list(arrays) == ["scheduler.stacks.0.weights"]
    record = json.loads((tmp_path / "checkpoint" / "1.json").read_bytes())
    assert record["format_version"] == 1
    assert record["saved"] == {"scheduler": {"stacks": {"0": {"step": 4}}}}


@pytest.mark.parametrize(
    "leaf",
    [(1, 2), np.float64(1), np.int64(1), {1: 2}, {1}, b"x", 1j, [np.zeros(2)], np.array(["a"]),
     np.array([None]), np.zeros(2, np.complex128), [{1: 2}]],
    ids=repr,
)  # fmt: skip
def test_what_would_come_back_as_another_kind_is_a_mistake(tmp_path, leaf):
    with pytest.raises(TypeError, match="inner"):
        write(tmp_path, {"inner": leaf})
    with pytest.raises(TypeError, match="__metadata__"):
        write(tmp_path, {"__metadata__": np.zeros(1)})
    assert read_last(tmp_path) == (None, [])


def test_the_last_two_are_kept(tmp_path):
    for n in range(5):
        write(tmp_path, {"n": n, "array": np.arange(n)})
    place = tmp_path / "checkpoint"
    assert sorted(os.listdir(place)) == ["4.json", "4.safetensors", "5.json", "5.safetensors"]
    (place / ".6.safetensors.123.tmp").write_bytes(b"half")  # of a kill
    (place / "6.safetensors").write_bytes(b"without its mark")
    (place / "mine.txt").write_text("x")
    assert read_last(tmp_path)[0]["n"] == 4
    write(tmp_path, {"n": 5})
    assert sorted(os.listdir(place)) == [
        "5.json", "5.safetensors", "7.json", "7.safetensors", "mine.txt",
    ]  # fmt: skip
    checkpoint.remove(tmp_path)
    assert os.listdir(place) == ["mine.txt"]
    (place / "mine.txt").unlink()
    checkpoint.remove(tmp_path)
    assert not place.exists()
    checkpoint.remove(tmp_path)


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def flip(path):
    data = bytearray(path.read_bytes())
    data[-4] ^= 1
    path.write_bytes(data)


def another_digit(path):
    path.write_text(path.read_text().replace('"n": ', '"n": 1'))


def gone(path):
    path.unlink()


def a_folder(path):
    path.unlink()
    path.mkdir()


def a_pipe(path):
    path.unlink()
    os.mkfifo(path)


def empty(path):
    path.write_bytes(b"")


DAMAGES = [cut, flip, gone, a_folder, empty] + ([a_pipe] if hasattr(os, "mkfifo") else [])


@pytest.mark.parametrize(
    ("name", "damage"),
    [("2.json", another_digit), *((n, d) for n in ("2.json", "2.safetensors") for d in DAMAGES)],
)
def test_a_damaged_one_falls_back_to_the_one_before(tmp_path, damage, name):
    for n in (1, 2):
        write(tmp_path, {"n": n, "array": np.arange(4.0)})
    damage(tmp_path / "checkpoint" / name)
    saved, told = read_last(tmp_path)
    assert saved["n"] == 1
    if (damage, name) == (gone, "2.json"):  # as if it had never been committed
        assert told == []
        return
    (line,) = told
    assert line.startswith(f"{tmp_path / 'checkpoint' / '2.json'}: no checkpoint: ")
    assert line.endswith("; the one before it is tried")
    assert "\n" not in line
    assert ("is no file" in line) == (damage is a_pipe)
    damage(tmp_path / "checkpoint" / name.replace("2", "1"))
    saved, told = read_last(tmp_path)
    assert saved is None
    assert told[-1].endswith("; there is none before it")


def rewritten(path, **fields):
    """The JSON with other fields, and the digest that belongs to them: somebody's work."""
    record = json.loads(path.read_bytes())
    content = {k: record[k] for k in ("arrays", "sha256", "saved")} | fields
    path.write_text(json.dumps(checkpoint._record(content)))


HOSTILE = {
    "no names": {"arrays": None},
    "names that are none": {"arrays": [1, 2]},
    "an array that is not there": {"arrays": ["array", "more"]},
    "an array too many": {"arrays": []},
    "another sha256": {"sha256": "0" * 64},
    "a sha256 that is none": {"sha256": ["x"]},
    "nothing saved": {"saved": [1]},
    "a leaf in an array's place": {"saved": {"array": 3}},
    "a leaf in the way": {"saved": {"deep": 3}},
}


@pytest.mark.parametrize("fields", HOSTILE.values(), ids=HOSTILE)
def test_a_record_that_is_somebody_s_work(tmp_path, fields):
    for _ in range(2):
        write(tmp_path, {"array": np.arange(4.0), "deep": {"er": {"array": np.zeros(2)}}})
    path = tmp_path / "checkpoint" / "2.json"
    rewritten(path)
    assert read_last(tmp_path)[1] == []
    if isinstance(names := fields.get("arrays"), list) and "array" in names:
        fields = {"arrays": [*names, "deep.er.array"]}
    rewritten(path, **fields)
    saved, told = read_last(tmp_path)
    assert saved is not None
    assert len(told) == 1


@pytest.mark.parametrize(
    "text", [b"[" * 100_000, b"[1]", b"3", b"\xff\xfe", b'{"format_version": true}', b"{}"]
)
def test_json_that_is_no_record(tmp_path, text):
    write(tmp_path, {"n": 1})
    (tmp_path / "checkpoint" / "2.json").write_bytes(text)
    saved, told = read_last(tmp_path)
    assert saved == {"n": 1}
    assert len(told) == 1


def test_names_that_lead_out_of_the_folder_name_keys(tmp_path):
    """Files are named by their number alone."""
    outside = tmp_path / "outside.safetensors"
    write(tmp_path, {"..": {"/etc/passwd": np.zeros(2)}, "../outside": np.ones(2)})
    assert not outside.exists()
    assert same(read_last(tmp_path)[0]["../outside"], np.ones(2))
    (tmp_path / "checkpoint" / "..%2F2.json").write_text("{}")
    assert read_last(tmp_path)[1] == []


def test_other_types_of_arrays_are_not_read(tmp_path):
    write(tmp_path, {"array": np.zeros(2, np.float16)})
    path = tmp_path / "checkpoint" / "1.safetensors"
    path.write_bytes(path.read_bytes().replace(b'"F16"', b'"BF16"').replace(b"  ", b" ", 1))
    rewritten(path.with_suffix(".json"), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    saved, (line,) = read_last(tmp_path)
    assert saved is None
    assert "arrays of BF16" in line or "holds no arrays" in line


def test_another_version_s_is_not_passed_over(tmp_path):
    write(tmp_path, {"n": 1})
    path = tmp_path / "checkpoint" / "1.json"
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(
        RunFolderError, match="of format 2, and this version of the trainer reads 1"
    ):
        read_last(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_one_that_may_not_be_read_is_not_passed_over(tmp_path):
    write(tmp_path, {"n": 1})
    (tmp_path / "checkpoint" / "1.json").chmod(0)
    with pytest.raises(RunFolderError, match="Permission denied"):
        read_last(tmp_path)


def test_a_fault_of_the_caller_s_falls_back_too(tmp_path):
    for n in (1, 2):
        write(tmp_path, {"n": n})
    saved, (line,) = read_last(tmp_path, lambda saved: "it is even" if saved["n"] == 2 else None)
    assert saved == {"n": 1}
    assert "2.json: no checkpoint: it is even; the one before it is tried" in line


@pytest.mark.parametrize(
    ("call", "nth"),
    [("mkdir", 0), *(("fsync", n) for n in range(5)), ("replace", 0), ("replace", 1)],
)
def test_a_refused_one_leaves_those_before(tmp_path, monkeypatch, call, nth):
    for n in (1, 2) if call != "mkdir" else ():
        write(tmp_path, {"n": n, "array": np.arange(n)})
    before = sorted(tmp_path.rglob("*"))
    real, calls = getattr(os, call), []

    def refuse(*given, **more):
        calls.append(given)
        if len(calls) == nth + 1:
            raising(errno.ENOSPC)()
        return real(*given, **more)

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(DiskError, match="No space left"):
        write(tmp_path, {"n": 3, "array": np.arange(3)})
    assert sorted(tmp_path.rglob("*")) == before
    saved, told = read_last(tmp_path)
    assert (saved and saved["n"], told) == (2 if before else None, [])
    write(tmp_path, {"n": 3})
    assert read_last(tmp_path)[0] == {"n": 3}


def test_arrays_are_written_without_a_second_copy(tmp_path):
    arrays = {str(i): np.ones(1 << 20) for i in range(4)}  # 8 MiB each
    write(tmp_path, {"n": 1})  # imports
    tracemalloc.start()
    write(tmp_path, arrays)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


def deep(path):
    path.write_text(path.read_text().replace('"n": 2', f'"n": {"[" * 990}{"]" * 990}'))


def terabyte(path):
    os.truncate(path, 1 << 40)


@pytest.mark.parametrize(
    ("name", "damage", "why"),
    [
        ("2.json", deep, "2.json: no checkpoint: it is n"),
        ("2.json", terabyte, "2.json has more bytes than the memory has room for"),
        ("2.safetensors", terabyte, "2.safetensors has more bytes than the memory has room for"),
    ],
)
def test_what_is_nested_or_large_as_none_of_ours_falls_back(tmp_path, name, damage, why):
    for n in (1, 2):
        write(tmp_path, {"n": n, "array": np.arange(4.0)})
    damage(tmp_path / "checkpoint" / name)
    saved, (told,) = read_last(tmp_path)
    assert saved["n"] == 1
    assert why in told
