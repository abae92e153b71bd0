"""NumPy's .npy and .npz files, without trust: a header is checked against the bytes it describes.

Layout: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. Nothing is ever
unpickled, nothing is allocated on a header's word, .npy files are memory-mapped.
"""

from __future__ import annotations

import ast
import os
import struct
import zipfile
import zlib
from math import prod
from typing import IO, Any, Literal, NamedTuple

import numpy as np

from trainer.data.rows import Array
from trainer.errors import DataError
from trainer.machine.memory import memory_limit
from trainer.text.numbers import shown_size
from trainer.text.paths import readable_file
from trainer.text.printable import error_text, show_path
from trainer.text.suggest import nearest_name

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000  # NumPy's own limit on what it gives to literal_eval
_ARCHIVE_ERRORS = (  # what zipfile raises over damaged bytes, here and there
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
    OverflowError,
)
_LITERAL_ERRORS = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)


class _Header(NamedTuple):
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: str
    offset: int

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


def read_npy(path: str | os.PathLike[str]) -> Array:
    """Memory-map an .npy file, read-only.

    Raises:
        DataError: missing, not .npy, objects (pickled), structured, shorter or longer than its
            header says.
    """
    file_path = readable_file(path, "an .npy file")
    where = show_path(file_path)
    try:
        with file_path.open("rb") as file:  # the one that is read is the one that is mapped
            size = os.fstat(file.fileno()).st_size
            header = _read_header(file, where)
            _check_size(header, size, where)
            if header.nbytes == 0:
                return np.empty(header.shape, header.dtype)
            order: Literal["F", "C"] = "F" if header.order == "F" else "C"
            return np.memmap(file, header.dtype, "r", header.offset, header.shape, order)
    except (OSError, ValueError) as error:  # it has gone or shrunk since it was looked at
        raise DataError(
            f"{where}: cannot be read ({error_text(error)}); write it again with numpy.save"
        ) from None


def read_npz(path: str | os.PathLike[str], names: list[str]) -> dict[str, Array]:
    """Read the named arrays of an .npz archive.

    Raises:
        DataError: missing, no archive, damaged, a name it does not hold, or as `read_npy`.
    """
    file_path = readable_file(path, "an .npz file")
    where = show_path(file_path)
    try:
        with zipfile.ZipFile(file_path) as archive:
            return {name: _read_member(archive, name, where) for name in names}
    except _ARCHIVE_ERRORS as error:
        raise DataError(
            f"{where}: is damaged or no .npz archive ({error_text(error)});"
            " write it again with numpy.savez"
        ) from None


def npz_names(path: str | os.PathLike[str]) -> list[str]:
    """Names of the arrays of an .npz archive.

    Raises:
        DataError: missing, or no archive.
    """
    file_path = readable_file(path, "an .npz file")
    try:
        with zipfile.ZipFile(file_path) as archive:
            return _names(archive)
    except _ARCHIVE_ERRORS as error:
        raise DataError(
            f"{show_path(file_path)}: is damaged or no .npz archive ({error_text(error)});"
            " write it again with numpy.savez"
        ) from None


def _names(archive: zipfile.ZipFile) -> list[str]:
    return [name.removesuffix(".npy") for name in archive.namelist()]


def _read_member(archive: zipfile.ZipFile, name: str, where: str) -> Array:
    names = _names(archive)
    if name not in names and {"format", "data", "shape"} <= set(names):
        raise DataError(
            f"{where}: is a sparse matrix (scipy.sparse.save_npz); a dense array is right:"
            " numpy.savez of its .toarray()"
        )
    if name not in names:
        raise DataError(f"{where}: holds no array {name!r}; {nearest_name(name, names)}")
    info = archive.infolist()[names.index(name)]
    if info.flag_bits & 1:
        raise DataError(f"{where}: is encrypted; write it again with numpy.savez")
    with archive.open(info) as file:
        header = _read_header(file, f"{where}: {name}")
        _check_size(header, info.file_size, f"{where}: {name}")
        if header.nbytes > (limit := memory_limit() // 2):
            raise DataError(
                f"{where}: {name}: takes {shown_size(header.nbytes)}, more than"
                f" {shown_size(limit)}, half of the memory there is; numpy.save's file is mapped"
            )
        # A bytearray grows with what is really there; the archive's own size may lie as well.
        data = bytearray()
        while len(data) <= header.nbytes and (part := file.read(1 << 22)):
            data += part
    if len(data) != header.nbytes:
        raise DataError(f"{where}: {name}: is cut short; write it again with numpy.savez")
    return np.frombuffer(data, header.dtype).reshape(header.shape, order=header.order)  # type: ignore[call-overload, no-any-return]


def _read_header(file: IO[bytes], where: str) -> _Header:
    start = file.read(8)
    if start[:6] != _MAGIC:
        raise DataError(f"{where}: is no .npy file; write it with numpy.save")
    width = 2 if start[6:7] == b"\x01" else 4
    length = int.from_bytes(file.read(width), "little")
    if len(start) < 8 or start[6] not in (1, 2, 3) or length > _LONGEST_HEADER:
        raise DataError(f"{where}: has a .npy header nobody writes; write it with numpy.save")
    text = file.read(length)
    try:
        fields = ast.literal_eval(text.decode("utf-8" if start[6] == 3 else "latin-1").strip())
        shape, fortran, described = fields["shape"], fields["fortran_order"], fields["descr"]
        # "O" within a description means objects: refuse before NumPy is asked for anything else.
        dtype = np.lib.format.descr_to_dtype(described)
        if not isinstance(shape, tuple) or not isinstance(fortran, bool):
            raise ValueError
        if any(type(extent) is not int or extent < 0 for extent in shape):
            raise ValueError
    except (*_LITERAL_ERRORS, KeyError, OverflowError):
        raise DataError(
            f"{where}: has a damaged .npy header; write it again with numpy.save"
        ) from None
    if dtype.hasobject:
        raise DataError(
            f"{where}: holds Python objects (pickled), which are never loaded;"
            " save an array of numbers or of text"
        )
    return _Header(dtype, shape, "F" if fortran else "C", 8 + width + length)


def _check_size(header: _Header, size: int, where: str) -> None:
    held = size - header.offset
    if held == header.nbytes:
        return
    fault = "is cut short" if held < header.nbytes else "is longer than its header says"
    raise DataError(
        f"{where}: {fault}: shape {header.shape} of {header.dtype} is {header.nbytes} bytes and the"
        f" file holds {max(held, 0)}; write it again with numpy.save"
    )
