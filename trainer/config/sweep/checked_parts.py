"""Specs of trials put together from parts that were checked in earlier ones.

Most trials of a sweep differ in numbers alone. What a number may be depends on its own key, never
on another number: so each is checked once, in its own block, and such trials are copies of a spec
that was checked as a whole. Of the rules between keys only those are asked that read such a block.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from pydantic import ValidationError

from trainer.config.checks.rules import rules_of
from trainer.config.schema.fields import Block
from trainer.config.schema.spec import Spec
from trainer.config.sweep.setting import Setting, Settings
from trainer.config.yaml.scalars import Path, key_path

_BLOCKS = ("penalty", "optimizer", "early_stopping")  # of these a number chooses no other form
_Key = tuple[Hashable, ...]


class _Part:
    """A block of a form's spec that has numbers of the sweep, in itself or in blocks of its own."""

    def __init__(self, block: Block | None, numbers: Sequence[tuple[Path, int]]) -> None:
        """Sort the numbers.

        Args:
            block: of one trial; None: an optimizer that has no such block does without.
            numbers: path within the block and place among the settings, of each.
        """
        inner: dict[str, list[tuple[Path, int]]] = {}
        for (name, *within), place in numbers:
            if within:
                inner.setdefault(str(name), []).append((tuple(within), place))
        self._block = block
        self._own = [(str(path[0]), place) for path, place in numbers if len(path) == 1]
        self._inner = {name: _Part(getattr(block, name, None), of) for name, of in inner.items()}
        self._places = [place for _, place in numbers]
        keys = block.model_fields_set if block else ()
        given = {key: getattr(block, key) for key in keys}
        self._given = {key: "none" if value is None else value for key, value in given.items()}
        self._checked: dict[_Key, Block] = {}

    def of(self, settings: Settings) -> Block | None:
        """The block that has these numbers; None where one of them is wrong."""
        key = tuple([settings[place].value for place in self._places])
        found = self._checked.get(key)
        if found is None:
            found = self._check(settings)
            if found is not None:
                self._checked[key] = found
        return found

    def _check(self, settings: Settings) -> Block | None:
        if self._block is None:
            return None
        given = dict(self._given)
        for name, place in self._own:
            given[name] = settings[place].value
        for name, part in self._inner.items():
            given[name] = part.of(settings)
            if given[name] is None:
                return None
        try:
            return type(self._block).model_validate(given)
        except ValidationError:
            return None


class _Form:
    """What trials that differ in numbers alone have in common."""

    def __init__(self, spec: Spec, settings: Settings) -> None:
        """Take the spec of one of them, and its settings."""
        numbers: dict[str, list[tuple[Path, int]]] = {}
        for place, setting in enumerate(settings):
            if _is_number(setting):
                name, *within = key_path(setting.key)
                numbers.setdefault(str(name), []).append((tuple(within), place))
        self._state = spec.__getstate__()
        self._parts = {name: _Part(getattr(spec, name), of) for name, of in numbers.items()}
        self._rules = rules_of(numbers)

    def with_numbers(self, settings: Settings) -> Spec | None:
        """The spec with these numbers; None where one is wrong, or breaks a rule between keys."""
        blocks: dict[str, Block] = {}
        for name, part in self._parts.items():
            block = part.of(settings)
            if block is None:
                return None
            blocks[name] = block
        # what model_copy(update=blocks) makes, in a third of its time
        state, spec = self._state, Spec.__new__(Spec)
        spec.__setstate__({**state, "__dict__": {**state["__dict__"], **blocks}})
        for rule in self._rules:
            if next(rule(spec), None):
                return None
        return spec


class CheckedParts:
    """The numbers of a sweep that were right, by what else was set with them."""

    def __init__(self) -> None:
        self._forms: dict[Hashable, _Form] = {}

    def spec(self, settings: Settings) -> Spec | None:
        """The spec of a trial that differs in numbers alone from one that was right.

        None where there is none yet, a number is wrong, or a rule between keys is broken.
        """
        form = self._forms.get(_form_key(settings))
        return form.with_numbers(settings) if form else None

    def add(self, settings: Settings, spec: Spec) -> None:
        """Take a trial that was checked as a whole, and breaks no rule."""
        key = _form_key(settings)
        if key not in self._forms:
            self._forms[key] = _Form(spec, settings)


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
