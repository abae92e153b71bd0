"""Ways to break one file of a run folder: each seeded, each with a name."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hostile_corrupt import WORDS, broken_bytes
from safetensors.numpy import load, save

MARKUP = ("<script>alert(1)</script>", "<b>x</b>")  # never to be seen in a page as it is
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7, 10**9, 10**30, -(10**30), 0.5, 1e308, -1e308, float("nan"),
    float("inf"), "", "x", "é", "\ud800", "\u202e", *MARKUP, "\0", "x" * 3000,
    [], {}, [[]], [None], [1, "x"], {"": 1}, {"x": None}, [{}], "nan", "1", "finished", "diverged",
    "val_loss", "no_metric", "softmax", "linear", "optimizer.lr",
)  # fmt: skip
CELLS = (
    *WORDS, "0", "-1", "1.5", "nan", "inf", "1e999", "9" * 40, "9" * 5000, "finished", "diverged",
    *MARKUP, "x" * 140_000, "2147483648", "True", "true", "[1]", "=1+1",
)  # fmt: skip


def mutate(rng: Random, run: Path, others: list[Path]) -> str:
    """Break one file of a run folder in place; what was done, in words.

    Args:
        rng: decides everything.
        run: the folder, a copy.
        others: whole run folders, whose files may be put here.
    """
    files = sorted(path for path in run.rglob("*") if path.is_file())
    weights = [_WEIGHTS.get(path.name, 1) for path in files]
    (path,) = rng.choices(files, weights)
    actions = [_bytes, *_OF_ENDING.get(path.suffix, []) * 2]
    action = rng.choice(actions) if rng.random() < 0.8 else _thing
    what = action(rng, path, others)
    return f"{path.relative_to(run)}: {what}"


_WEIGHTS = {
    "input.yaml": 0.1, "run.log": 0.1, "best.yaml": 0.1, "config.yaml": 2, "manifest.json": 5,
    "results.json": 8, "model.json": 8, "model.safetensors": 6, "trials.csv": 5, "history.csv": 5,
    "repeats.csv": 4, "groups.csv": 3, "steps.parquet": 5, "steps.arrows": 20,
    "predictions.parquet": 5, "weights.safetensors": 4,
}  # fmt: skip


def _bytes(rng: Random, path: Path, others: list[Path]) -> str:
    data, what = broken_bytes(rng, path.read_bytes())
    path.write_bytes(data)
    if path.name == "model.safetensors" and rng.random() < 0.8:
        _sign(path)
        what += ", signed"
    return what


def _sign(path: Path) -> None:
    """Let model.json vouch for the bytes of model.safetensors."""
    fields = path.with_name("model.json")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    fields.write_text(json.dumps({**json.loads(fields.read_text()), "sha256": digest}))


# ---------------------------------------------------------------- not a file


def _thing(rng: Random, path: Path, others: list[Path]) -> str:
    what = rng.choice(list(_THINGS))
    path.unlink()
    _THINGS[what](path)
    if what == "another run's":
        other = rng.choice(others)
        there = [file for file in other.rglob("*") if file.is_file()]
        same = [file for file in there if file.name == path.name and rng.random() < 0.8]
        shutil.copy(rng.choice(same or there), path)
        if path.name == "model.safetensors" and path.with_name("model.json").is_file():
            _sign(path)
    return what


def _socket(path: Path) -> None:
    before = os.getcwd()
    os.chdir(path.parent)  # the address of a socket has 108 bytes at most
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


_THINGS: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a socket": _socket,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a terabyte of zeros": _sparse,
    "empty": lambda path: path.write_bytes(b""),
    "missing": lambda path: None,
    "another run's": lambda path: None,
}


# ---------------------------------------------------------------- JSON


def _json(rng: Random, path: Path, others: list[Path]) -> str:
    record = json.loads(path.read_text())
    what = "+".join(_json_change(rng, record) for _ in range(rng.choice((1, 1, 2))))
    path.write_text(json.dumps(record))  # a lone surrogate becomes its escape
    return what


def _json_change(rng: Random, record: Any) -> str:
    """Change one place of a record, at any depth alike."""
    node, keys = record, []
    while True:
        key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        keys.append(key)
        if not (isinstance(node[key], dict | list) and node[key]) or rng.random() < 0.25:
            break
        node = node[key]
    how = rng.choice(("value", "value", "value", "gone", "renamed", "wrapped", "deep"))
    if how == "gone" or (how == "renamed" and isinstance(node, list)):
        del node[key]
    elif how == "renamed":
        node[rng.choice(("x", *MARKUP, "\ud800", "", "val_loss"))] = node.pop(key)
    elif how == "wrapped":
        node[key] = rng.choice(([node[key]], {"x": node[key]}, [node[key]] * 3))
    elif how == "deep":
        for _ in range(rng.choice((60, 900))):
            node[key] = [node[key]]
    else:
        value = rng.choice(VALUES)
        node[key] = value
        how = f"{value!r:.30}"
    return f"{'.'.join(map(str, keys))}: {how}"


def _json_text(rng: Random, path: Path, others: list[Path]) -> str:
    """Text that a reader of JSON may choke on."""
    what, text = rng.choice(
        (
            ("deep", "[" * 100_000),
            ("deep mapping", '{"x":' * 100_000),
            ("digits", '{"status": ' + "9" * 100_000 + "}"),
            ("a list", "[1, 2]"),
            ("a number", "1"),
            ("UTF-16", path.read_bytes().decode().encode("utf-16")),
            ("constants", path.read_text().replace("null", "NaN").replace("0.", "Infinity, 0.")),
            ("surrogates", path.read_text().replace(': "', ': "\\ud800')),
        )
    )
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return what


# ---------------------------------------------------------------- tables


def _csv(rng: Random, path: Path, others: list[Path]) -> str:
    rows = list(csv.reader(io.StringIO(path.read_text())))
    i, j = rng.randrange(len(rows)), rng.randrange(len(rows[0]))
    how = rng.choice(("cell", "cell", "cell", "header", "column gone", "column twice", "transpose"))
    if how == "cell":
        rows[i][j] = rng.choice(CELLS)
        how = f"line {i + 1}, {rows[0][j]:.30}: {rows[i][j]!r:.30}"
    elif how == "header":
        rows[0][j] = rng.choice((*CELLS, *rows[0]))
        how = f"header {j}: {rows[0][j]!r:.30}"
    elif how == "column gone":
        how = f"{rows[0][j]} gone"
        rows = [row[:j] + row[j + 1 :] for row in rows]
    elif how == "column twice":
        rows = [[*row, row[j]] for row in rows]
    else:
        rows = [[row[(k + 1) % len(row)] for k in range(len(row))] for row in rows]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    path.write_bytes(out.getvalue().encode("utf-8", "surrogatepass"))
    return how


def _parquet(rng: Random, path: Path, others: list[Path]) -> str:
    table = pq.read_table(path)
    name = rng.choice(table.column_names)
    n, i = table.num_rows, table.column_names.index(name)
    columns: dict[str, Callable[[], Any]] = {
        "text": lambda: pa.array(["é<b>x</b>"] * n),
        "nulls": lambda: pa.nulls(n),
        "null numbers": lambda: pa.array([None] * n, pa.float64()),
        "null text": lambda: pa.array([None] * n, pa.string()),
        "lists": lambda: pa.array([[1]] * n),
        "bytes": lambda: pa.array([b"\xff\xfe"] * n),
        "truth": lambda: pa.array([True] * n),
        "times": lambda: pa.array([10**6] * n, pa.timestamp("us")),
        "structs": lambda: pa.array([{"a": 1}] * n),
        "NaN": lambda: pa.array([float("nan")] * n),
        "inf": lambda: pa.array([float("inf")] * n),
        "huge": lambda: pa.array([2**62] * n),
        "below 0": lambda: pa.array([-1] * n),
        "unsigned": lambda: pa.array([2**64 - 1] * n, pa.uint64()),
        "halves": lambda: pa.array(np.ones(n, np.float16)),
        "decimals": lambda: pa.array([1] * n).cast(pa.decimal128(20)),
    }
    how = rng.choice((*columns, *columns, "gone", "renamed", "no rows", "a bomb", "long text"))
    if how in columns:
        table = table.set_column(i, name, columns[how]())
    elif how == "gone":
        table = table.remove_column(i)
    elif how == "renamed":
        table = table.rename_columns(["<b>x</b>" if c == name else c for c in table.column_names])
    elif how == "no rows":
        table = table.slice(0, 0)
    elif how == "a bomb" and n:
        _bomb(table, path)
        return f"{name}: {how}"
    else:  # also of a table without a row to make a bomb of
        words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), ["x" * 10**7])
        table = table.set_column(i, name, words)
    pq.write_table(table, path)
    return f"{name}: {how}"


def _bomb(table: Any, path: Path) -> None:
    """A file of a few kilobytes whose footer tells of a billion rows, all of them there."""
    rows = 1 << 20
    one = table.slice(0, 1)
    pq.write_table(one.take(pa.array(np.zeros(rows, np.int8))), path)
    data, footer = path.read_bytes(), io.BytesIO()
    length = int.from_bytes(data[-8:-4], "little")
    groups = pq.read_metadata(path)
    for _ in range(10):
        groups.append_row_groups(groups)
    groups.write_metadata_file(footer)
    path.write_bytes(data[: -8 - length] + footer.getvalue()[4:])


def _arrow(rng: Random, path: Path, others: list[Path]) -> str:
    """Change a length of a stream's framing, or of its metadata, or its whole schema."""
    data = bytearray(path.read_bytes())
    starts = [i for i in range(0, len(data) - 8, 8) if data[i : i + 4] == b"\xff\xff\xff\xff"]
    how = rng.choice(("length", "metadata", "metadata", "metadata", "schema", "cut", "packed"))
    start = rng.choice(starts)
    if how == "length":
        data[start + 4 : start + 8] = struct.pack("<i", rng.choice((-1, 2**31 - 1, 8, 10**6)))
    elif how == "metadata":
        size = struct.unpack_from("<i", data, start + 4)[0]
        at = start + 8 + 4 * rng.randrange(max(min(size, len(data) - start - 8), 8) // 4)
        data[at : at + 4] = struct.pack("<i", rng.choice((-1, 2**31 - 1, 0, 1, 2**24, 255)))
    elif how == "cut":
        del data[rng.randrange(len(data)) :]
    else:
        with pa.ipc.open_stream(path.read_bytes()) as stream:
            table = stream.read_all()
        if how == "schema":
            i = rng.randrange(table.num_columns)
            kind = rng.choice((pa.string(), pa.float64(), pa.int64(), pa.float16()))
            table = table.set_column(i, table.column_names[i], pa.nulls(table.num_rows, kind))
        codec = rng.choice(("zstd", "lz4")) if how == "packed" else None
        sink = io.BytesIO()
        options = pa.ipc.IpcWriteOptions(compression=codec)
        with pa.ipc.new_stream(sink, table.schema, options=options) as out:
            out.write_table(table)
        data = bytearray(sink.getvalue())
    path.write_bytes(data)
    return how


# ---------------------------------------------------------------- arrays


def _arrays(rng: Random, path: Path, others: list[Path]) -> str:
    arrays = load(path.read_bytes())
    name = rng.choice(sorted(arrays))
    array = arrays[name]
    value = rng.choice((np.nan, np.inf, -np.inf, 0.0, 1e300, -1.0))
    changes: dict[str, Callable[[], Any]] = {
        "F16": lambda: array.astype(np.float16),
        "F64": lambda: array.astype(np.float64),
        "I64": lambda: array.astype(np.int64),
        "BOOL": lambda: array.astype(bool),
        "flat": lambda: array.reshape(-1),
        "turned": lambda: np.ascontiguousarray(array.T),
        "longer": lambda: np.concatenate([array, array]),
        "shorter": lambda: array[:-1],
        "none": lambda: array[:0],
        "one more axis": lambda: array[None],
        "a number": lambda: array.reshape(-1)[:1].reshape(()),
        f"{value}": lambda: np.full_like(array, np.float64(value).astype(array.dtype)),
    }
    how = rng.choice((*changes, f"{value}", "gone", "renamed", "BF16", "F8_E4M3", "F8_E5M2"))
    with np.errstate(all="ignore"):
        if how in changes:
            arrays[name] = changes[how]()
    if how in ("gone", "renamed"):
        del arrays[name]
    if how == "renamed":
        arrays["<b>"] = array
    data = save(arrays)
    if how in ("BF16", "F8_E4M3", "F8_E5M2"):
        data = _retyped(data, name, how)
    path.write_bytes(data)
    if path.name == "model.safetensors":
        _sign(path)
    return f"{name}: {how}"


def _retyped(data: bytes, name: str, kind: str) -> bytes:
    """The array called by a type that NumPy has not, with as many elements as its bytes hold."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    begin, end = header[name]["data_offsets"]
    size = 2 if kind == "BF16" else 1
    shape = header[name]["shape"]
    wide = (end - begin) // size // max(int(np.prod(shape)), 1)
    shape[-1:] = [shape[-1] * wide] if shape else []
    header[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


_OF_ENDING: dict[str, list[Callable[[Random, Path, list[Path]], str]]] = {
    ".json": [_json, _json, _json_text],
    ".csv": [_csv],
    ".parquet": [_parquet],
    ".arrows": [_arrow],
    ".safetensors": [_arrays],
}
