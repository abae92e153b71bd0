"""A spec as Python users give one: made already, a mapping, a file; with rows beside it or not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from trainer.config import Spec, load_spec
from trainer.errors import DataError

SpecLike = Spec | Mapping[str, Any] | str | os.PathLike[str]


def as_spec(spec: SpecLike, data: Mapping[str, Any] | None = None) -> Spec:
    """A spec as `run` takes it; with `data`, its sources are named `arrays`.

    Raises:
        SpecError: the spec is wrong, or asks for validation rows that `data` does not have.
    """
    if data is None:
        return spec if isinstance(spec, Spec) else load_spec(spec)
    if not isinstance(data, Mapping):
        kind = type(data).__name__
        raise DataError(f"data: is a {kind}; a mapping is right, {{'train': (X, y)}} the least")
    text = None
    if not isinstance(spec, Mapping):
        spec = as_spec(spec)
        text, spec = spec.source_text, spec.tree()
    block = spec.get("data", {})
    if not isinstance(block, Mapping):
        return load_spec(spec)  # which says what is wrong with it
    held = {name: "arrays" if name in data else "none" for name in ("val", "test")}
    named = load_spec({**spec, "data": {**block, "train": "arrays", **held}})
    return named.with_source_text(text)
