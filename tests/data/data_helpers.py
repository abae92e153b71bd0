"""What the tests of trainer.data share: specs of a source, files of text and arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from trainer.data import Prepared, prepare
from trainer.spec.schema import Spec


def prepared(
    model: str,
    train: Any,
    *,
    arrays: dict[str, Any] | None = None,
    class_weight: Any = "none",
    precision: str = "float64",
    **data: Any,
) -> Prepared:
    data = {"val": "none", "test": "none", "scale": "none", **data}
    fields = {
        "model": model,
        "precision": precision,
        "class_weight": class_weight,
        "data": {"train": train, **data},
    }
    return prepare(Spec.model_validate(fields), arrays)


def from_arrays(model: str, X: Any, y: Any, **settings: Any) -> Prepared:
    arrays = {"train": (X, y), **settings.pop("more", {})}
    return prepared(model, "arrays", arrays=arrays, **settings)


def write(folder: Path, name: str, content: str | bytes | np.ndarray) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, np.ndarray):
        np.save(path, content, allow_pickle=True)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content, encoding="utf-8", newline="")
    return str(path)
