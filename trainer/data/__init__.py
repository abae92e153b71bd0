"""Rows: read, split, encoded, scaled, and the order in which batches visit them.

`prepare` is the way in to a plain run. With repeats, `read` reads the sources once, `parts` says
which rows each fold or draw has, `prepare_part` encodes them, `prepare_refit` a last fit's.
`batches.shuffle` gives the order of an epoch, `row_weights` the weights.
"""

from trainer.data.batches import shuffle
from trainer.data.encode.encoder import Encoder
from trainer.data.prepare import prepare, prepare_part, prepare_refit
from trainer.data.rows import Prepared, Rows, Summary, row_weights
from trainer.data.sources.read import Source, read
from trainer.data.splits.repeats import parts
from trainer.data.splits.row_split import Part

__all__ = [
    "Encoder",
    "Part",
    "Prepared",
    "Rows",
    "Source",
    "Summary",
    "parts",
    "prepare",
    "prepare_part",
    "prepare_refit",
    "read",
    "row_weights",
    "shuffle",
]
