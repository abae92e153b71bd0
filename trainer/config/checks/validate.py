"""A tree of plain values to a Spec: pydantic's findings in plain words, at their positions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from trainer.catalog import OPTIMIZERS, SOURCES
from trainer.config.checks import fault_messages
from trainer.config.checks.rules import broken_rules
from trainer.config.schema.spec import Spec
from trainer.config.yaml.scalars import Path
from trainer.config.yaml.tree import Tree, fault_at
from trainer.config.yaml.write import flow
from trainer.errors import Fault, SpecError
from trainer.text.printable import dotted
from trainer.text.windows import quoted


def validate(tree: Tree) -> Spec:
    """Return the Spec of a tree.

    Raises:
        SpecError: with every fault of the tree, of its keys and values, and of the rules between
            them. A rule that reads a faulty key is left out: it cannot tell.
    """
    faults = list(tree.faults)
    bad = {path[:2] for path in tree.reported}
    spec: Spec | None = None
    try:
        spec = Spec.model_validate(tree.value)
    except ValidationError as error:
        faults += _findings(tree, error)
        spec, bad = _without_faults(tree.value, bad, error)
    for rule in broken_rules(spec) if spec is not None else ():
        path = _parse(rule.key)
        reads = [path, *map(_parse, rule.reads)]
        if path not in tree.inherited and not any(_touches(read, bad) for read in reads):
            faults.append(fault_at(tree, path, rule.what))
    if faults or spec is None:
        raise SpecError(faults)
    return spec


def _without_faults(
    value: dict[Any, Any], bad: set[Path], error: ValidationError
) -> tuple[Spec | None, set[Path]]:
    """Return the Spec without its faulty keys (cut at the second level), and these keys.

    Only the rules between keys look at it, so that their faults are reported with the others.
    """
    for _ in range(4):  # a key that goes may leave another alone: each round drops what remains
        for found in error.errors(include_url=False, include_context=False, include_input=False):
            bad = bad | {_locate(value, found["loc"], found["type"])[0][:2]}
        value = {key: dict(x) if isinstance(x, dict) else x for key, x in value.items()}
        for path in bad:
            block = value.get(path[0]) if len(path) == 2 else value
            if isinstance(block, dict):
                block.pop(path[-1], None)
            else:
                value.pop(path[0], None)
        value.setdefault("model", "softmax")
        value.setdefault("data", {}).setdefault("train", "arrays")
        try:
            return Spec.model_validate(value), bad
        except ValidationError as again:
            error = again
    return None, bad


def _parse(key: str) -> Path:
    return tuple(int(part) if part.isdecimal() else part for part in key.split("."))


def _touches(path: Path, bad: set[Path]) -> bool:
    return any(path[: len(other)] == other[: len(path)] for other in bad)


# ---------------------------------------------------------------- what pydantic found


def _findings(tree: Tree, error: ValidationError) -> Iterator[Fault]:
    said = tree.reported | tree.inherited
    for found in error.errors(include_url=False):
        kind = found["type"]
        path, form, value = _locate(tree.value, found["loc"], kind)
        if any(path[:n] in said for n in range(len(path) + 1)):
            continue
        if kind in ("extra_forbidden", "invalid_key") or _is_no_text(path[-1]):
            if not _name_is_unknown(tree, path):
                what = fault_messages.unknown(path, form, _cure(tree, path))
                yield fault_at(tree, path, what, at_key=True)
        elif kind == "missing":
            yield fault_at(tree, path, fault_messages.missing(path, form))
        elif kind != "too_short" or not value:  # else too short only for want of valid items
            place = tree.places.get(path)
            written = place.text if place else None
            what = fault_messages.wrong(path, form, kind, value, written, found.get("ctx", {}))
            yield fault_at(tree, path, what)


def _locate(value: Any, loc: tuple[int | str, ...], kind: str) -> tuple[Path, str, Any]:
    """Return pydantic's location as a path, the form of the block it is in, and the value there.

    A tag of a union is no part of the path. A key of the user's may look like one, but then it is
    the first of all, it follows a tag, or it is the last and the very key that is at fault.
    """
    path: Path = ()
    form = inner = ""
    for i, step in enumerate(loc):
        at_fault = kind in ("extra_forbidden", "invalid_key", "missing") and i == len(loc) - 1
        if i > 0 and not inner and not at_fault and _looks_like_a_tag(step):
            inner = str(step)[1:-1]
            continue
        key: Any = step
        if isinstance(value, dict):  # pydantic turns the keys of a mapping into text
            key = next((k for k in value if k == step or str(k) == step), step)
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int):
            value = value[key]
        path, form, inner = (*path, key), inner, ""
    if kind == "string_unicode" and isinstance(value, dict):
        key = next(key for key in value if _is_no_text(key))
        return (*path, key), inner, value[key]
    return path, form, value


def _is_no_text(key: Any) -> bool:
    """Whether a key has half a letter: a byte of a command line that was not UTF-8."""
    return isinstance(key, str) and any("\ud800" <= letter <= "\udfff" for letter in key)


def _looks_like_a_tag(step: int | str) -> bool:
    return isinstance(step, str) and (step == "[key]" or step[:1] + step[-1:] == "<>")


def _name_is_unknown(tree: Tree, path: Path) -> bool:
    """Tell a key of some optimizer under a name that is itself a fault: nothing to add."""
    if path[:-1] != ("optimizer",) or not fault_messages.owners(path):
        return False
    name = tree.value["optimizer"].get("name", "sgd")
    return not isinstance(name, str) or name not in OPTIMIZERS


def _cure(tree: Tree, path: Path) -> str:
    """Say how to drop a key of another form; an override that chose the form cannot remove it."""
    *above, _ = path
    block = tree.value
    for key in above:
        block = block[key]
    for key in ("name", "C", "alpha", *SOURCES):
        chosen = tree.places.get((*above, key))
        if chosen and key in block and chosen.file != tree.places[path].file:
            whole = f"{dotted(above)}={flow({key: block[key]})}"
            return f"remove it, or set the block whole: {quoted(whole)}"
    return "remove it"
