"""The mathematics: the model table, the five lines of a step, penalties and metrics."""

from trainer.model.models import MODELS, Model, Scratch

__all__ = ["MODELS", "Model", "Scratch"]
