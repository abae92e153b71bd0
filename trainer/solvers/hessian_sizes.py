"""How much of second derivatives goes by at once, is kept, and which way it goes, by sizes alone.

Hessians go by these, and what they take is told by these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.model.compiled import NARROW

if TYPE_CHECKING:
    from trainer.device import Device

_ROWS = 4096  # of a chunk, at least, unless it takes longer than a signal may wait
_CHUNK_WORK = 1 << 33  # multiplications of a chunk for one Hessian, half a second of a core
_FEWEST_ROWS = 256  # of it in any case
SMALL = 96  # parameters up to which products of features are made once for all columns
SHARED = 8  # Hessians from which on such products are worth making
KEPT = 256 * 2**20  # bytes of such products
KEPT_FEATURES = 16 * 2**20  # bytes of the features of all rows
_SCORES = 1 << 24  # bytes of the scores of a chunk
MOST_HESSIANS = 256 * 2**20  # bytes of those that are worked on together
CERTIFIED = 8  # matrices (C, C) a column that a bound of its J − J* takes
_QUICK = 1 << 20  # products of a whole Hessian, which then takes no longer than to ask for a part
_MOST = 128  # parameters of a Hessian
_MOST_BYTES = 16 * 2**20  # of the rows, which each column goes over by itself
_MOST_WORK = 1 << 30  # of a round of one column, during which nobody asks


def rows_at_once(device: Device, rows: int, order: int) -> int:
    """How many of so many rows go by at once, for Hessians of this order."""
    quick = min(_ROWS, max(_FEWEST_ROWS, _CHUNK_WORK // max(1, order) ** 2))
    return min(rows, max(quick, device.at_once(0) // (8 * max(1, order))))


def columns_at_once(device: Device, chunk_rows: int, one: int, pairs: int) -> int:
    """How many columns' Hessians are worked on together.

    Args:
        device: where they are.
        chunk_rows: how many rows go by at once.
        one: bytes of the Hessians of a column.
        pairs: of outputs.
    """
    scores = device.at_once(_SCORES) // (8 * pairs * chunk_rows)
    return int(max(1, min(MOST_HESSIANS // one, scores)))


def certified_at_once(outputs: int, coupled: bool) -> int:
    """How many columns are certified together: of coupled outputs by matrices (C, C) of each."""
    one = 8 * CERTIFIED * outputs**2
    return int(max(1, MOST_HESSIANS // one)) if coupled else 1 << 30


def certificate_bytes(outputs: int, columns: int, coupled: bool) -> int:
    """Bytes that bounds of J − J* take of so many columns."""
    some = min(columns, certified_at_once(outputs, coupled))
    return 8 * CERTIFIED * outputs**2 * some if coupled else 0


def count_pairs(outputs: int, coupled: bool) -> int:
    """How many pairs of outputs the Hessians of a column follow from."""
    return outputs * (outputs - 1) // 2 if coupled else outputs


def padded_width(parameters: int) -> int:
    """Numbers of a padded row."""
    return -(-parameters // 16) * 16


def has_products(device: Device, chunk_rows: int, parameters: int) -> bool:
    """Whether products of so many features are made at all: if there are Hessians enough."""
    products = 8 * chunk_rows * (parameters * (parameters + 1) // 2)  # bytes of a chunk's
    return parameters <= SMALL and products <= device.at_once(KEPT)


def are_quick(device: Device, rows: int, parameters: int, pairs: int) -> bool:
    """Whether whole Hessians, by so many pairs of outputs, take no longer than to ask for parts."""
    return rows * pairs * parameters**2 // 2 <= device.at_once(8 * _QUICK) // 8


def suits_twin(device: Device, rows: int, parameters: int, outputs: int, coupled: bool) -> bool:
    """Whether N rows and Hessians of P parameters and C outputs are for the twin, if there is one.

    Args:
        device: where they are.
        rows: N.
        parameters: P.
        outputs: C.
        coupled: whether outputs are.
    """
    few = parameters > 0 and outputs <= NARROW and parameters * (outputs if coupled else 1) <= _MOST
    work = work_of(rows, parameters, count_pairs(outputs, coupled))
    small = 8 * rows * parameters <= _MOST_BYTES and work <= _MOST_WORK
    return device.xp is np and few and small


def work_of(rows: int, parameters: int, pairs: int) -> int:
    """Multiplications of a round of one column, about."""
    return rows * padded_width(parameters) * parameters * max(1, pairs)


def newton_bytes(rows: int, parameters: int, outputs: int) -> int:
    """Bytes of the rows as the twin has them, the copy that they are made by, and of all scores."""
    return 8 * rows * (padded_width(parameters) + parameters + 2 * outputs + 17)
