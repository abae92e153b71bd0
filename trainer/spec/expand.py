"""From a sweep to its trials: every combination or some draws, each checked as a whole spec."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product
from typing import Any, NamedTuple

from pydantic import ValidationError

from trainer.errors import Fault, SpecError
from trainer.spec.axes import Axis, Wrong, read_axis
from trainer.spec.explain import known_paths, owners, unknown_path
from trainer.spec.paths import absolute, inherit, is_path_key, make_paths_absolute
from trainer.spec.rules import broken_rules, metric_fault
from trainer.spec.scalars import Refused, resolve
from trainer.spec.schema import Spec
from trainer.spec.tree import Path, Place, Tree
from trainer.spec.trial import SHOTS, Trial
from trainer.spec.validate import fault_at, validate
from trainer.spec.variables import Missing, has_references, substitute
from trainer.spec.words import one_of, show

MOST_TRIALS = 100_000
RANDOM_SEARCH = (1 << 64) - 3
"""The stream of random search."""

_WHOLE_RUN = ("name", "notes", "device", "log", "sweep", "select", "repeat", "vars")
_MOST_FAULTS = 50


class Setting(NamedTuple):
    """A swept key of one trial."""

    key: str
    value: Any
    place: Path  # where the value is written
    is_fraction: bool = False


Settings = tuple[Setting, ...]


@dataclass
class Expansion:
    """All trials of a spec, and what is to be said of them.

    Attributes:
        trials: numbered from 0.
        axes: swept key -> its distinct values, in order of appearance.
        notes: sentences for the user.
    """

    trials: list[Trial]
    axes: dict[str, tuple[Any, ...]]
    notes: list[str]


def expand(tree: Tree) -> tuple[Spec, Expansion]:
    """What the trials of a tree share, as a spec with the sweep in it; and the trials.

    Raises:
        SpecError: every fault, of the sweep and of its trials.
    """
    rows = list(_Sweep(tree).rows())
    trials = _Trials(tree)
    found = [trials.of(row) for row in rows or [()]] if not tree.faults else [trials.of(())]
    if tree.faults or trials.faults or None in found:
        raise SpecError(_distinct([*tree.faults, *trials.faults]))
    whole = trials.shared
    assert whole is not None
    kept = _without_duplicates([trial for trial in found if trial is not None], trials.notes)
    axes: dict[str, dict[Any, None]] = {}
    for trial in kept:
        for key, value in trial.settings.items():
            axes.setdefault(key, {})[value] = None
    distinct = {key: tuple(values) for key, values in axes.items()}
    _check_per(tree, whole, distinct)
    return whole, Expansion(kept, distinct, list(trials.notes))


def _check_per(tree: Tree, spec: Spec, axes: Mapping[str, Any]) -> None:
    for i, key in enumerate(spec.select.per):
        if key not in axes:
            swept = f"{one_of(list(axes), 'and')} are" if axes else "none is"
            what = f"{show(key)} is not swept; of the swept keys {swept} right"
            raise SpecError([fault_at(tree, ("select", "per", i), what)])


def _without_duplicates(trials: Sequence[Trial], notes: dict[str, None]) -> list[Trial]:
    """Number the trials, without those whose spec another has already."""
    known: dict[Any, Trial] = {}
    for trial in trials:
        spec = trial.spec
        fields = (getattr(spec, name) for name in Spec.model_fields if name not in _NOT_COMPARED)
        key = tuple(str(f) if isinstance(f, dict) else f for f in fields)
        if key not in known:
            known[key] = replace(trial, number=len(known))
    if dropped := len(trials) - len(known):
        notes[f"{dropped:,} of {len(trials):,} trials were there twice, and are left out"] = None
    return list(known.values())


_NOT_COMPARED = ("name", "notes", "vars", "sweep", "select", "log", "device")


def _distinct(faults: Sequence[Fault]) -> list[Fault]:
    return list(dict.fromkeys(faults))


# ---------------------------------------------------------------- what is swept


class _Sweep:
    """Reads the axes of a tree into rows of settings; faults go to the tree."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        sweep = tree.value.get("sweep", "none")
        self.written = isinstance(sweep, dict)
        self.sweep: dict[Any, Any] = sweep if isinstance(sweep, dict) else {}
        self.random = self.sweep.get("method") == "random"

    def rows(self) -> Iterator[Settings]:
        """Every combination of settings, or the draws; one row without any where none is swept."""
        blocks, together, shots = self._blocks(), self._zip(), self._shots()
        for axes in blocks:
            self._check_twice(axes, together)
        if self.written and not (blocks or together or shots) and not self.tree.faults:
            self._fault(("sweep",), "no axes; for example parameters: {optimizer.lr: [0.01, 0.1]}")
        if self.tree.faults:
            return
        crossed = [list(together)] if together else []
        crossed += [[(shot,) for shot in shots]] if shots else []
        if self.random:
            yield from self._draws(blocks or [[]], crossed)
            return
        grids = [[*(self._settings(axis) for axis in axes), *crossed] for axes in blocks or [[]]]
        count = sum(math.prod(map(len, grid)) for grid in grids)
        if not self._too_many(count):
            for grid in grids:
                yield from (tuple(chain(*row)) for row in product(*grid))

    def _too_many(self, count: int) -> bool:
        if count > MOST_TRIALS:
            what = f"{count:,} trials; at most {MOST_TRIALS:,} are right: fewer values, or random"
            self._fault(("sweep",), what)
        return count > MOST_TRIALS

    def _settings(self, axis: Axis) -> list[Settings]:
        return [
            (Setting(axis.key, value, place, axis.is_path),)
            for value, place in zip(axis.values, axis.places, strict=True)
        ]

    def _draws(self, blocks: list[list[Axis]], crossed: list[list[Settings]]) -> Iterator[Settings]:
        """num_trials draws, from the blocks in turn; each draw with every row of zip."""
        from trainer.splitmix import uniform

        wanted = self.sweep.get("num_trials")
        if not isinstance(wanted, int) or wanted < 1:
            self._fault(("sweep", "num_trials"), "method random needs it; for example 64")
            return
        if self._too_many(wanted * math.prod(map(len, crossed))):
            return
        seed = self.tree.value.get("seed", 0)
        seed = seed if isinstance(seed, int) else 0
        most = max(map(len, blocks))
        u = uniform(seed, RANDOM_SEARCH, 0, wanted * most * 2).reshape(wanted, most, 2)
        for i in range(wanted):
            axes = blocks[i % len(blocks)]
            drawn = tuple(self._draw(axis, *u[i, j].tolist()) for j, axis in enumerate(axes))
            for row in product(*crossed):
                yield (*drawn, *chain(*row))

    def _draw(self, axis: Axis, choice: float, number: float) -> Setting:
        if axis.draw is not None:
            return Setting(axis.key, axis.draw.value(choice, number), axis.places[0])
        at = int(number * len(axis.values))
        return Setting(axis.key, axis.values[at], axis.places[at], axis.is_path)

    def _blocks(self) -> list[list[Axis]]:
        written = self.sweep.get("parameters", "none")
        at: Path = ("sweep", "parameters")
        if written in ("none", None) or written == {} or written == []:
            return []
        if isinstance(written, dict):
            return [self._axes(written, at)]
        if isinstance(written, list):
            return [self._axes(block, (*at, i)) for i, block in enumerate(written)]
        self._fault(at, f"expected a mapping of keys, got {show(written)}; {{optimizer.lr: [0.1]}}")
        return []

    def _axes(self, block: Any, at: Path) -> list[Axis]:
        if not isinstance(block, dict):
            self._fault(at, f"expected a mapping of keys, got {show(block)}; {{optimizer.lr: [1]}}")
            return []
        axes = []
        for key, written in block.items():
            if (what := self._why_not(key, written)) is not None:
                self._fault((*at, key), what, at_key=True)
                continue
            try:
                axes.append(read_axis(key, written, (*at, key), self.random))
            except Wrong as wrong:
                self._fault(wrong.path, wrong.what)
        return axes

    def _zip(self) -> list[Settings]:
        written = self.sweep.get("zip", "none")
        at: Path = ("sweep", "zip")
        if written in ("none", None):
            return []
        if not isinstance(written, list) or not written:
            what = f"expected a list of settings, got {show(written)}"
            self._fault(at, f"{what}; for example [{{optimizer.name: sgd, optimizer.lr: 0.1}}]")
            return []
        rows = []
        for i, together in enumerate(written):
            if not isinstance(together, dict) or not together:
                self._fault((*at, i), f"expected settings that go together, got {show(together)}")
                continue
            row = [self._zipped(key, value, (*at, i, key)) for key, value in together.items()]
            rows.append(tuple(setting for setting in row if setting is not None))
        return rows

    def _zipped(self, key: Any, value: Any, place: Path) -> Setting | None:
        what = self._why_not(key, None)
        if what is not None:
            self._fault(place, what, at_key=True)
        elif isinstance(value, list | dict) or value is None:
            self._fault(place, f"expected one value, got {show(value)}; axes go to parameters")
        else:
            return Setting(key, value, place)
        return None

    def _shots(self) -> Settings:
        """The values of few_shot.k, which is an axis where it is a list."""
        repeat = self.tree.value.get("repeat")
        shot = repeat.get("few_shot") if isinstance(repeat, dict) else None
        k = shot.get("k") if isinstance(shot, dict) else None
        if not isinstance(k, list) or not k:
            return ()
        at = ("repeat", "few_shot", "k")
        return tuple(Setting(SHOTS, value, (*at, i)) for i, value in enumerate(k))

    def _check_twice(self, axes: Sequence[Axis], together: Sequence[Settings]) -> None:
        zipped = {setting.key: setting.place for row in together for setting in row}
        keys = [axis.key for axis in axes]
        for key, place in zipped.items():
            for other in keys:
                if _overlap(key, other):
                    self._fault(place, f"{other} is an axis already; keep one", at_key=True)
        for i, key in enumerate(keys):
            if any(_overlap(key, other) for other in keys[:i]):
                self._fault(axes[i].places[0], f"{key} is within another axis; keep one")

    def _why_not(self, key: Any, written: Any) -> str | None:
        """Why a key cannot be swept, or None."""
        if not isinstance(key, str):
            return f"expected a dotted key such as optimizer.lr, got {show(key)}"
        root, _, rest = key.partition(".")
        if root == "vars" and rest:
            known = self.tree.value.get("vars")
            if isinstance(known, dict) and rest in known:
                return None
            return f"vars has no {show(rest)}; write vars: {{{rest}: …}} with its usual value"
        if root in _WHOLE_RUN and key != SHOTS:
            what = f"{root} belongs to the whole run and cannot be swept"
            return f"{what}; few_shot.k takes a list" if root == "repeat" else what
        if key == SHOTS or (root == "class_weight" and rest) or key in known_paths():
            if isinstance(written, dict) and _is_block_of(key, written):
                inner = next(iter(written))
                return f"an axis is one dotted key; write {key}.{inner}: […]"
            return None
        return unknown_path(key)

    def _fault(self, path: Path, what: str, at_key: bool = False) -> None:
        self.tree.faults.append(fault_at(self.tree, path, what, at_key))


def _overlap(key: str, other: str) -> bool:
    return key == other or key.startswith(f"{other}.") or other.startswith(f"{key}.")


def _is_block_of(key: str, written: Mapping[Any, Any]) -> bool:
    """Whether a mapping has keys of the schema in place of an axis: {lr: [..]} under optimizer."""
    return any(f"{key}.{inner}" in known_paths() for inner in written)


# ---------------------------------------------------------------- each trial as a spec


class _Trials:
    """Makes trials of one tree; what they share is checked once."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.faults: list[Fault] = []
        self.notes: dict[str, None] = {}
        self.shared: Spec | None = None
        self._data: dict[Any, Any] = {}  # checked blocks of data, by the settings that made them
        self._refers = has_references(tree.value)

    def of(self, settings: Settings) -> Trial | None:
        """The trial of these settings; None where it has faults, which are kept."""
        if len(self.faults) >= _MOST_FAULTS:
            return None
        try:
            spec = self._spec(settings)
        except SpecError as error:
            self.faults += error.faults
            return None
        told = {s.key: s.value for s in settings}
        fractions = {s.key: s.value for s in settings if s.is_fraction}
        return Trial(0, told, spec, fractions)

    def _spec(self, settings: Settings) -> Spec:
        of_data = tuple(
            (s.key, type(s.value), s.value)
            for s in settings
            if s.key.startswith(("data.", "vars."))
        )
        value = self._value(settings)
        if of_data in self._data and self.shared is not None:
            value["data"] = self._data[of_data]
            spec = self._quick(value, settings)
            if spec is not None:
                return spec
            value = self._value(settings)
        spec = self._slow(value, settings)
        self._data[of_data] = spec.data
        return spec

    def _value(self, settings: Settings) -> dict[Any, Any]:
        """The tree's values with these settings, without the sweep."""
        value = {key: item for key, item in self.tree.value.items() if key != "sweep"}
        variables = value.pop("vars", {})
        variables = dict(variables) if isinstance(variables, dict) else {}
        for key, item, *_ in settings:
            if key.startswith("vars."):
                variables[key.partition(".")[2]] = item
            else:
                _set(value, key, item)
        self._drop_inherited(value, settings)
        if self._refers:
            try:
                value = substitute(value, variables)
            except Missing as missing:
                raise SpecError([fault_at(self.tree, missing.path, missing.what)]) from None
        return value

    def _drop_inherited(self, value: dict[Any, Any], settings: Settings) -> None:
        """Leave out keys of the file's optimizer that a swept one does not have."""
        name = next((s.value for s in settings if s.key == "optimizer.name"), None)
        block = value.get("optimizer")
        if name is None or not isinstance(block, dict):
            return
        swept = {s.key for s in settings}
        for key in list(block):
            has = owners(("optimizer", key))
            if has and name not in has and f"optimizer.{key}" not in swept:
                del block[key]
                self.notes[f"trials of {name} do without optimizer.{key}, which it has not"] = None

    def _quick(self, value: dict[Any, Any], settings: Settings) -> Spec | None:
        """The spec, or None where something is wrong: `_slow` says what, and where."""
        init = value.get("init")
        if isinstance(init, str):
            place = self._place(settings, "init")
            value["init"] = absolute(init, place.folder) if place else init
        try:
            spec = Spec.model_validate(value)
        except ValidationError:
            return None
        if any(True for _ in broken_rules(spec)) or self._metric_fault(spec):
            return None
        return spec

    def _place(self, settings: Settings, key: str) -> Place | None:
        path = next((s.place for s in settings if s.key == key), (key,))
        return self.tree.places.get(path)

    def _slow(self, value: dict[Any, Any], settings: Settings) -> Spec:
        """The spec with all its faults where they were written.

        Raises:
            SpecError: the faults.
        """
        base = self.tree
        value = copy.deepcopy(value)
        first = self.shared is None
        if first and "sweep" in base.value:
            value["sweep"] = base.value["sweep"]
        if first and "vars" in base.value:
            value["vars"] = base.value["vars"]
        places = dict(base.places)
        for setting in settings:
            place = base.places.get(setting.place, Place("", ""))
            is_as_written = len(setting.place) > 2 and not isinstance(setting.value, float)
            places[_parts(setting.key)] = place if is_as_written else replace(place, text=None)
        tree = Tree(value, places, [], set(base.reported), set(base.inherited))
        make_paths_absolute(tree)
        inherit(tree)
        spec = validate(tree)
        if what := self._metric_fault(spec):
            raise SpecError([fault_at(base, ("sweep", "metric", "name"), what)])
        if first:
            self.shared = spec
            spec = spec.model_copy(update={"sweep": None, "vars": {}})
        return spec

    def _metric_fault(self, spec: Spec) -> str | None:
        sweep = self.tree.value.get("sweep")
        metric = sweep.get("metric") if isinstance(sweep, dict) else None
        name = metric.get("name", "val_loss") if isinstance(metric, dict) else None
        return metric_fault(spec, name) if isinstance(name, str) else None


def _set(value: dict[Any, Any], key: str, item: Any) -> None:
    """Set a dotted key; mappings on the way are copied, as trials share what they do not set."""
    *above, last = _parts(key)
    block = value
    for part in above:
        inner = block.get(part)
        block[part] = dict(inner) if isinstance(inner, dict) else {}
        block = block[part]
    block[last] = item


def _parts(key: str) -> Path:
    """The path of a dotted key; a label may be a number."""
    return tuple(_label(part) if i else part for i, part in enumerate(key.split(".")))


def _label(part: str) -> Any:
    try:
        read = resolve(part)
    except Refused:
        return part
    return part if read is None else read


# ---------------------------------------------------------------- back to a file


def written(tree: Tree, spec: Spec, axes: Mapping[str, Any]) -> dict[str, Any]:
    """The tree of config.yaml of a sweep: as written, with defaults, absolute paths and ${name}s.

    Loaded again it gives equal trials.
    """
    raw = copy.deepcopy(tree.value)
    bare = Tree(raw, tree.places, [], set(), set())
    make_paths_absolute(bare)
    _make_axes_absolute(bare)
    defaults = {key: item for key, item in spec.tree().items() if key != "sweep"}
    for key in axes:
        _remove(defaults, key)
    return _merged(defaults, raw)


def _make_axes_absolute(tree: Tree) -> None:
    sweep = tree.value.get("sweep")
    if not isinstance(sweep, dict):
        return
    blocks = sweep.get("parameters")
    several = blocks if isinstance(blocks, list) else [blocks]
    for i, block in enumerate(several):
        at: Path = ("sweep", "parameters", *((i,) if isinstance(blocks, list) else ()))
        for key, axis in block.items() if isinstance(block, dict) else ():
            if isinstance(key, str) and is_path_key(key):
                within = ("values",) if isinstance(axis, dict) else ()
                values = axis.get("values", []) if isinstance(axis, dict) else axis
                for j, value in enumerate(values):
                    if isinstance(value, str):
                        folder = tree.places[(*at, key, *within, j)].folder
                        values[j] = absolute(value, folder)
    for i, together in enumerate(sweep.get("zip") or ()):
        for key, value in together.items() if isinstance(together, dict) else ():
            if isinstance(key, str) and is_path_key(key) and isinstance(value, str):
                together[key] = absolute(value, tree.places[("sweep", "zip", i, key)].folder)


def _remove(tree: dict[Any, Any], key: str) -> None:
    *above, last = _parts(key)
    for part in above:
        tree = tree.get(part, {})
        if not isinstance(tree, dict):
            return
    tree.pop(last, None)


def _merged(defaults: Mapping[Any, Any], raw: Mapping[Any, Any]) -> dict[Any, Any]:
    """Raw values, completed by defaults; keys in the order of the defaults."""
    merged: dict[Any, Any] = {}
    for key in [*defaults, *(key for key in raw if key not in defaults)]:
        ours, theirs = defaults.get(key), raw.get(key)
        if key in raw and isinstance(ours, dict) and isinstance(theirs, dict) and ours:
            merged[key] = _merged(ours, theirs)
        else:
            merged[key] = raw.get(key, ours)
    return merged
