"""What a run's sources hold, and what has been found about their rows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from trainer.data.frame import Frame, RepeatColumn
from trainer.data.rows import IntArray, Label, Rows
from trainer.data.sources.digest import Digest
from trainer.data.splits.row_split import Holdout


class HoldoutKey(NamedTuple):
    """What decides the split of a training source: equal keys, equal `Holdout`."""

    model: str
    missing: str
    stratify: bool | str
    seed: int
    positive: str
    """The label that is 1, as Python writes it."""
    val: float
    """Share of the rows; 0 where val is none or a source of its own."""
    test: float
    """The same."""
    targets: str


class UsableKey(NamedTuple):
    """What decides which rows of a frame are kept."""

    frame: int
    """Its `id`: the source keeps its frames."""
    missing: str


class EncodedKey(NamedTuple):
    """What decides the encoded rows of a split, where nothing was learnt from training rows."""

    split: str
    frame: int
    """Its `id`."""
    rows: bytes
    """Of the array of row numbers."""
    dtype: np.dtype[np.generic]
    unit: bool
    """Whether each row is scaled to length 1."""
    classes: tuple[Label, ...] | None


@dataclass(frozen=True, eq=False)
class Source:
    """What was read, good for every spec that names the same sources and the same model."""

    frame: Frame
    """The training source."""
    held: Mapping[str, Frame]
    """Those of the splits that have their own: "val", "test" or a test source's own name."""
    keys: Mapping[str, str]
    """Names to read another file by, see `Encoder.keys`."""
    hashed: Digest = field(repr=False)
    """Of the bytes of all."""
    copies: frozenset[str]
    """The splits of `held` that are the training source over again."""
    passed: bool
    """Whether Python passed arrays."""
    beside: RepeatColumn | None = None
    """The column that the folds of its specs are made by, if one is."""
    holdouts: dict[HoldoutKey, Holdout] = field(default_factory=dict, repr=False)
    """Splits of the training source that have been made."""
    usable: dict[UsableKey, IntArray] = field(default_factory=dict, repr=False)
    """Rows that are kept, ascending, of the frames that have been looked through."""
    encoded: WeakValueDictionary[EncodedKey, Rows] = field(
        default_factory=WeakValueDictionary, repr=False
    )
    """Encoded rows that somebody still holds."""
    kept: Mapping[str, int] = field(default_factory=dict, repr=False)
    """{frame: rows that are kept} of the source of all targets, where this is of some of them."""
    by_target: dict[Hashable, Any] = field(default_factory=dict, repr=False)
    """What was made of it for targets that are problems of their own."""
    without: dict[str, str] = field(default_factory=dict, repr=False)
    """{target: why} of those of them that some other trial or repeat cannot train."""

    @property
    def digest(self) -> str:
        """sha256 (hex) over the bytes of all; taken when it is first asked for."""
        return self.hashed.hexdigest()
