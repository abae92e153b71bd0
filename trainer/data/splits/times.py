"""Times of rows, in order: numbers, dates, or text as ISO 8601 writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from trainer.data.frame import RepeatColumn
from trainer.data.rows import IntArray
from trainer.errors import DataError
from trainer.text.numbers import finite_numbers
from trainer.text.printable import quote


def time_ranks(beside: RepeatColumn) -> IntArray:
    """The place of each row's time among all distinct ones, (N,); −1 where it is missing.

    Raises:
        DataError: times that are neither numbers nor dates, so that nothing says what comes first.
    """
    texts = [str(value) for value in beside.values.values]
    moments: list[Any] | None = None if (found := finite_numbers(texts)) is None else found
    if moments is None:
        moments = [_moment(text) for text in texts]
        if None in moments:
            odd = texts[moments.index(None)]
            raise DataError(
                f"{beside.where}: {quote(odd)} is no time that can be sorted; numbers, or dates"
                " such as 2024-05-31 or 2024-05-31T12:00, are right"
            )
    distinct = {moment: rank for rank, moment in enumerate(sorted(set(moments)))}
    ranks = np.array([*(distinct[moment] for moment in moments), -1], np.int64)
    return ranks[beside.values.codes]


def _moment(text: str) -> datetime | None:
    """A date or time as ISO 8601 writes it; without a zone it is taken for UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
