"""config.yaml of a sweep: the file as written, completed so that it loads to equal trials."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from trainer.config.paths import absolute, is_path_key, make_paths_absolute
from trainer.config.schema.spec import Spec
from trainer.config.yaml.scalars import Path, key_path
from trainer.config.yaml.tree import Tree


def written(tree: Tree, spec: Spec, axes: Mapping[str, Any]) -> dict[str, Any]:
    """The tree of config.yaml of a sweep: as written, with defaults, absolute paths and ${name}s.

    Loaded again it gives equal trials.
    """
    raw = copy.deepcopy(tree.value)
    bare = Tree(raw, tree.places, [], set(), set())
    make_paths_absolute(bare)
    _make_axes_absolute(bare)
    defaults = {key: item for key, item in spec.tree().items() if key != "sweep"}
    for key in axes:
        _remove(defaults, key)
        if key.startswith("data.train."):  # val and test take each trial's
            for other in ("val", "test"):
                _remove(defaults, key.replace("train", other, 1))
    return _merged(defaults, raw)


def _make_axes_absolute(tree: Tree) -> None:
    sweep = tree.value.get("sweep")
    if not isinstance(sweep, dict):
        return
    blocks = sweep.get("parameters")
    several = blocks if isinstance(blocks, list) else [blocks]
    for i, block in enumerate(several):
        at: Path = ("sweep", "parameters", *((i,) if isinstance(blocks, list) else ()))
        for key, axis in block.items() if isinstance(block, dict) else ():
            if isinstance(key, str) and is_path_key(key):
                within = ("values",) if isinstance(axis, dict) else ()
                values = axis.get("values", []) if isinstance(axis, dict) else axis
                for j, value in enumerate(values):
                    if isinstance(value, str):
                        folder = tree.places[(*at, key, *within, j)].folder
                        values[j] = absolute(value, folder)
    for i, together in enumerate(sweep.get("zip") or ()):
        for key, value in together.items() if isinstance(together, dict) else ():
            if isinstance(key, str) and is_path_key(key) and isinstance(value, str):
                together[key] = absolute(value, tree.places[("sweep", "zip", i, key)].folder)


def _remove(tree: dict[Any, Any], key: str) -> None:
    *above, last = key_path(key)
    for part in above:
        tree = tree.get(part, {})
        if not isinstance(tree, dict):
            return
    tree.pop(last, None)


def _merged(defaults: Mapping[Any, Any], raw: Mapping[Any, Any]) -> dict[Any, Any]:
    """Raw values, completed by defaults; keys in the order of the defaults."""
    merged: dict[Any, Any] = {}
    for key in [*defaults, *(key for key in raw if key not in defaults)]:
        ours, theirs = defaults.get(key), raw.get(key)
        if key in raw and isinstance(ours, dict) and isinstance(theirs, dict) and ours:
            merged[key] = _merged(ours, theirs)
        else:
            merged[key] = raw.get(key, ours)
    return merged
