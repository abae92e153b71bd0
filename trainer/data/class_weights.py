"""The weight of each training row: its own times that of its class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.rows import Array, Label
from trainer.errors import DataError
from trainer.text.labels import label_positions, label_text
from trainer.text.printable import quote
from trainer.text.suggest import nearest_name


def row_weights(
    y: Array,
    weight: NDArray[np.float64],
    class_weight: str | Mapping[Any, float],
    classes: Sequence[Label] | None,
) -> NDArray[np.float64]:
    """Raw weight s_i of each training row: its `weight` times its class weight.

    `balanced` is S / (n · S_c) with S the sum of all weights, S_c that of class c and n the number
    of classes that have any: scikit-learn's rule with sample weights. A class that a mapping
    leaves out has weight 1, as in scikit-learn.

    Args:
        y: codes of single labels, (N,) int64 or (N, 1) of 0 and 1; anything without class weights.
        weight: (N,) float64.
        class_weight: "none", "balanced" or {label: weight}.
        classes: labels in the order of the codes; None where the target has none.

    Returns:
        (N,) float64.

    Raises:
        DataError: a label that is no class, a weight that is negative or not finite, class weights
            for a target without single-label classes, or weights that are all 0.
    """
    if class_weight == "none":
        return weight.copy()
    if classes is None or not (y.ndim == 1 or y.shape[1] == 1):
        raise DataError(
            "class_weight: this target has no single-label classes; class_weight: none is right"
        )
    codes = y.reshape(-1).astype(np.int64)
    if class_weight == "balanced":
        sums = np.bincount(codes, weights=weight, minlength=len(classes))
        present = sums > 0
        factors = np.zeros(len(classes))
        factors[present] = sums.sum() / (present.sum() * sums[present])
    else:
        assert isinstance(class_weight, Mapping)
        factors = _written_factors(class_weight, classes)
    result: NDArray[np.float64] = weight * factors[codes]
    if not result.any():
        raise DataError(
            "class_weight: every training row has weight 0; at least one must be above 0"
        )
    return result


def _written_factors(
    class_weight: Mapping[Any, float], classes: Sequence[Label]
) -> NDArray[np.float64]:
    position = label_positions(classes)
    factors = np.ones(len(classes))
    written: dict[int, str] = {}
    for label, factor in class_weight.items():
        text = label if isinstance(label, str) else label_text(label)
        place = position.get(label_text(label))
        if place is None:
            known = [label_text(other) for other in classes]
            raise DataError(
                f"class_weight: {quote(text)} is no class of the training source;"
                f" {nearest_name(text, known)}"
            )
        if place in written:
            raise DataError(
                f"class_weight: {quote(written[place])} and {quote(text)} are one class; one"
                " weight is right"
            )
        if not (np.isfinite(factor) and factor >= 0):
            raise DataError(
                f"class_weight: {text}: {factor} is no weight; a finite number from 0 up is"
            )
        written[place] = text
        factors[place] = factor
    return factors
