"""Matrices that fit into memory, or a sentence that says by how much they do not."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.data.rows import FloatArray
from trainer.errors import DataError
from trainer.machine.memory import available_memory
from trainer.text.numbers import shown_size

_ALWAYS = 1 << 24  # bytes that any machine has: to ask it takes longer than to predict a row


def allocate(
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    where: str,
    *,
    zeros: bool = False,
    copy: np.dtype[Any] | None = None,
) -> FloatArray:
    """An array without values, or of zeros.

    Args:
        shape: of it.
        dtype: of it.
        where: what a fault is of.
        zeros: whether its values are 0.
        copy: precision of the copy that is made of it while it is held, if one is.

    Raises:
        DataError: it and its copy take more memory than there is now.
    """
    count = shape[0] * shape[1]
    size, more = count * dtype.itemsize, count * copy.itemsize if copy else 0
    try:
        if size + more > _ALWAYS and size + more > available_memory():
            raise MemoryError
        return np.zeros(shape, dtype) if zeros else np.empty(shape, dtype)
    except MemoryError:
        with_copy = f", and {shown_size(more)} their copy in {copy}" if more else ""
        raise DataError(
            f"{where}: {shape[0]} x {shape[1]} numbers of {dtype} take {shown_size(size)}"
            f"{with_copy}, more than there is; fewer rows or columns are right"
        ) from None
