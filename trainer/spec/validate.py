"""A tree of plain values to a Spec: pydantic's findings in plain words, at their positions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from trainer.errors import Fault, SpecError
from trainer.spec import words
from trainer.spec.read import Path, Place, Refused, Tree, resolve
from trainer.spec.rules import Broken, broken_rules
from trainer.spec.schema import SOURCES, Block, Expected, Spec
from trainer.spec.write import flow

_NOT_YET = "which this version does not have yet"
_SOURCE_OF_SUFFIX = {
    (".csv", ".csv.gz", ".tsv", ".parquet"): "{{table: {}, target: y}}",
    (".npy",): "{{npy: {}, target: y.npy}}",
    (".npz",): "{{npz: {}, features: X, target: y}}",
}


def validate(tree: Tree) -> Spec:
    """Return the Spec of a tree.

    Raises:
        SpecError: with every fault of the tree, of its keys and values, and of the rules between
            them. A rule that reads a faulty key is left out: it cannot tell.
    """
    faults = list(tree.faults)
    value, bad = tree.value, {path[:2] for path in tree.reported}
    spec = None
    try:
        spec = Spec.model_validate(value)
    except ValidationError as error:
        faults += _Findings(tree).faults(error)
        spec, bad = _mended(value, bad, error)
    if spec is not None:
        for rule in broken_rules(spec):
            if not any(_touches(path, bad) for path in (rule.key, *rule.reads)):
                faults.append(_rule_fault(tree, rule))
    if faults or spec is None:
        raise SpecError(faults)
    return spec


def _mended(value: Any, bad: set[Path], error: ValidationError) -> tuple[Spec | None, set[Path]]:
    """Return the Spec without its faulty keys (at most two levels deep), and these keys.

    Only the rules between keys look at it, so that their faults are reported with the others.
    """
    for _ in range(4):  # a key that goes may leave another alone: each round drops what remains
        for found in error.errors(include_url=False, include_context=False, include_input=False):
            keys = [key for key in found["loc"] if not _is_tag(key)]
            bad = bad | {tuple(keys[:2])}
        value = {key: dict(x) if isinstance(x, dict) else x for key, x in value.items()}
        for path in bad:
            block = value.get(path[0]) if len(path) > 1 else value
            if isinstance(block, dict):
                block.pop(path[-1], None)
            else:
                value.pop(path[0], None)
        value.setdefault("model", "softmax")
        value.setdefault("data", {})
        if isinstance(value["data"], dict):
            value["data"].setdefault("train", "arrays")
        try:
            return Spec.model_validate(value), bad
        except ValidationError as again:
            error = again
    return None, bad


def _touches(dotted: str, bad: set[Path]) -> bool:
    path = tuple(dotted.split("."))
    return any(path[: len(other)] == other[: len(path)] for other in bad)


def _rule_fault(tree: Tree, rule: Broken) -> Fault:
    path = tuple(int(key) if key.isdecimal() else key for key in rule.key.split("."))
    return _fault(tree, path, rule.what)


def _fault(tree: Tree, path: Path, what: str, at_key: bool = False) -> Fault:
    """Return a fault at the value of a path, at its key, or at the key it is missing from."""
    place = tree.places.get(path)
    above = path
    while place is None and above:
        above = above[:-1]
        place = tree.places.get(above)
        at_key = True
    place = place or Place("", "")
    line, column = place.key if at_key else place.value
    return Fault(place.file, line, column, words.dotted(path), what)


def _is_tag(key: Any) -> bool:
    return key == "[key]" or (isinstance(key, str) and key[:1] == "<" and key[-1:] == ">")


# ---------------------------------------------------------------- what pydantic found


class _Findings:
    """The findings of one validation, translated."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree

    def faults(self, error: ValidationError) -> Iterator[Fault]:
        for found in error.errors(include_url=False):
            path, form, value = self._walk(found["loc"])
            if any(path[:n] in self.tree.reported for n in range(len(path) + 1)):
                continue
            kind = found["type"]
            if kind in ("extra_forbidden", "invalid_key"):
                yield _fault(self.tree, path, self._unknown(path, form), at_key=True)
            elif kind == "missing":
                yield _fault(self.tree, path, self._missing(path, form))
            elif kind != "too_short" or not value:
                what = self._wrong(path, form, kind, value, found.get("ctx", {}))
                yield _fault(self.tree, path, what)

    def _walk(self, loc: tuple[int | str, ...]) -> tuple[Path, str, Any]:
        """Return the path in the file, the form of the block it lies in, and the value there."""
        path: Path = ()
        form = inner = ""
        node: Any = self.tree.value
        for step in loc:
            if _is_tag(step):
                inner = str(step)[1:-1]
                continue
            key: Any = step
            if isinstance(node, dict):  # pydantic turns the keys of a mapping into text
                key = next((k for k in node if k == step or str(k) == step), step)
                node = node.get(key)
            elif isinstance(node, list) and isinstance(key, int):
                node = node[key]
            form, inner = inner, ""
            path = (*path, key)
        return path, form, node

    # -------------------------------------------------------- unknown keys

    def _unknown(self, path: Path, form: str) -> str:
        *above, key = path
        here = _keys(tuple(above), form)
        owners = [block.form for block in _blocks(tuple(above)) if key in block.model_fields]
        if form and owners:
            what = f"{key} belongs to {words.one_of(owners, 'and')}, not {form}"
            return f"{what}; {_other_word(path, here) or self._leftover(path)}"
        if not isinstance(key, str):
            return f"unknown key; the keys here are {words.one_of(here, 'and')}"
        return f"unknown key; {_other_word(path, here) or _near(path, here)}"

    def _leftover(self, path: Path) -> str:
        """Say how to drop a key of another form; from an override, that is not in its hands."""
        above = path[:-1]
        files = {place.file for at, place in self.tree.places.items() if at[: len(above)] == above}
        if len(files) > 1:
            block = words.dotted(above)
            return f"remove it from the file, or set the block whole: '{block}={{...}}'"
        return "remove it"

    # -------------------------------------------------------- missing keys, wrong values

    def _missing(self, path: Path, form: str) -> str:
        field = _field(path, form)
        takes = _takes(field) or "a mapping"
        return f"missing; write {takes}, for example {path[-1]}: {_example(field)}"

    def _wrong(self, path: Path, form: str, kind: str, value: Any, context: dict[str, Any]) -> str:
        field = _field(path, form)
        place = self.tree.places.get(path)
        got = words.show(value)
        if place and place.text is not None and not isinstance(value, str):
            got = place.text[:60] or "nothing"
        if kind == "union_tag_not_found" and isinstance(value, dict):
            has = words.one_of([words.show_key(key) for key in value] or ["none"], "and")
            source = f"one of the keys {words.one_of(SOURCES)}, got {has}"
            return f"expected {source}; for example {{table: a.csv, target: y}}"
        if kind == "too_short":
            return f"expected at least one item, got none; for example {_example(field)}"
        if kind in ("tuple_type", "list_type"):
            example = flow([value]) if isinstance(value, (str, int, float)) else _example(field)
            return f"expected a list, got {got}; for example {example}"
        takes = context.get("expected") or "a mapping of keys"
        choices = context.get("choices", ())
        right = _right(path, value, takes, choices) or f"for example {_example(field)}"
        return f"expected {takes}, got {got}; {right}"


def _right(path: Path, value: Any, takes: str, choices: tuple[str, ...]) -> str | None:
    """Return what was probably meant by a value, or None."""
    if isinstance(value, str):
        if (word := words.SWITCHES.get(value.lower())) and "true or false" in takes:
            return f"write {word}"
        if word := words.VALUES.get(str(path[-1]), {}).get(value):
            return f"did you mean {word}?" if word in choices else f"{word} is meant, {_NOT_YET}"
        if "{table:" in takes:
            for suffixes, source in _SOURCE_OF_SUFFIX.items():
                if value.lower().endswith(suffixes):
                    return f"write {source.format(flow(value))}"
        if word := words.nearest(value, choices):
            return f"did you mean {word}?"
        if "number" in takes and _is_number(value):
            return "write it without quotes"
    if isinstance(value, float) and takes.startswith("a whole number") and value.is_integer():
        return f"write {int(value)}" if 1 <= value < 2**63 else None
    if isinstance(value, (bool, int, float)) and takes.startswith(("text", "a name", "the path")):
        return "quotes make it text"
    return None


def _is_number(text: str) -> bool:
    try:
        return isinstance(resolve(text), (int, float))
    except Refused:
        return False


# ---------------------------------------------------------------- what the schema knows


def _blocks(path: Path) -> list[type[Block]]:
    """Return the forms that the mapping at a path may take."""
    blocks: list[type[Block]] = [Spec]
    for key in path:
        if isinstance(key, int):  # an item of a list: its forms are among those of the list
            continue
        fields = [block.model_fields[key] for block in blocks if key in block.model_fields]
        blocks = list(dict.fromkeys(b for field in fields for b in _inner(field.annotation)))
    return blocks


def _inner(annotation: Any) -> Iterator[type[Block]]:
    if isinstance(annotation, type) and issubclass(annotation, Block):
        yield annotation
    for argument in get_args(annotation):
        yield from _inner(argument)


def _keys(path: Path, form: str) -> list[str]:
    blocks = [block for block in _blocks(path) if block.form == form]
    return list(dict.fromkeys(key for block in blocks for key in block.model_fields))


def _field(path: Path, form: str) -> FieldInfo | None:
    above = path[:-1]
    blocks = sorted(_blocks(above), key=lambda block: block.form != form)
    found = (block.model_fields[path[-1]] for block in blocks if path[-1] in block.model_fields)
    return next(found, None)


def _takes(field: FieldInfo | None) -> str:
    metadata = field.metadata if field else []
    return next((item.words for item in metadata if isinstance(item, Expected)), "")


def _example(field: FieldInfo | None) -> str:
    if field is None:
        return "1"
    return flow(field.examples[0] if field.examples else field.default)


def _all_paths(path: Path = ()) -> Iterator[str]:
    """Yield the dotted path of every key of the schema that is not inside a list."""
    for block in _blocks(path):
        for key in block.model_fields:
            yield words.dotted((*path, key))
            yield from _all_paths((*path, key))


def _other_word(path: Path, here: list[str]) -> str | None:
    """Propose our key for another tool's."""
    *above, key = path
    if not isinstance(key, str) or key not in words.KEYS:
        return None
    known = set(_all_paths())
    ours = []
    for word in words.KEYS[key]:
        last = word.rpartition(".")[2]
        ours.append(words.dotted((*above, last)) if last in here else word)
    meant = f"did you mean {words.one_of(ours, 'and')}"
    if key == "logspace":
        meant += " (numpy's logspace takes exponents)"
    return f"{meant}?" if known.issuperset(ours) else f"{meant}, {_NOT_YET}?"


def _near(path: Path, here: list[str]) -> str:
    """Propose the key of the nearest spelling, here or elsewhere, or list those there are."""
    *above, key = path
    elsewhere = list(dict.fromkeys(p for p in _all_paths() if p.rpartition(".")[2] == key))
    if 0 < len(elsewhere) <= 3:
        return f"did you mean {words.one_of(elsewhere)}?"
    if meant := words.nearest(key, here):
        return f"did you mean {words.dotted((*above, meant))}?"
    return f"the keys here are {words.one_of(here, 'and')}"
