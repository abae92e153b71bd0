"""Settings of a sweep's trials: every combination of its axes, or random draws."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, product
from typing import Any

from trainer.catalog import draws
from trainer.config.checks.fault_messages import known_paths, unknown_path
from trainer.config.schema.sweep import SHOTS
from trainer.config.sweep.axes import Axis, Wrong, read_axis
from trainer.config.sweep.no_settings import why_not_ranked
from trainer.config.sweep.setting import Setting, Settings
from trainer.config.yaml.scalars import Path, key_path
from trainer.config.yaml.tree import Tree, fault_at
from trainer.streams import RANDOM_SEARCH
from trainer.text.printable import show_value

MOST_TRIALS = 100_000

_WHOLE_RUN = (
    "name", "notes", "device", "checkpoint", "log", "metrics", "intervals", "sweep", "select",
    "permutation_test",
    "repeat", "targets", "vars",
)  # fmt: skip


class Grid:
    """Reads the axes of a tree into rows of settings; faults go to the tree."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        sweep = tree.value.get("sweep", "none")
        self.written = isinstance(sweep, dict)
        self.sweep: dict[Any, Any] = sweep if isinstance(sweep, dict) else {}
        self.random = draws(self.sweep.get("method"))

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
            (Setting(axis.key, value, place, _is_fraction(axis, place)),)
            for value, place in zip(axis.values, axis.places, strict=True)
        ]

    def _draws(self, blocks: list[list[Axis]], crossed: list[list[Settings]]) -> Iterator[Settings]:
        """num_trials draws, from the blocks in turn; each draw with every row of zip."""
        from trainer.streams import uniform

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
        place = axis.places[at]
        return Setting(axis.key, axis.values[at], place, _is_fraction(axis, place))

    def _blocks(self) -> list[list[Axis]]:
        written = self.sweep.get("parameters", "none")
        at: Path = ("sweep", "parameters")
        if written in ("none", None) or written == {} or written == []:
            return []
        if isinstance(written, dict):
            return [self._axes(written, at)]
        if isinstance(written, list):
            return [self._axes(block, (*at, i)) for i, block in enumerate(written)]
        self._fault(
            at, f"expected a mapping of keys, got {show_value(written)}; {{optimizer.lr: [0.1]}}"
        )
        return []

    def _axes(self, block: Any, at: Path) -> list[Axis]:
        if not isinstance(block, dict):
            self._fault(
                at, f"expected a mapping of keys, got {show_value(block)}; {{optimizer.lr: [1]}}"
            )
            return []
        axes = []
        for key, written in block.items():
            if (what := self._why_not(key, written)) is not None:
                self._fault((*at, key), what, at_key=True)
                continue
            try:
                axis = read_axis(key, written, (*at, key), self.random)
            except Wrong as wrong:
                self._fault(wrong.path, wrong.what)
                continue
            axes.append(axis)
            count = self.sweep.get("num_trials") if axis.draw else len(axis.values)
            self._check_ranked(key, count, (*at, key))
        return axes

    def _zip(self) -> list[Settings]:
        written = self.sweep.get("zip", "none")
        at: Path = ("sweep", "zip")
        if written in ("none", None):
            return []
        if not isinstance(written, list) or not written:
            what = f"expected a list of settings, got {show_value(written)}"
            self._fault(at, f"{what}; for example [{{optimizer.name: sgd, optimizer.lr: 0.1}}]")
            return []
        rows = []
        for i, together in enumerate(written):
            if not isinstance(together, dict) or not together:
                got = show_value(together)
                what = f"expected settings that go together, got {got}; {{bias: true}}"
                self._fault((*at, i), what)
                continue
            row = [self._zipped(key, value, (*at, i, key)) for key, value in together.items()]
            rows.append(tuple(setting for setting in row if setting is not None))
        places: dict[str, dict[Any, Path]] = {}
        for setting in chain(*rows):
            places.setdefault(setting.key, {}).setdefault(setting.value, setting.place)
        for key, found in places.items():
            self._check_ranked(key, len(found), next(iter(found.values())))
        return rows

    def _check_ranked(self, key: str, count: Any, at: Path) -> None:
        """Refuse an axis whose best value is luck."""
        select = self.tree.value.get("select")
        per = select.get("per") if isinstance(select, dict) else ()
        per = per if isinstance(per, list | tuple) else ()
        what = why_not_ranked(key, per, count if isinstance(count, int) else None)
        if what is not None:
            self._fault(at, what, at_key=True)

    def _zipped(self, key: Any, value: Any, place: Path) -> Setting | None:
        what = self._why_not(key, None)
        if what is not None:
            self._fault(place, what, at_key=True)
        elif isinstance(value, list | dict) or value is None:
            self._fault(
                place, f"expected one value, got {show_value(value)}; axes go to parameters"
            )
        else:
            return Setting(key, value, place)
        return None

    def _shots(self) -> Settings:
        """The values of few_shot.k, rows or fraction, which is an axis where it is a list."""
        repeat = self.tree.value.get("repeat")
        shot = repeat.get("few_shot") if isinstance(repeat, dict) else None
        shot = shot if isinstance(shot, dict) else {}
        for path in SHOTS:
            values, at = shot.get(path.rpartition(".")[2]), key_path(path)
            if isinstance(values, list) and values:
                return tuple(Setting(path, value, (*at, i)) for i, value in enumerate(values))
        return ()

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
            return f"expected a dotted key, got {show_value(key)}; for example optimizer.lr"
        root, _, rest = key.partition(".")
        if root == "vars" and rest:
            known = self.tree.value.get("vars")
            if isinstance(known, dict) and rest in known:
                return None
            return f"vars has no {show_value(rest)}; write vars: {{{rest}: …}} with its usual value"
        if root in _WHOLE_RUN and key not in SHOTS:
            what = f"{root} belongs to the whole run and cannot be swept"
            return f"{what}; {'few_shot.k takes a list' if root == 'repeat' else 'remove it'}"
        if key in SHOTS or (root == "class_weight" and rest) or key in known_paths():
            if isinstance(written, dict) and _is_block_of(key, written):
                inner = next(iter(written.get("parameters") or written))
                return f"an axis is one dotted key; write {key}.{inner}: […]"
            return None
        return unknown_path(key)

    def _fault(self, path: Path, what: str, at_key: bool = False) -> None:
        self.tree.faults.append(fault_at(self.tree, path, what, at_key))


def _is_fraction(axis: Axis, place: Path) -> bool:
    """Whether what is written there is of lambda_max, as a path is; what `plus` adds is not."""
    return axis.is_path and place[-1] == "path"


def _overlap(key: str, other: str) -> bool:
    return key == other or key.startswith(f"{other}.") or other.startswith(f"{key}.")


def _is_block_of(key: str, written: Mapping[Any, Any]) -> bool:
    """Whether a mapping has keys of the schema in place of an axis: {lr: [..]} under optimizer."""
    keys = (*written, *nested) if isinstance(nested := written.get("parameters"), dict) else written
    return any(f"{key}.{inner}" in known_paths() for inner in keys)
