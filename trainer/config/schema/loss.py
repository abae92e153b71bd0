"""Losses: a word; one with parameters of its own would be a block beside it."""

from __future__ import annotations

from typing import Annotated, Any

from trainer.catalog import LOSSES
from trainer.config.schema.fields import Expected, OneOf
from trainer.text.printable import one_of

WORDS = tuple(dict.fromkeys(name for (_, name), loss in LOSSES.items() if not loss.parameters))

LossWord = Annotated[Any, OneOf(WORDS), Expected(one_of(WORDS), choices=WORDS)]

# A block has the loss's `name` and a key for each of its parameters, and joins the word as that of
# `init` does: a union of LossWord, tagged "<word>", and the block, tagged "<mapping>".
Loss = LossWord
