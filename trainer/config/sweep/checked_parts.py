"""Specs of trials put together from parts that were checked in earlier ones.

Most trials of a sweep differ in numbers alone. What a number may be depends on its own key, never
on another number: so each is checked once, in its own block, and such trials are copies of a spec
that was checked as a whole. Rules between keys are for the caller to check.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from trainer.config.schema.fields import Block
from trainer.config.schema.spec import Spec
from trainer.config.sweep.setting import Setting, Settings
from trainer.config.yaml.scalars import Path, key_path

_BLOCKS = ("penalty", "optimizer", "early_stopping")  # of these a number chooses no other form
_Key = tuple[Hashable, ...]


@dataclass
class _Form:
    """What trials that differ in numbers alone have in common.

    Attributes:
        spec: of one of them.
        paths: place among the settings -> path of each number.
        blocks: (name, numbers in it) -> the block.
    """

    spec: Spec
    paths: dict[int, Path]
    blocks: dict[_Key, Block] = field(default_factory=dict)

    def blocks_of(self, settings: Settings) -> dict[str, Block] | None:
        """The blocks that have these numbers; None where one of the numbers is wrong."""
        numbers: dict[str, list[tuple[Path, Any]]] = {}
        for place, (name, *within) in self.paths.items():
            numbers.setdefault(name, []).append((tuple(within), settings[place].value))
        found: dict[str, Block] = {}
        for name, of in numbers.items():
            key = (name, *[number for _, number in of])
            if key not in self.blocks:
                block = _checked(getattr(self.spec, name), of)
                if block is None:
                    return None
                self.blocks[key] = block
            found[name] = self.blocks[key]
        return found


class CheckedParts:
    """The numbers of a sweep that were right, by what else was set with them."""

    def __init__(self) -> None:
        self._forms: dict[Hashable, _Form] = {}

    def spec(self, settings: Settings) -> Spec | None:
        """The spec of a trial that differs in numbers alone from one that was right.

        None where there is none yet, or a number is wrong.
        """
        form = self._forms.get(_form_key(settings))
        blocks = form.blocks_of(settings) if form else None
        return form.spec.model_copy(update=blocks) if form and blocks is not None else None

    def add(self, settings: Settings, spec: Spec) -> None:
        """Take a trial that was checked as a whole."""
        numbers = {i: key_path(s.key) for i, s in enumerate(settings) if _is_number(s)}
        self._forms.setdefault(_form_key(settings), _Form(spec, numbers))


def _checked(block: Block, numbers: Sequence[tuple[Path, Any]]) -> Block | None:
    """A block with other numbers at paths in it; None where it does not take one of them."""
    given = {key: getattr(block, key) for key in block.model_fields_set}
    given = {key: "none" if value is None else value for key, value in given.items()}
    inner: dict[str, list[tuple[Path, Any]]] = {}
    for (name, *within), number in numbers:
        if within:
            inner.setdefault(name, []).append((tuple(within), number))
        else:
            given[name] = number
    for name, of in inner.items():
        own = getattr(block, name, None)  # an optimizer that has no such block does without
        given[name] = _checked(own, of) if own else None
        if given[name] is None:
            return None
    try:
        return type(block).model_validate(given)
    except ValidationError:
        return None


def _is_number(setting: Setting) -> bool:
    block, _, key = setting.key.partition(".")
    return block in _BLOCKS and key != "" and type(setting.value) in (int, float)


def _form_key(settings: Settings) -> Hashable:
    """Equal for trials that differ in numbers alone, each of the same type."""
    return tuple(
        [
            (s.key, type(s.value)) if _is_number(s) else (s.key, type(s.value), s.value, s.place)
            for s in settings
        ]
    )
