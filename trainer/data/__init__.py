"""Data preparation: sources are read, split, encoded and scaled.

A plain run calls `prepare`. With repeats, `read` reads the sources once, `row_splits` gives the
row numbers of each fold or draw, `prepare_split` encodes them, `prepare_refit` those of a refit;
`held_targets` reads of the held-out rows the targets alone.
`row_weights` gives their weights.
"""

from trainer.data.class_weights import row_weights
from trainer.data.encode.encoder import Encoder
from trainer.data.prepare import held_targets, prepare, prepare_refit, prepare_split
from trainer.data.prepared import Prepared, Summary
from trainer.data.rows import Rows
from trainer.data.sources.read import read
from trainer.data.sources.source import Source
from trainer.data.splits.repeats import row_splits
from trainer.data.splits.row_split import RowSplit

__all__ = [
    "Encoder",
    "Prepared",
    "RowSplit",
    "Rows",
    "Source",
    "Summary",
    "held_targets",
    "prepare",
    "prepare_refit",
    "prepare_split",
    "read",
    "row_splits",
    "row_weights",
]
