"""Paths made absolute, and keys that sources of val and test take from train."""

from __future__ import annotations

import os
from typing import Any

from trainer.catalog import SOURCES, source_of
from trainer.config.yaml.scalars import Path
from trainer.config.yaml.tree import Tree


def make_paths_absolute(tree: Tree) -> None:
    """Make the paths of sources and of `init` absolute, each from where it was written."""
    for path, source in _sources(tree):
        kind = source_of(source)
        for key in SOURCES[kind].paths if kind else ():
            _make_absolute(tree, source, (*path, key))
    _make_absolute(tree, tree.value, ("init",))
    for path in (("repeat", "folds", "npy"), ("repeat", "folds", "by", "npy")):
        block = tree.value
        for key in path[:-1]:
            block = block.get(key) if isinstance(block, dict) else None
        if isinstance(block, dict):
            _make_absolute(tree, block, path)


def _make_absolute(tree: Tree, block: dict[Any, Any], path: Path) -> None:
    value = block.get(path[-1])
    if isinstance(value, str):
        block[path[-1]] = absolute(value, tree.places[path].folder)
    elif isinstance(value, list):  # of shards
        block[path[-1]] = [
            absolute(one, tree.places[(*path, i)].folder) if isinstance(one, str) else one
            for i, one in enumerate(value)
        ]


def absolute(path: str, folder: str) -> str:
    """A path from a folder, `~` being the home folder; words that are no path stay."""
    if path in ("", "none", "zeros") or "\x00" in path:
        return path
    return os.path.abspath(os.path.join(folder, os.path.expanduser(path)))


def is_path_key(key: str) -> bool:
    """Whether values of a dotted key are paths (`target` of .npy files, too)."""
    source, _, last = key.rpartition(".")
    in_source = source in ("data.train", "data.val", "data.test")
    facts = SOURCES.get(last)
    own = facts is not None and last in facts.paths and not facts.listed
    return key == "init" or (in_source and own)


def inherit(tree: Tree) -> None:
    """Give the sources of val and test the keys of train that they leave out."""
    sources = _sources(tree)
    if not sources or sources[0][0] != ("data", "train"):
        return
    train = sources[0][1]
    kind = source_of(train)
    if kind is None:
        return
    keys = [key for key in train if key not in SOURCES[kind].not_inherited]
    for path, source in sources[1:]:
        others = source.keys() - {kind, *SOURCES[kind].named}  # an .npz calls X its `features`
        if any(source_of({other: source[other]}) for other in others):
            continue
        for key in keys:
            if key == "separator" and _has_tabs(source) != _has_tabs(train):
                continue  # a .tsv file beside a .csv file
            if key not in source:
                source[key] = train[key]
                tree.inherited.add((*path, key))  # a fault of it is train's, and said there


def _has_tabs(source: dict[Any, Any]) -> bool:
    """Whether the name of a table says what stands between its cells: a tab."""
    table = source.get("table", "")
    first = table[0] if isinstance(table, list) and table else table
    return str(first).lower().removesuffix(".gz").endswith(".tsv")


def _sources(tree: Tree) -> list[tuple[Path, dict[Any, Any]]]:
    """Return the sources that are mappings, train first."""
    data = tree.value.get("data")
    if not isinstance(data, dict):
        return []
    found: list[tuple[Path, Any]] = [
        (("data", key), data.get(key)) for key in ("train", "val", "test")
    ]
    several = data.get("test")
    if isinstance(several, list):
        found += [(("data", "test", i), item) for i, item in enumerate(several)]
    return [(path, source) for path, source in found if isinstance(source, dict)]
