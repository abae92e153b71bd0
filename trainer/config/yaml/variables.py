"""`${name}` in the strings of a spec."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from trainer.config.yaml.scalars import Path
from trainer.text.printable import one_of, show_value
from trainer.text.suggest import nearest

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_NOT_IN = ("sweep", "vars", "select")


class Unfit(Exception):
    """A reference that cannot be replaced."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(what)
        self.path, self.what = path, what


class LetterRoom:
    """What is left of the letters that the variables of a spec may make: one may stand often."""

    def __init__(self, letters: int) -> None:
        self.letters = letters

    def take(self, word: str, path: Path) -> str:
        """Give a word back, if there is room for it.

        Raises:
            Unfit: there is none.
        """
        self.letters -= len(word)
        if self.letters < 0:
            raise Unfit(path, "its variables make far too many letters; write shorter ones")
        return word


def substitute(
    value: dict[Any, Any], variables: Mapping[str, Any], room: LetterRoom
) -> dict[Any, Any]:
    """A spec's tree with its references replaced; what has none is shared, not copied.

    Args:
        value: the tree.
        variables: by name.
        room: for their letters; what they take is taken off.

    Raises:
        Unfit: a name that `vars` lacks, or more letters than there is room for.
    """
    return {
        key: item if key in _NOT_IN else _replaced(item, (key,), variables, room)
        for key, item in value.items()
    }


def has_references(value: Any) -> bool:
    """Whether some string in it has a reference."""
    if isinstance(value, dict):
        return any(has_references(item) for key, item in value.items() if key not in _NOT_IN)
    if isinstance(value, list):
        return any(map(has_references, value))
    return isinstance(value, str) and "${" in value


def _replaced(value: Any, path: Path, variables: Mapping[str, Any], room: LetterRoom) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(item, (*path, key), variables, room) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, (*path, i), variables, room) for i, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value

    def word(found: re.Match[str]) -> str:
        name = found[1]
        if name not in variables:
            raise Unfit(path, _missing(name, variables))
        one = variables[name]
        return room.take(str(one).lower() if isinstance(one, bool) else str(one), path)

    return _REFERENCE.sub(word, value)


def _missing(name: str, variables: Mapping[str, Any]) -> str:
    known = tuple(map(str, variables))
    meant = nearest(name, known)
    if meant:
        right = f"did you mean ${{{meant}}}?"
    elif known:
        right = f"vars has {one_of(known, 'and')}"
    else:
        right = f"write vars: {{{name}: …}}"
    return f"vars has no {show_value(name)}; {right}"
