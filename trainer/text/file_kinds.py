"""What a file is by its first bytes, where its name says another thing."""

from __future__ import annotations

LENGTH = 64
"""First bytes of a file that are looked at."""

_KINDS: tuple[tuple[bytes, tuple[str, ...], str], ...] = (
    (
        b"version https://git-lfs.github.com/spec/",
        (),
        "is a pointer of Git LFS and not the file; `git lfs pull` fetches it",
    ),
    (b"\x1f\x8b", (".gz",), "is packed by gzip; end its name in .gz, or unpack it"),
    (b"PK\x03\x04", (".npz",), "is a ZIP archive or an Excel workbook; unpack it, or save as CSV"),
    (b"\xd0\xcf\x11\xe0", (), "is an old Excel workbook; save its sheet as CSV"),
    (b"PAR1\x15", (".parquet",), "is a Parquet file; end its name in .parquet"),
    (b"ARROW1\0", (), "is an Arrow (Feather) file; write it as Parquet"),
    (b"\x89HDF\r\n", (), "is an HDF5 file; write the array with numpy.save, the table as Parquet"),
    (b"\x93NUMPY", (".npy",), "is an array of NumPy; end its name in .npy"),
    (b"\x28\xb5\x2f\xfd", (), "is packed by Zstandard; unpack it"),
    (b"\xfd7zXZ\0", (), "is packed by xz; unpack it"),
    (b"<!doctype html", (), "is a web page and not the file; download it again"),
    (b"<html", (), "is a web page and not the file; download it again"),
)


def other_kind(start: bytes, name: str) -> str | None:
    """What a file is and what would be right, as a clause; None where its name may be right.

    Args:
        start: its first `LENGTH` bytes, or all.
        name: with its ending.
    """
    start, name = start.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n"), name.lower()
    for first, endings, clause in _KINDS:
        if start[: len(first)].lower() == first.lower() and not name.endswith(endings):
            return clause
    return None
