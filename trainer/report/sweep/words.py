"""How the page of a sweep calls metrics and settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.catalog import METRICS, metric_of
from trainer.text.numbers import text


def metric_words(name: str) -> str:
    """`val_loss` as `validation loss`, `test_later_auc` as `test later ROC AUC`."""
    split, _, rest = name.partition("_")
    known = metric_of(name)
    words = METRICS[known].label if known is not None else rest.replace("_", " ")
    if split == "test":
        of = rest.removesuffix(known or rest).strip("_")
        return " ".join(filter(None, ["test", text(of), words]))
    return f"{'validation' if split == 'val' else 'training'} {words}"


def settings_words(names: Mapping[str, str], settings: Mapping[str, Any]) -> str:
    """Settings in a few words.

    Args:
        names: swept path -> what its axis is called.
        settings: swept path -> value.
    """
    parts = [
        f"{names.get(path, path.rpartition('.')[2])} {_value(value)}"
        for path, value in settings.items()
    ]
    return ", ".join(parts) or "the settings of the file"


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else text(value)
