"""What the tests of trainer.data share: specs of a source, files of text and arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from trainer.config.schema.spec import Spec
from trainer.data import Encoder, Prepared, Rows, prepare


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


def spec_of(
    model: str,
    train: Any,
    *,
    repeat: dict[str, Any] | None = None,
    class_weight: Any = "none",
    precision: str = "float64",
    seed: int = 0,
    **data: Any,
) -> Spec:
    fields = {
        "model": model,
        "precision": precision,
        "class_weight": class_weight,
        "seed": seed,
        "data": {"train": train, "val": "none", **data},
    }
    return Spec.model_validate(fields if repeat is None else fields | {"repeat": repeat})


def same_rows(a: Rows | None, b: Rows | None) -> bool:
    """Whether two splits hold the same bits, wherever their rows are from."""
    if a is None or b is None:
        return a is b
    pairs = [(a.X, b.X), (a.y, b.y), (a.weight, b.weight)]
    return a.name == b.name and all(
        x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes() for x, y in pairs
    )


def same_encoder(a: Encoder, b: Encoder) -> bool:
    return (
        a.to_json() == b.to_json()
        and a.mean.tobytes() == b.mean.tobytes()
        and a.scale.tobytes() == b.scale.tobytes()
    )
