"""The metrics that a config names, by model: an evaluation has them beside those of its row."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from trainer.model.class_metrics import CLASS_METRICS
from trainer.model.label_metrics import LABEL_METRICS
from trainer.model.metrics import Named
from trainer.model.models import Model
from trainer.model.number_metrics import NUMBER_METRICS

NAMED: dict[str, Mapping[str, Named]] = {
    "linear": NUMBER_METRICS,
    "logistic": LABEL_METRICS,
    "softmax": CLASS_METRICS,
}


def with_named(row: Model, model: str, names: Collection[str]) -> Model:
    """A row of the model table whose evaluations have those of these metrics that are its own.

    Args:
        row: of the table.
        model: what it is called.
        names: of metrics; those of other models, and those it always has, are let pass.
    """
    named = {name: one for name, one in NAMED.get(model, {}).items() if name in names}
    return replace(row, metrics=row.metrics._replace(named=named)) if named else row
