"""A spec as Python users give one: made already, a mapping, a file; with rows beside it or not."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from trainer.config import Spec, load_spec
from trainer.errors import DataError

SpecLike = Spec | Mapping[str, Any] | str | os.PathLike[str]


def as_spec(spec: SpecLike, data: Mapping[str, Any] | None = None) -> Spec:
    """A spec as `run` takes it; with `data`, its sources are named `arrays`.

    A fraction that was written for val or test holds where `data` has no rows of that name; the
    default of val does not.

    Raises:
        SpecError: the spec is wrong, or asks for validation rows that `data` does not have.
    """
    if data is None:
        return spec if isinstance(spec, Spec) else load_spec(spec)
    if not isinstance(data, Mapping):
        kind = type(data).__name__
        raise DataError(f"data: is a {kind}; a mapping is right, {{'train': (X, y)}} the least")
    text, told = None, None
    if not isinstance(spec, Mapping):
        spec = as_spec(spec)
        text, told, spec = spec.source_text, spec.data.model_fields_set, spec.tree()
    block = spec.get("data", {})
    if not isinstance(block, Mapping):
        return load_spec(spec)  # which says what is wrong with it
    written: Collection[str] = block.keys() if told is None else told
    held = {
        name: "arrays" if data.get(name) is not None else _fraction(block, name, written)
        for name in ("val", "test")
    }
    named = load_spec({**spec, "data": {**block, "train": "arrays", **held}})
    return named.with_source_text(text)


def _fraction(block: Mapping[str, Any], name: str, written: Collection[str]) -> Any:
    """What was written for rows that Python does not pass: a fraction; files are not read."""
    value = block.get(name) if name in written else None
    return value if isinstance(value, int | float) else "none"
