"""Rows: read, split, encoded, scaled, and the order in which batches visit them.

`prepare` is the way in; `batches.shuffle` gives the order of an epoch, `row_weights` the weights.
"""

from trainer.data.batches import shuffle
from trainer.data.encoder import Encoder
from trainer.data.prepare import prepare
from trainer.data.rows import Prepared, Rows, Summary, row_weights

__all__ = ["Encoder", "Prepared", "Rows", "Summary", "prepare", "row_weights", "shuffle"]
