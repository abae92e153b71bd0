"""What is wrong with a key or a value, and what would be right, from what the schema knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from trainer.catalog import SOURCES
from trainer.config.checks import aliases
from trainer.config.schema.fields import Block, Expected
from trainer.config.schema.spec import Spec
from trainer.config.schema.sweep import SHOTS
from trainer.config.yaml.scalars import LARGEST_INTEGER, Path, Refused, resolve
from trainer.config.yaml.write import flow
from trainer.text import printable, suggest

_SHORT = 60  # characters of a text that a proposal repeats
_LONGEST_PATH = 300
_MAPPING = "a mapping of keys"
_NOT_YET = "which this version does not have yet"


def unknown(path: Path, form: str, cure: str) -> str:
    """Explain a key that its block, in the form given, does not have; `cure` drops it."""
    key, here = path[-1], _keys(path[:-1], form)
    if path[:-1] == ("sweep",) and key in known_paths() and "." in str(key):
        return f"unknown key; axes stand in parameters: {{{key}: […]}}"
    if forms := owners(path):
        belongs = f"{key} belongs to {printable.one_of(forms, 'and')}, not {form}"
        return f"{belongs}; {_our_word(path, here) or cure}"
    meant = (_our_word(path, here) or _near(path, here)) if isinstance(key, str) else None
    return f"unknown key; {meant or 'the keys here are ' + printable.one_of(here, 'and')}"


def paths_called(word: str) -> list[str]:
    """The dotted paths that a word may stand for: a path, its last key, or another tool's word."""
    known = known_paths()
    ours = [path for path in _our_words(word) if path in known]
    return [word] if word in known else _called(word) or ours


def unknown_path(key: str) -> str:
    """Explain a swept key that the schema does not have."""
    last = key.rpartition(".")[2]
    ours = [word for word in _our_words(last) if word in known_paths()]
    if ours:
        return f"no such key; did you mean {printable.one_of(ours, 'and')}?"
    same = _called(last)
    if 0 < len(same) <= 3:
        return f"no such key; did you mean {printable.one_of(same)}?"
    meant = suggest.nearest(key, known_paths()) or _nearest_last(last)
    return f"no such key; {f'did you mean {meant}?' if meant else 'for example optimizer.lr'}"


def _nearest_last(last: str) -> str | None:
    by_last = {known.rpartition(".")[2]: known for known in reversed(known_paths())}
    meant = suggest.nearest(last, list(by_last))
    return by_last[meant] if meant else None


def missing(path: Path, form: str) -> str:
    """Explain a key that must be there."""
    field = _field(path, form)
    return f"missing; write {_takes(field)}, for example {path[-1]}: {_example(field)}"


def wrong(
    path: Path, form: str, kind: str, value: Any, written: str | None, context: Mapping[str, Any]
) -> str:
    """Explain a value that its key does not take.

    Args:
        path: of the key.
        form: of the block it is in.
        kind: of the error, in pydantic's words.
        value: what was read.
        written: the value as it stands in the file, if a plain scalar.
        context: `expected` and `choices`, where the schema says them.
    """
    field = _field(path, form)
    got = printable.show_value(value)
    if written is not None and not isinstance(value, str):
        got = written[:60] or "nothing"
    if kind == "union_tag_not_found":  # a mapping without the key that tells what source it is
        keys = printable.one_of([printable.show_key(key) for key in value] or ["none"], "and")
        takes = f"one of the keys {printable.one_of(tuple(SOURCES))}"
        return f"expected {takes}, got {keys}; for example {{table: a.csv, target: y}}"
    if kind == "too_short":
        return f"expected at least one item, got none; for example {_example(field)}"
    if kind in ("tuple_type", "list_type"):
        one = isinstance(value, (int, float)) or (isinstance(value, str) and len(value) <= _SHORT)
        return (
            f"expected a list, got {got}; for example {flow([value]) if one else _example(field)}"
        )
    if isinstance(value, str) and (why := aliases.REFUSED.get(str(path[-1]), {}).get(value)):
        return f"{printable.show_value(value)} is not to be had: {why}"
    takes = context.get("expected") or _takes(field)
    choices = context.get("choices", ())
    instead = _instead(path, value if isinstance(value, str) else got)
    right = instead or _meant(path, value, takes, choices)
    if takes == _MAPPING:
        right = right or _as_mapping(path, value)
    is_nothing = value in (None, False, 0, "") and not instead
    is_nothing = is_nothing and printable.dotted(path[:3]) not in SHOTS  # draws of no rows
    if is_nothing and ("none" in choices or _is_absent_by_default(field)):
        right = "write none"
    return f"expected {takes}, got {got}; {right or f'for example {_example(field)}'}"


def owners(path: Path) -> list[str]:
    """Return the forms of the block around a key that have it."""
    return [block.form for block in _blocks(path[:-1]) if path[-1] in block.model_fields]


# ---------------------------------------------------------------- what was meant


def _our_word(path: Path, here: list[str]) -> str | None:
    """Propose our key for another tool's."""
    *above, key = path
    if key in aliases.NAMES and "name" in here:
        return f"did you mean {printable.dotted((*above, 'name'))}?"
    words = _our_words(key)
    if not words:
        return None
    ours = []
    for word in words:
        last = word.rpartition(".")[2]
        is_here = last in here and last != "name"  # many blocks have a name of their own
        ours.append(printable.dotted((*above, last)) if is_here else word)
    meant = f"did you mean {printable.one_of(ours, 'and')}"
    if key == "logspace":
        meant += " (numpy's logspace takes exponents)"
    return f"{meant}?" if {*known_paths(), *here}.issuperset(words) else f"{meant}, {_NOT_YET}?"


def _near(path: Path, here: list[str]) -> str | None:
    """Propose the same key elsewhere, or the nearest spelling here."""
    *above, key = path
    elsewhere = [] if key in aliases.NAMES else _called(key)
    if 0 < len(elsewhere) <= 3 and not any(_alike(key, word) for word in here):
        return f"did you mean {printable.one_of(elsewhere)}?"
    nearest = suggest.nearest(key, here)
    return f"did you mean {printable.dotted((*above, nearest))}?" if nearest else None


def _our_words(key: Any) -> tuple[str, ...]:
    """Our keys for another tool's; none for a key that is not among them."""
    if key in aliases.KEYS:
        return aliases.KEYS[key]
    return next((ours for word, ours in aliases.KEYS.items() if _alike(word, key)), ())


def _called(key: Any) -> list[str]:
    """The paths whose last key is this, or is spelled alike."""
    lasts = [(known, known.rpartition(".")[2]) for known in known_paths()]
    same = [known for known, last in lasts if last == key]
    return same or [known for known, last in lasts if _alike(last, key)]


def _alike(word: str, key: Any) -> bool:
    return aliases.folded(word) == aliases.folded(key)


def _as_mapping(path: Path, value: Any) -> str | None:
    """Propose the mapping that a single value was meant for."""
    if path == ("penalty",) and isinstance(value, int | float | None) and value is not True:
        return f"write {flow({'l2': value or 0})}"  # false and null are none
    if not isinstance(value, str) or value == "none":
        return None
    for block in _blocks(path):
        for key, field in block.model_fields.items():
            if (word := value.lower()) in _choices(field):
                return f"write {flow({key: word})}"
    return None


def _instead(path: Path, word: str) -> str | None:
    """What is known to be right in place of a value."""
    right = aliases.WRITE.get(str(path[-1]), {}).get(aliases.folded(word))
    return right and f"write {right}"


def _meant(path: Path, value: Any, takes: str, choices: tuple[str, ...]) -> str | None:
    """Propose the value that was probably meant."""
    if isinstance(value, str):
        return _meant_by_text(path, value, takes, choices)
    if "{table:" in takes and value and all(isinstance(v, str) for v in _items(value)):
        return _meant_source(_items(value)[0], flow(value)) if len(str(value)) <= _SHORT else None
    scalar = isinstance(value, (bool, int, float))
    if takes == "text" or (scalar and takes.startswith(("a name", "the path"))):
        return "quotes make it text"
    if isinstance(value, float) and value.is_integer() and "whole number" in takes:
        return f"write {int(value)}" if 0 < value < LARGEST_INTEGER else None
    return None


def _meant_by_text(path: Path, text: str, takes: str, choices: tuple[str, ...]) -> str | None:
    if "true or false" in takes and text.lower() in aliases.SWITCHES:
        return f"write {aliases.SWITCHES[text.lower()]}"
    if text.lower() == "none" and takes.startswith(("a number from 0", "a whole number from 0")):
        return "write 0"
    if word := aliases.VALUES.get(str(path[-1]), {}).get(text):
        return f"did you mean {word}" + ("?" if word in choices else f", {_NOT_YET}?")
    a_path = "{table:" in takes and len(text) <= _LONGEST_PATH
    if a_path and (right := _meant_source(text, flow(text))):
        return right
    if word := suggest.nearest(text, choices):
        return f"did you mean {word}?"
    if "number" in takes and _is_number(text):
        return "write it without quotes"
    return None


def _items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else (None,)


def _meant_source(file: str, shown: str) -> str | None:
    """Propose the source of a file, or of several that end like it."""
    for source in SOURCES.values():
        if file.lower().endswith(source.suffixes):
            return f"write {source.example.format(file=shown)}"
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
        inner = [part for field in fields for part in _parts(field.annotation)]
        blocks = [part for part in dict.fromkeys(inner) if _is_block(part)]
    return blocks


def _is_block(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, Block)


def _parts(annotation: Any) -> list[Any]:
    """Return a type and all that it is made of, markers included."""
    inner = [part for argument in get_args(annotation) for part in _parts(argument)]
    return [annotation, *inner]


def _keys(path: Path, form: str) -> list[str]:
    blocks = [block for block in _blocks(path) if block.form == form]
    return list(dict.fromkeys(key for block in blocks for key in block.model_fields))


def _field(path: Path, form: str) -> FieldInfo | None:
    *above, key = path
    blocks = sorted(_blocks(tuple(above)), key=lambda block: block.form != form)
    return next((b.model_fields[key] for b in blocks if key in b.model_fields), None)


def _takes(field: FieldInfo | None) -> str:
    """Return what a key takes, in words."""
    if field is None:
        return "a value"
    for part in (*field.metadata, *_parts(field.annotation)):
        if isinstance(part, Expected):
            return part.phrase(field.annotation)
    return _MAPPING


def _choices(field: FieldInfo) -> tuple[str, ...]:
    """The words that a key takes."""
    found = (*field.metadata, *_parts(field.annotation))
    words = [word for part in found if isinstance(part, Expected) for word in part.choices]
    return (
        *words,
        *(word for part in found if get_origin(part) is Literal for word in get_args(part)),
    )


def _is_absent_by_default(field: FieldInfo | None) -> bool:
    return field is not None and not field.is_required() and field.default is None


def _example(field: FieldInfo | None) -> str:
    if field is None:  # a weight of class_weight is the only value without a key of its own
        return "1"
    return flow(field.examples[0] if field.examples else field.default)


@cache
def known_paths(path: Path = ()) -> list[str]:
    """Return the dotted paths of all keys of the schema."""
    paths: dict[str, None] = {}
    for key in (key for block in _blocks(path) for key in block.model_fields):
        paths[printable.dotted((*path, key))] = None
        paths |= dict.fromkeys(known_paths((*path, key)))
    return list(paths)
