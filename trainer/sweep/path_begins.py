"""Where paths of penalties begin: at the least l1 at which all weights are 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from trainer.errors import DataError
from trainer.model import MODELS
from trainer.model.lambda_max import lambda_max
from trainer.train.device_rows import raw_weights, shares

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec, Trial
    from trainer.data import Prepared
    from trainer.sweep.planned import RowsOf


class Beginnings(Protocol):
    """What knows the least l1 at which all weights are 0, by target, of rows that it reads."""

    def lambda_max(self, spec: Spec) -> Mapping[int, float]:
        """Of all training rows."""

    def lambda_max_of(self, rows: RowsOf, spec: Spec) -> Mapping[int, float]:
        """Of those of one repeat."""


def own_spec(
    sources: Beginnings,
    trial: Trial,
    spec: Spec,
    target: int,
    outer: Sequence[RowsOf] | None = None,
) -> Spec:
    """The spec of a trial for one target, whose path of penalties begins where its data say.

    Args:
        sources: of the rows.
        trial: with its path.
        spec: of one of its repeats.
        target: by number.
        outer: training rows of a repeat that chooses for itself, of each group of targets; None:
            the path begins where all training rows say.
    """
    if not trial.fractions:
        return spec
    if outer is not None:
        largest = sources.lambda_max_of(rows_of_target(outer, target), spec)[target]
    elif spec.targets == "joint":
        return spec  # so it does already
    else:
        largest = sources.lambda_max(spec)[target]
    penalty = trial.with_lambda_max(largest).spec.penalty
    return spec.model_copy(update={"penalty": penalty})


def largest_l1(prepared: Prepared, spec: Spec) -> float:
    """The least l1 at which all weights are 0.

    Raises:
        DataError: it is 0, but for rounding; or class weights that do not fit the labels.
    """
    train, encoder = prepared.train, prepared.encoder
    codes = train.y.ndim == 1
    y = np.eye(len(encoder.outputs))[train.y] if codes else train.y.astype(np.float64)  # (N, C)
    p = shares(raw_weights(prepared, spec.class_weight))
    far = np.abs(encoder.mean) / encoder.scale  # (D,)
    model = MODELS[spec.model, spec.loss_name].with_parameters(
        {name: np.array([value]) for name, value in spec.loss_parameters.items()}
    )
    found = lambda_max(model, train.X, y, p, spec.bias, far)
    if found == 0:
        raise DataError(
            "no feature says anything of the target, so that a path of penalties has no beginning;"
            " a list of penalties is right"
        )
    return found


def rows_of_target(groups: Sequence[RowsOf], target: int) -> RowsOf:
    """Of groups of targets the one with this target."""
    return next(rows for rows in groups if target in rows.targets)
