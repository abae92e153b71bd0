"""Files that are something else than their names say."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from trainer.errors import DataError
from trainer.text.file_kinds import other_kind
from trainer.text.paths import readable_file

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4665a5ea\nsize 12345\n"


def packed() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.csv", "a,b\n1,2\n")
    return archive.getvalue()


def arrow(write) -> bytes:
    buffer = io.BytesIO()
    write(pa.table({"a": [1.0]}), buffer)
    return buffer.getvalue()


def saved() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    return buffer.getvalue()


KINDS = [
    ("a.csv", POINTER, "git lfs pull"),
    ("a.npy", POINTER, "git lfs pull"),
    ("a.parquet", POINTER, "git lfs pull"),
    ("a.csv", gzip.compress(b"a,b\n1,2\n"), "end its name in .gz"),
    ("a.csv", packed(), "Excel"),
    ("a.parquet", packed(), "ZIP"),
    ("a.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "old Excel"),
    ("a.csv", arrow(pyarrow.parquet.write_table), "end its name in .parquet"),
    ("a.parquet", arrow(pyarrow.feather.write_feather), "write it as Parquet"),
    ("a.csv", saved(), "end its name in .npy"),
    ("a.csv", b"\r\n<!DOCTYPE html>\n<title>404, not found</title>\n", "web page"),
    ("a.npz", b"<HTML><body>no</body></HTML>", "web page"),
]


@pytest.mark.parametrize(
    ("name", "content", "words"), KINDS, ids=[row[2] + row[0] for row in KINDS]
)
def test_a_file_of_another_kind_is_told(tmp_path: Path, name: str, content: bytes, words: str):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        readable_file(path, "a .csv file")
    assert "\n" not in str(caught.value)


def test_the_kinds_are_all_tried():
    assert len(KINDS) == 12


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (gzip.compress(b"a,b"), "a.csv.GZ"),
        (packed(), "a.npz"),
        (saved(), "a.npy"),
        (b"PAR1,b\n1,2\n", "a.csv"),
        (b"htmlx,b\n", "a.csv"),
        (b"", "a.csv"),
    ],
    ids=["gzip", "zip", "numpy", "text", "html", "empty"],
)
def test_a_file_of_its_own_kind_is_left_alone(start: bytes, name: str):
    assert other_kind(start, name) is None


def test_the_line_that_excel_reads(tmp_path: Path):
    from trainer.data.sources.csv_options import CsvOptions
    from trainer.data.sources.csv_text import read_head

    path = tmp_path / "a.csv"
    for line in ("sep=;", "sep=,", "SEP=\t"):
        path.write_bytes(line.encode() + b"\r\na;b\r\n1;2\r\n")
        with pytest.raises(DataError, match=r"line 1: .*Excel.*`separator`"):
            read_head(path, CsvOptions())
    path.write_bytes(b"sep=al,b\n1,2\n")
    assert read_head(path, CsvOptions()).names == ["sep=al", "b"]


@pytest.mark.parametrize("address", ["https://a.org/b.csv", "s3://bucket/a.parquet"])
def test_an_address_is_no_path(address: str) -> None:
    with pytest.raises(DataError, match="no such file; files are read from the disk: download it"):
        readable_file(address, "a .csv file")
