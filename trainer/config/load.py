"""From a file, or a mapping, and overrides to a Spec, with all faults at once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from trainer.config.schema.spec import Spec
from trainer.config.sweep.expand import expand
from trainer.config.yaml.mapping import from_mapping
from trainer.config.yaml.read import read_yaml
from trainer.config.yaml.read_file import read_text
from trainer.config.yaml.resolved import written
from trainer.config.yaml.scalars import Path, Refused, resolve
from trainer.config.yaml.tree import MAX_DEPTH, Place, Tree
from trainer.errors import Fault, SpecError
from trainer.text import printable


def load_spec(
    source: str | os.PathLike[str] | Mapping[str, Any], overrides: Sequence[str] = ()
) -> Spec:
    """Return the validated spec of a YAML file or of a mapping with the same keys.

    Paths are made absolute: those of a file are relative to its folder, those of a mapping or an
    override to the current one; `~` is the home folder. Keys that a source of val or test leaves
    out are taken from train, if both are of one kind (not `target` and `weight` of .npy files:
    they hold one row per row of their own X).

    A sweep is expanded: `Spec.trials` has a spec for each of its trials, and the spec itself is
    that of the first, with what belongs to the whole run.

    Args:
        source: the path of a YAML file, or a mapping.
        overrides: `key=value` with a dotted key and a value in YAML, set in this order; the last
            wins. A mapping as the value replaces the whole block. `key=a,b` makes an axis of a
            sweep, and a value for a swept key takes its axis away.

    Raises:
        SpecError: all faults, each with the file, line and column, key, and what would be right.
        UserError: the file is missing or cannot be read.
    """
    if not isinstance(source, (str, os.PathLike, Mapping)):
        what = f"expected the path of a YAML file or a mapping, got {printable.show_value(source)}"
        raise SpecError([Fault("", 0, 0, "spec", what)])
    if isinstance(overrides, (str, Mapping)):
        got = printable.show_value(overrides)
        what = f"expected a list of key=value, got {got}; for example ['optimizer.lr=0.1']"
        raise SpecError([Fault("", 0, 0, "overrides", what)])
    if isinstance(source, Mapping):
        tree = from_mapping(source, os.getcwd())
        text = None
    else:
        file = os.fspath(source)
        text = read_text(file)
        folder = os.path.dirname(os.path.abspath(file))
        tree = read_yaml(text, printable.one_line(file), folder)
        _check_top(tree, printable.one_line(file))
        tree.value.setdefault("name", _name(file))
    notes = [note for override in overrides for note in _override(tree, override)]
    spec, expansion = expand(tree)
    expansion = replace(expansion, notes=(*notes, *expansion.notes))
    if spec.sweep is not None or tree.value.get("vars"):
        expansion = replace(expansion, tree=written(tree, spec, expansion.axes))
    return spec.with_expansion(expansion).with_source_text(text)


def _check_top(tree: Tree, file: str) -> None:
    """Raise what makes all else meaningless: nothing could be read, or it is no mapping."""
    smallest = "the smallest is {model: softmax, data: {train: digits}}"
    if tree.value is None and not tree.faults:
        tree.faults.append(Fault(file, 1, 1, "(file)", f"it is empty; {smallest}"))
    elif tree.value is not None and not isinstance(tree.value, dict):
        line, column = tree.places[()].value
        got = printable.show_value(tree.value)
        what = f"expected a mapping of keys, got {got}; {smallest}"
        tree.faults.append(Fault(file, line, column, "(file)", what))
    if not isinstance(tree.value, dict):
        raise SpecError(tree.faults)


def _name(file: str) -> str:
    """Return the stem of a file as a name that a folder can have."""
    stem = re.sub(r"[/\\\x00-\x1f\x7f\ud800-\udfff]", "-", FilePath(file).stem)[:100]
    return stem if stem.strip(".") else "run"


# ---------------------------------------------------------------- overrides


def _override(tree: Tree, override: str) -> list[str]:
    """Set `key=value` in a tree; return what is to be said of it."""
    shown = printable.one_line(override)
    shown = shown if len(shown) <= 100 else shown[:97] + "..."
    key, equals, text = override.partition("=")
    key = key.strip()
    keys = _split(key)
    if not equals or "" in keys:
        what = "not an override; write key=value, for example optimizer.lr=0.1"
        tree.faults.append(Fault(shown, 0, 0, "(override)", what))
        return []
    if len(keys) > MAX_DEPTH:
        what = f"nested over {MAX_DEPTH} levels deep; the deepest key is at level 4"
        tree.faults.append(Fault(shown, 0, 0, "(override)", what))
        return []
    is_axis = _has_comma(text)
    if is_axis:
        keys, text = (*_AXES, key), f"[{text}]"
    read = read_yaml(text, shown, os.getcwd(), at=keys, position=False)
    tree.faults += read.faults
    tree.reported |= read.reported | ({keys} if read.value is None and read.faults else set())
    if is_axis:
        return _add_axis(tree, key, read, shown)
    notes = _without_axis(tree, key)
    block = _block(tree, keys, shown)
    if block is None:
        return notes
    block[keys[-1]] = read.value
    _take_places(tree, read, keys, shown)
    return notes


_AXES = ("sweep", "parameters")


def _split(key: str) -> Path:
    """The path of an override; an axis of sweep.parameters is one dotted key."""
    start = ".".join(_AXES) + "."
    if key.startswith(start) and len(key) > len(start):
        return (*_AXES, key[len(start) :])
    return tuple(_key(part) for part in key.split("."))


def _has_comma(text: str) -> bool:
    """Whether a value has a comma outside brackets and quotes: then it is several."""
    depth, quote = 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        elif letter == "," and depth == 0:
            return True
    return False


def _take_places(tree: Tree, read: Tree, keys: Path, shown: str) -> None:
    for path in [path for path in tree.places if path[: len(keys)] == keys]:
        del tree.places[path]
    tree.places |= read.places
    tree.places.setdefault(keys, Place(shown, os.getcwd(), text=""))


def _add_axis(tree: Tree, key: str, read: Tree, shown: str) -> list[str]:
    """Make `key` an axis of every block of the sweep, in the place of one it has."""
    sweep = tree.value.get("sweep", "none")
    if not isinstance(sweep, dict):
        sweep = {}
        tree.places[("sweep",)] = Place(shown, os.getcwd())
    sweep = tree.value["sweep"] = dict(sweep)
    blocks = sweep.get("parameters", "none")
    if not isinstance(blocks, dict | list):
        blocks = {}
        tree.places[_AXES] = Place(shown, os.getcwd())
    sweep["parameters"] = blocks
    for i, block in enumerate(blocks if isinstance(blocks, list) else [blocks]):
        if isinstance(block, dict):
            block[key] = list(read.value) if isinstance(read.value, list) else read.value
            at = (*_AXES, i, key) if isinstance(blocks, list) else (*_AXES, key)
            moved = {(*at, *path[3:]): place for path, place in read.places.items()}
            _take_places(tree, Tree(places=moved), at, shown)
    return []


def _without_axis(tree: Tree, key: str) -> list[str]:
    """Take away the axis of a key that is set; say so."""
    sweep = tree.value.get("sweep")
    if not isinstance(sweep, dict):
        return []
    written = sweep.get("parameters")
    blocks = written if isinstance(written, list) else [written]
    rows = sweep.get("zip")
    zipped = rows if isinstance(rows, list) else []
    found = False
    for block in [*blocks, *zipped]:
        if isinstance(block, dict) and key in block:
            del block[key]
            found = True
    if not found:
        return []
    sweep["zip"] = [together for together in zipped if together != {}]
    if not sweep["zip"]:
        del sweep["zip"]
    if "zip" not in sweep and not any(blocks):
        del tree.value["sweep"]
        return [f"{key} is set, so its axis is gone, and with it the sweep"]
    return [f"{key} is set, so its axis is gone"]


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
            name = printable.dotted(path)
            what = (
                f"is {printable.show_value(inner)} and has no keys; set it whole: '{name}={{...}}'"
            )
            tree.faults.append(Fault(shown, 0, 0, name, what))
            return None
        block[key] = inner
        block = inner
    return block
