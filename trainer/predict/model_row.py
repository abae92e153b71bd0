"""The row of the model table by which a fitted model is scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.catalog import METRICS, metrics_of
from trainer.model import models
from trainer.model.named_metrics import with_named

if TYPE_CHECKING:
    from trainer.predict.fitted_model import FittedModel


def row_of(model: FittedModel) -> models.Model:
    """The row of the model table, with the loss's parameters and the metrics that are named."""
    parameters = {name: np.array([value]) for name, value in model.loss_parameters.items()}
    row = models.MODELS[model.model, model.loss].with_parameters(parameters)
    known = metrics_of(model.model, len(model.encoder.outputs), model.metrics)
    numbers = model.encoder.target.numbers is not None
    names = [name for name in known if numbers or not METRICS[name].of_numbers]
    return with_named(row, model.model, names)
