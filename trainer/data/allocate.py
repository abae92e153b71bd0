"""Matrices that fit into memory, or a sentence that says by how much they do not."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.data.rows import FloatArray
from trainer.errors import DataError
from trainer.machine.memory import memory_limit
from trainer.text.numbers import shown_size

_ALWAYS = 1 << 24  # bytes that any machine has: to ask it takes longer than to predict a row


def allocate(
    shape: tuple[int, int], dtype: np.dtype[Any], where: str, *, zeros: bool = False
) -> FloatArray:
    """An array without values, or of zeros; a DataError where it is larger than the memory."""
    size = shape[0] * shape[1] * dtype.itemsize
    try:
        if size > _ALWAYS and size > memory_limit():
            raise MemoryError
        return np.zeros(shape, dtype) if zeros else np.empty(shape, dtype)
    except MemoryError:
        raise DataError(
            f"{where}: {shape[0]} x {shape[1]} numbers of {dtype} take {shown_size(size)}, more"
            " than there is; fewer rows or columns are right"
        ) from None
