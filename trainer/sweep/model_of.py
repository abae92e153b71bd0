"""The row of the model table that a spec asks for."""

from __future__ import annotations

from trainer.config.schema.spec import Spec
from trainer.model import MODELS, Model
from trainer.model.named_metrics import with_named


def model_of(spec: Spec) -> Model:
    """The row of a spec's model and loss, with the metrics that it names."""
    return with_named(MODELS[spec.model, spec.loss_name], spec.model, spec.named_metrics)
