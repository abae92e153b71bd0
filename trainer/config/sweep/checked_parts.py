"""Specs of trials put together from parts that were checked in earlier ones.

Most trials of a sweep differ in numbers alone. What a number may be depends on its own key, never
on another number: so each is checked once, in its own block, and such trials are copies of a spec
that was checked as a whole. Rules between keys are for the caller to check.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
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
        values: (place, number) -> the number as it was checked.
        blocks: (name, numbers in it) -> the block.
    """

    spec: Spec
    paths: dict[int, Path]
    values: dict[tuple[int, Any], Any] = field(default_factory=dict)
    blocks: dict[_Key, Block] = field(default_factory=dict)

    def blocks_of(self, settings: Settings) -> dict[str, Block] | None:
        """The blocks that have these numbers; None where one of them was not checked."""
        numbers: dict[str, list[tuple[int, Any]]] = {}
        for place, path in self.paths.items():
            numbers.setdefault(path[0], []).append((place, settings[place].value))
        found: dict[str, Block] = {}
        for name, of in numbers.items():
            key = (name, *[value for _, value in of])
            if key not in self.blocks:
                block = getattr(self.spec, name)
                for place, value in of:
                    checked = self._checked(place, value)
                    if checked is None:
                        return None
                    block = _with(block, self.paths[place][1:], checked)
                self.blocks[key] = block
            found[name] = self.blocks[key]
        return found

    def _checked(self, place: int, number: float) -> Any:
        """A number as its key takes it; None where it does not."""
        if (place, number) not in self.values:
            name, *within, last = map(str, self.paths[place])
            block = getattr(self.spec, name)
            for part in within:
                block = getattr(block, part)
            given = {key: _written(getattr(block, key)) for key in block.model_fields_set}
            try:
                checked = type(block).model_validate({**given, last: number})
            except ValidationError:
                return None
            self.values[place, number] = getattr(checked, last)
        return self.values[place, number]


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


def _written(value: Any) -> Any:
    """A value as a file has it."""
    return "none" if value is None else value


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


def _with(block: Block, path: Path, value: Any) -> Block:
    """A block with another value at a path in it."""
    name = str(path[0])
    inner = value if len(path) == 1 else _with(getattr(block, name), path[1:], value)
    update: Mapping[str, Any] = {name: inner}
    return block.model_copy(update=update)
