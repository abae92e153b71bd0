"""From a sweep to its trials: every combination or some draws, each checked as a whole spec."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

from pydantic import ValidationError

from trainer.catalog import METRICS, SOLVERS
from trainer.config.checks.fault_messages import owners
from trainer.config.checks.rules import broken_rules, metric_fault
from trainer.config.checks.validate import validate
from trainer.config.paths import absolute, inherit, make_paths_absolute
from trainer.config.schema.optimizer import Solver
from trainer.config.schema.spec import Expansion, Spec, Trial
from trainer.config.schema.sweep import EACH_REPEAT, too_many
from trainer.config.sweep.checked_parts import CheckedParts
from trainer.config.sweep.grid import Grid
from trainer.config.sweep.setting import Settings
from trainer.config.yaml.scalars import Path, key_path
from trainer.config.yaml.tree import MAX_CHARACTERS, Place, Tree, fault_at
from trainer.config.yaml.variables import LetterRoom, Unfit, has_references, substitute
from trainer.errors import Fault, SpecError
from trainer.text.printable import one_of, show_value

_MOST_FAULTS = 50
_MOST_LETTERS = 1 << 27  # of the variables in all trials together


def expand(tree: Tree) -> tuple[Spec, Expansion]:
    """What the trials of a tree share, as a spec with the sweep in it; and the trials.

    `load_spec` puts the two together.

    Raises:
        SpecError: every fault, of the sweep and of its trials.
    """
    rows = list(Grid(tree).rows())
    trials = _Trials(tree)
    rows = [()] if tree.faults or not rows else rows
    found = [trials.of(row, number) for number, row in enumerate(rows)]
    if tree.faults or trials.faults or None in found:
        raise SpecError(_distinct([*tree.faults, *trials.faults]))
    whole = trials.shared
    assert whole is not None
    kept = _without_duplicates([trial for trial in found if trial is not None], trials.notes)
    kept = _with_metrics(kept, whole)
    axes: dict[str, dict[Any, None]] = {}
    for trial in kept:
        for key, value in trial.settings.items():
            axes.setdefault(key, {})[value] = None
    distinct = {key: tuple(values) for key, values in axes.items()}
    _check_per(tree, whole, distinct)
    _check_inner(tree, whole)
    _check_columns(tree, whole, len(kept))
    return whole, Expansion(tuple(kept), distinct, tuple(trials.notes))


def _with_metrics(trials: Sequence[Trial], whole: Spec) -> list[Trial]:
    """Trials whose specs name every metric that the sweep or one of them names: one table has all.

    Those that a run has unnamed are left as they are written.
    """
    watched = {trial.spec.early_stopping.metric for trial in trials if trial.spec.early_stopping}
    names = [*whole.named_metrics, *(name.removeprefix("val_") for name in sorted(watched))]
    own: dict[str, tuple[str, ...]] = {}
    for model in dict.fromkeys(trial.spec.model for trial in trials):
        more = [name for name in names if name in METRICS and model in METRICS[name].named]
        own[model] = tuple(dict.fromkeys(more))
    if not any(own.values()):
        return list(trials)
    named = {model: {"metrics": more} if more else {} for model, more in own.items()}
    return [
        replace(trial, spec=trial.spec.model_copy(update=named[trial.spec.model]))
        for trial in trials
    ]


def _check_per(tree: Tree, spec: Spec, axes: Mapping[str, Any]) -> None:
    for i, key in enumerate(spec.select.per):
        if key not in axes and key != EACH_REPEAT:
            swept = f"{one_of(list(axes), 'and')} are" if axes else "none is"
            what = f"{show_value(key)} is not swept; of the swept keys {swept} right"
            raise SpecError([fault_at(tree, ("select", "per", i), what)])


def _check_inner(tree: Tree, spec: Spec) -> None:
    """Refuse inner folds that have nothing to choose."""
    if spec.sweep is None and spec.repeat is not None and spec.repeat.inner_folds is not None:
        what = "inner folds choose among trials, and there is one; write sweep too, or remove it"
        raise SpecError([fault_at(tree, ("repeat", "inner_folds"), what)])


def _check_columns(tree: Tree, spec: Spec, trials: int) -> None:
    """Refuse more models than a run can list."""
    repeats = 1 if spec.repeat is None else spec.repeat.columns
    if (what := too_many(trials, repeats)) is None:
        return
    raise SpecError([fault_at(tree, ("repeat",), what, at_key=True)])


def _without_duplicates(trials: Sequence[Trial], notes: dict[str, None]) -> list[Trial]:
    """Number the trials, without those whose spec another has already."""
    known: dict[Any, Trial] = {}
    parts_of = attrgetter(*[name for name in Spec.model_fields if name not in _NOT_COMPARED])
    equal: dict[Any, int] = {}

    def number(part: Any) -> int:
        """The same for equal parts."""
        return equal.setdefault(str(part) if isinstance(part, dict) else part, len(equal))

    before = parts_of(trials[0].spec)
    key = [number(part) for part in before]
    for trial in trials:  # neighbours share most of their parts
        parts = parts_of(trial.spec)
        key = [
            n if part is b else number(part) for n, part, b in zip(key, parts, before, strict=True)
        ]
        before = parts
        # a fraction of lambda_max is no penalty of the same number
        whole = (*key, *sorted(trial.fractions.items())) if trial.fractions else tuple(key)
        if whole not in known:
            place = len(known)
            known[whole] = trial if trial.number == place else replace(trial, number=place)
    if dropped := len(trials) - len(known):
        notes[f"{dropped:,} of {len(trials):,} trials were there twice, and are left out"] = None
    return list(known.values())


_NOT_COMPARED = (
    "name", "notes", "vars", "sweep", "select", "log", "device", "checkpoint", "intervals",
    "permutation_test",
)  # fmt: skip


def _distinct(faults: Sequence[Fault]) -> list[Fault]:
    return list(dict.fromkeys(faults))


# ---------------------------------------------------------------- each trial as a spec


class _Trials:
    """Makes trials of one tree; what they share is checked once."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.faults: list[Fault] = []
        self.notes: dict[str, None] = {}
        self.shared: Spec | None = None
        self._data: dict[Any, Any] = {}  # checked blocks of data, by the settings that made them
        self._parts = CheckedParts()
        self._refers = has_references(tree.value)
        self._letters = _MOST_LETTERS

    def of(self, settings: Settings, number: int) -> Trial | None:
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
        return Trial(number, told, spec, fractions)

    def _spec(self, settings: Settings) -> Spec:
        """The spec of a trial, of parts that were checked before where all of them were.

        Numbers alone change nothing of what `_sweep_faults` reads but the paths.

        Raises:
            SpecError: its faults.
        """
        known = self._parts.spec(settings)
        if known is not None and not any(_path_faults(known, settings)):
            return known
        spec = self._checked(settings)
        self._parts.add(settings, spec)
        return spec

    def _checked(self, settings: Settings) -> Spec:
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
            before = min(MAX_CHARACTERS, self._letters)
            room = LetterRoom(before)
            try:
                value = substitute(value, variables, room)
            except Unfit as unfit:
                raise SpecError([fault_at(self.tree, unfit.path, unfit.what)]) from None
            self._letters -= before - room.letters
        return value

    def _drop_inherited(self, value: dict[Any, Any], settings: Settings) -> None:
        """Leave out what the file says for its optimizer and a swept one does not have."""
        name = next((s.value for s in settings if s.key == "optimizer.name"), None)
        log, block = value.get("log"), value.get("optimizer")
        if name in SOLVERS and isinstance(log, dict) and "eval_every" in log:
            value["log"] = {key: item for key, item in log.items() if key != "eval_every"}
            self.notes[f"trials of {name} do without log.eval_every, which it has not"] = None
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
        return None if self._breaks_rules(spec, settings) else spec

    def _breaks_rules(self, spec: Spec, settings: Settings) -> bool:
        return any(True for _ in broken_rules(spec)) or any(self._sweep_faults(spec, settings))

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
            path = key_path(setting.key)
            for length in range(1, len(path)):  # a block that the file does not have begins here
                places.setdefault(path[:length], place)
            places[path] = place if is_as_written else place._replace(text=None)
        tree = Tree(value, places, [], set(base.reported), set(base.inherited))
        make_paths_absolute(tree)
        inherit(tree)
        spec = validate(tree)
        if faults := [fault_at(base, at, what) for at, what in self._sweep_faults(spec, settings)]:
            raise SpecError(faults)
        if first:
            self.shared = spec
            spec = spec.model_copy(update={"sweep": None, "vars": {}})
        return spec

    def _sweep_faults(self, spec: Spec, settings: Settings) -> Iterator[tuple[Path, str]]:
        """What of the sweep's own block does not go with a trial: where, and why."""
        sweep = self.tree.value.get("sweep")
        sweep = sweep if isinstance(sweep, dict) else {}
        metric = sweep.get("metric")
        name = metric.get("name", "val_loss") if isinstance(metric, dict) else None
        what = metric_fault(spec, name) if isinstance(name, str) else None
        if what is not None:
            yield ("sweep", "metric", "name"), what
        if isinstance(spec.optimizer, Solver) and sweep.get("early_terminate", "none") != "none":
            what = f"{spec.optimizer.name} has one evaluation, at its end; remove it"
            yield ("sweep", "early_terminate"), what
        yield from _path_faults(spec, settings)


def _path_faults(spec: Spec, settings: Settings) -> Iterator[tuple[Path, str]]:
    """The paths that have no beginning: where, and why."""
    for setting in settings:
        # not has_l1: of an alpha of 0, which `plus` adds, there is none either
        if setting.is_fraction and getattr(spec.penalty, "l1_ratio", 1.0) == 0:
            what = "a path begins where l1 leaves no weight, and l1_ratio is 0"
            yield setting.place, f"{what}; write penalty.l1_ratio, or geomspace"


def _set(value: dict[Any, Any], key: str, item: Any) -> None:
    """Set a dotted key; mappings on the way are copied, as trials share what they do not set."""
    *above, last = key_path(key)
    block = value
    for part in above:
        inner = block.get(part)
        block[part] = dict(inner) if isinstance(inner, dict) else {}
        block = block[part]
    block[last] = item
