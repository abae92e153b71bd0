"""From a file, or a mapping, and overrides to a Spec, with all faults at once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from trainer.errors import Fault, SpecError
from trainer.spec import words
from trainer.spec.file import read_text
from trainer.spec.plain import from_mapping
from trainer.spec.read import read_yaml
from trainer.spec.scalars import Refused, resolve
from trainer.spec.schema import SOURCES, Spec
from trainer.spec.tree import Path, Place, Tree
from trainer.spec.validate import validate


def load_spec(
    source: str | os.PathLike[str] | Mapping[str, Any], overrides: Sequence[str] = ()
) -> Spec:
    """Return the validated spec of a YAML file or of a mapping with the same keys.

    Paths are made absolute: those of a file are relative to its folder, those of a mapping or an
    override to the current one; `~` is the home folder. Keys that a source of val or test leaves
    out are taken from train, if both are of one kind (not `target` and `weight` of .npy files:
    they hold one row per row of their own X).

    Args:
        source: the path of a YAML file, or a mapping.
        overrides: `key=value` with a dotted key and a value in YAML, set in this order; the last
            wins. A mapping as the value replaces the whole block.

    Raises:
        SpecError: all faults, each with the file, line and column, key, and what would be right.
        UserError: the file is missing or cannot be read.
    """
    if not isinstance(source, (str, os.PathLike, Mapping)):
        what = f"expected the path of a YAML file or a mapping, got {words.show(source)}"
        raise SpecError([Fault("", 0, 0, "spec", what)])
    if isinstance(source, Mapping):
        tree = from_mapping(source, os.getcwd())
        text = None
    else:
        file = os.fspath(source)
        text = read_text(file)
        folder = os.path.dirname(os.path.abspath(file))
        tree = read_yaml(text, words.printable(file), folder)
        _check_top(tree, words.printable(file))
        tree.value.setdefault("name", _name(file))
    for override in overrides:
        _override(tree, override)
    _make_paths_absolute(tree)
    _inherit(tree)
    spec = validate(tree)
    spec._source_text = text
    return spec


def _check_top(tree: Tree, file: str) -> None:
    """Raise what makes all else meaningless: nothing could be read, or it is no mapping."""
    smallest = "the smallest is {model: softmax, data: {train: digits}}"
    if tree.value is None and not tree.faults:
        tree.faults.append(Fault(file, 1, 1, "(file)", f"it is empty; {smallest}"))
    elif tree.value is not None and not isinstance(tree.value, dict):
        line, column = tree.places[()].value
        got = words.show(tree.value)
        what = f"expected a mapping of keys, got {got}; {smallest}"
        tree.faults.append(Fault(file, line, column, "(file)", what))
    if not isinstance(tree.value, dict):
        raise SpecError(tree.faults)


def _name(file: str) -> str:
    """Return the stem of a file as a name that a folder can have."""
    stem = re.sub(r"[/\\\x00-\x1f\x7f\ud800-\udfff]", "-", FilePath(file).stem)[:100]
    return stem if stem.strip(".") else "run"


# ---------------------------------------------------------------- overrides


def _override(tree: Tree, override: str) -> None:
    """Set `key=value` in a tree."""
    shown = words.printable(override)
    shown = shown if len(shown) <= 100 else shown[:97] + "..."
    key, equals, text = override.partition("=")
    keys = tuple(_key(part) for part in key.strip().split("."))
    if not equals or "" in keys:
        what = "not an override; write key=value, for example optimizer.lr=0.1"
        tree.faults.append(Fault(shown, 0, 0, "(override)", what))
        return
    read = read_yaml(text, shown, os.getcwd(), at=keys, position=False)
    tree.faults += read.faults
    tree.reported |= read.reported | ({keys} if read.value is None and read.faults else set())
    block = _block(tree, keys, shown)
    if block is None:
        return
    block[keys[-1]] = read.value
    for path in [path for path in tree.places if path[: len(keys)] == keys]:
        del tree.places[path]
    tree.places |= read.places
    tree.places.setdefault(keys, Place(shown, os.getcwd(), text=""))


def _key(part: str) -> Any:
    """Read one part of a dotted key as YAML would: a label may be a number."""
    try:
        key = resolve(part)
    except Refused:
        return part
    return part if key is None else key


def _block(tree: Tree, keys: Path, shown: str) -> dict[Any, Any] | None:
    """Return the mapping that an override sets a key in, made where it is absent."""
    block: dict[Any, Any] = tree.value
    for depth, key in enumerate(keys[:-1], start=1):
        path = keys[:depth]
        inner = block.get(key, "none")
        if inner == "none" or inner is None:
            inner = {}
            tree.places[path] = Place(shown, os.getcwd())
        if not isinstance(inner, dict):
            name = words.dotted(path)
            what = f"is {words.show(inner)} and has no keys; set it whole: '{name}={{...}}'"
            tree.faults.append(Fault(shown, 0, 0, name, what))
            return None
        block[key] = inner
        block = inner
    return block


# ---------------------------------------------------------------- paths, and keys taken from train


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


def _make_paths_absolute(tree: Tree) -> None:
    for path, source in _sources(tree):
        keys = ("npy", "target", "weight") if "npy" in source else ("table", "npz", "libsvm")
        for key in keys:
            _make_absolute(tree, source, (*path, key))
    _make_absolute(tree, tree.value, ("init",))


def _make_absolute(tree: Tree, block: dict[Any, Any], path: Path) -> None:
    value = block.get(path[-1])
    if isinstance(value, str) and value not in ("", "none", "zeros") and "\x00" not in value:
        folder = tree.places[path].folder
        block[path[-1]] = os.path.abspath(os.path.join(folder, os.path.expanduser(value)))


def _inherit(tree: Tree) -> None:
    """Give the sources of val and test the keys of train that they leave out."""
    sources = _sources(tree)
    if not sources or sources[0][0] != ("data", "train"):
        return
    train = sources[0][1]
    kind = next((kind for kind in SOURCES if kind in train), None)
    if kind is None or kind == "synthetic":
        return
    keys = [key for key in train if not (kind == "npy" and key in ("target", "weight"))]
    for path, source in sources[1:]:
        if any(other in source for other in SOURCES if other != kind):
            continue
        for key in keys:
            if key not in source:
                source[key] = train[key]
                tree.inherited.add((*path, key))  # a fault of it is train's, and said there
