"""Which of two classes is 1: the second in sorted order, or the one that the spec names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trainer.data.encode.targets import Target
from trainer.errors import DataError
from trainer.text.labels import label_positions, label_text
from trainer.text.printable import quote
from trainer.text.suggest import nearest_name


def with_positive(target: Target, positive: Any, where: str) -> Target:
    """The target with the positive class last, which every later step takes for 1.

    Args:
        target: of the training source.
        positive: `data.positive`: "auto" or a label.
        where: what messages call the target.

    Raises:
        DataError: no such class, or a target without two classes.
    """
    if positive == "auto":
        return target
    if target.kind != "labels" or target.classes is None or len(target.classes) != 2:
        raise DataError(
            f"{where}: data.positive: names one of two classes, and each row has"
            f" {len(target.outputs)} labels of its own here, 1 being positive; auto is right"
        )
    written = label_text(positive)
    place = label_positions(target.classes).get(written)
    if place is None:
        texts = [label_text(label) for label in target.classes]
        raise DataError(
            f"data.positive: {quote(written)} is no class of the training source;"
            f" {nearest_name(written, texts)}"
        )
    return target if place == 1 else replace(target, classes=target.classes[::-1])
