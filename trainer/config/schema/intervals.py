"""Intervals of metrics: how rows are drawn anew."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Gt, Lt
from pydantic import Discriminator, Field, Tag

from trainer.config.schema.fields import Block, Expected, OptionalCount, word_or_mapping


class Intervals(Block):
    """Percentile bootstrap of the metrics of val and test, from predictions."""

    resamples: OptionalCount = Field(
        None,
        description="How often the rows are drawn anew, which is never cut; none, the default:"
        " 1,000, or as many as take about 5 % of the run.",
        examples=[1000],
    )
    level: Annotated[float, Gt(0), Lt(1), Expected("a number between 0 and 1, such as 0.95")] = (
        Field(0.95, description="The share of the draws that lies within an interval.")
    )
    by: Annotated[Literal["auto", "row", "group"], Expected()] = Field(
        "auto",
        description="What is drawn: rows, or whole groups; auto: groups where the rows have them.",
    )


_Word = Annotated[Literal["none"], Expected("{resamples: 1000} or none", choices=("none",))]
IntervalsOrNone = Annotated[
    Annotated[_Word, Tag("<word>")] | Annotated[Intervals, Tag("<mapping>")],
    Discriminator(word_or_mapping),
]
