"""A mapping from Python to the same tree that a YAML file becomes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from trainer.config.yaml.scalars import LARGEST_INTEGER, Path
from trainer.config.yaml.tree import MAX_DEPTH, MAX_NODES, Place, Tree
from trainer.errors import Fault
from trainer.text.printable import dotted, show_value

_PLAIN = (float, bool, type(None))  # which YAML holds as they are


def from_mapping(source: Mapping[Any, Any], folder: str) -> Tree:
    """Return the tree of a mapping; relative paths in it are relative to `folder`.

    Mappings become dicts, tuples lists, paths strings and NumPy scalars Python's. What YAML could
    not hold is a fault here too: integers over 64 bits, deep nesting, half characters.
    """
    tree = Tree()
    tree.value = _convert(source, (), folder, tree)
    return tree


def _convert(value: Any, path: Path, folder: str, tree: Tree) -> Any:
    tree.places[path] = Place("", folder)
    if len(path) > MAX_DEPTH:
        return _refuse(
            tree, path, f"nested over {MAX_DEPTH} levels deep; the deepest key is at level 4"
        )
    if len(tree.places) > MAX_NODES:
        return _refuse(tree, path, f"over {MAX_NODES:,} values; a spec is a few lines long")
    if type(value) in _PLAIN:  # most are
        return value
    if isinstance(value, Mapping):
        return {key: _convert(item, (*path, key), folder, tree) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_convert(item, (*path, i), folder, tree) for i, item in enumerate(value)]
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if hasattr(value, "dtype") and getattr(value, "ndim", None) == 0:  # a NumPy scalar
        value = value.item()
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        return _refuse(tree, path, "an integer over 64 bits; text is written between quotes")
    if isinstance(value, str) and not _is_unicode(value):
        return _refuse(tree, path, f"{show_value(value)} has half a character; pass whole text")
    return value


def _refuse(tree: Tree, path: Path, what: str) -> None:
    tree.faults.append(Fault("", 0, 0, dotted(path), what))
    tree.reported.add(path)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
