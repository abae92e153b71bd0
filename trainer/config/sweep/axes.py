"""Axes of a sweep: the values of a swept key, or a distribution to draw them from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from trainer.config.sweep.axis_words import meant_axis, meant_values
from trainer.config.yaml.scalars import Path
from trainer.text.printable import one_of, show_value
from trainer.text.suggest import nearest

PATH_KEYS = ("penalty.l1", "penalty.alpha")  # a path of penalties begins where all weights are 0
_FORMS = ("values", "geomspace", "linspace", "path", "distribution")
_KEYS = {
    "values": ("values", "plus"),
    "geomspace": ("geomspace", "plus"),
    "linspace": ("linspace", "plus"),
    "path": ("path", "plus"),
    "distribution": ("distribution", "min", "max", "plus"),
}
_DISTRIBUTIONS = ("uniform", "log_uniform", "int_uniform")
_EXAMPLE = "for example [0.01, 0.1] or {geomspace: {start: 1e-4, stop: 1, num: 9}}"
_PLUS_SHARE = 0.1  # how often a draw is one of `plus`
MOST_VALUES = 100_000


class Wrong(Exception):
    """What is wrong with an axis, and where."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(what)
        self.path, self.what = path, what


class Axis(NamedTuple):
    """A swept key.

    Attributes:
        key: dotted.
        values: in order; of a `path`, fractions of lambda_max, but for those of `plus`.
        places: where each value is written.
        is_path: whether it is a `path`.
        draw: of a distribution: what turns two uniform numbers into a value; values is empty.
    """

    key: str
    values: tuple[Any, ...]
    places: tuple[Path, ...]
    is_path: bool = False
    draw: Distribution | None = None


class Distribution(NamedTuple):
    """Something to draw from; bounds are values, whatever the scale."""

    name: str
    low: float
    high: float
    plus: tuple[Any, ...]

    def value(self, choice: float, u: float) -> Any:
        """The value of two numbers in (0, 1): one chooses between `plus` and the range."""
        if self.plus and choice < _PLUS_SHARE:
            return self.plus[int(choice / _PLUS_SHARE * len(self.plus))]
        if self.name == "uniform":
            return self.low + u * (self.high - self.low)
        if self.name == "int_uniform":
            return int(self.low) + int(u * (self.high - self.low + 1))
        log = math.log(self.low) + u * (math.log(self.high) - math.log(self.low))
        return min(max(math.exp(log), self.low), self.high)


def read_axis(key: str, written: Any, at: Path, random: bool) -> Axis:
    """The axis of a key.

    Args:
        key: dotted.
        written: a list of values, or a mapping that makes them.
        at: where it is written.
        random: whether the method draws.

    Raises:
        Wrong: it is no axis.
    """
    if isinstance(written, list):
        return _listed(key, written, at)
    if not isinstance(written, Mapping):
        right = meant_values(key, written) or _EXAMPLE
        raise Wrong(at, f"expected a list of values, got {show_value(written)}; {right}")
    form = next((form for form in _FORMS if form in written), None)
    if form is None:
        raise Wrong(at, _unknown_form(written, random))
    for name in written:
        if name not in _KEYS[form]:
            meant = nearest(str(name), _KEYS[form])
            what = f"its keys are {one_of(_KEYS[form], 'and')}"
            if meant:
                what = f"did you mean {meant}?"
            elif form in ("values", "distribution"):
                what = meant_axis(written, random) or what
            raise Wrong((*at, name), f"unknown key of an axis of {form}; {what}")
    if form == "distribution":
        return _drawn(key, written, at, random)
    plus, plus_at = _plus(written, at)
    if form == "values":
        axis = _listed(key, written["values"], (*at, "values"))
        return Axis(key, axis.values + plus, axis.places + plus_at)
    numbers = _path(key, written, at) if form == "path" else _spaced(form, written, at)
    places = ((*at, form),) * len(numbers)
    return Axis(key, numbers + plus, places + plus_at, is_path=form == "path")


def _listed(key: str, written: Any, at: Path) -> Axis:
    if not isinstance(written, list):
        raise Wrong(at, f"expected a list of values, got {show_value(written)}; {_EXAMPLE}")
    if not written:
        raise Wrong(at, f"an axis without values; {_EXAMPLE}, or remove it")
    for i, value in enumerate(written):
        if isinstance(value, list):
            what = "sweeps take one value a trial, not a list; put it into a file and sweep vars"
            raise Wrong((*at, i), f"{what}, or write several configs")
        if isinstance(value, Mapping):
            what = "sweeps take one value a trial, not a mapping"
            inner = next(iter(value), "key")
            raise Wrong((*at, i), f"{what}; write {key}.{inner}: […], what goes together in zip")
        if value is None:
            raise Wrong((*at, i), "expected a value, got nothing; write it, or remove the item")
    return Axis(key, tuple(written), tuple((*at, i) for i in range(len(written))))


def _plus(written: Mapping[Any, Any], at: Path) -> tuple[tuple[Any, ...], tuple[Path, ...]]:
    if "plus" not in written:
        return (), ()
    axis = _listed("plus", written["plus"], (*at, "plus"))
    return axis.values, axis.places


def _unknown_form(written: Mapping[Any, Any], random: bool) -> str:
    if "logspace" in written:
        return "did you mean geomspace (numpy's logspace takes exponents)?"
    if right := meant_axis(written, random):
        bounds = "min" in written and "max" in written
        return f"{'distribution is missing' if bounds else 'is in the words of others'}; {right}"
    first = str(next(iter(written), ""))
    meant = nearest(first, _FORMS)
    if meant:
        return f"unknown key {show_value(first)}; did you mean {meant}?"
    return f"an axis is a list, or has one of the keys {one_of(_FORMS)}; {_EXAMPLE}"


def _spaced(form: str, written: Mapping[Any, Any], at: Path) -> tuple[float, ...]:
    """NumPy's function of the same name, both ends in."""
    at = (*at, form)
    start, stop, num = _fields(written[form], at, ("start", "stop", "num"))
    _check_count(num, (*at, "num"))
    for name, bound in (("start", start), ("stop", stop)):
        if form == "geomspace" and bound <= 0:
            what = f"expected a number above 0, got {show_value(bound)}; plus: [0] adds a 0"
            raise Wrong((*at, name), what)
    if start == stop and num > 1:
        raise Wrong(
            (*at, "stop"), f"start and stop are both {show_value(start)}; num: 1, or another stop"
        )
    with np.errstate(all="ignore"):
        numbers = (np.geomspace if form == "geomspace" else np.linspace)(start, stop, num)
    if not np.isfinite(numbers).all():
        raise Wrong(at, "its values are past float64; closer bounds are right")
    return tuple(_shortest(value) for value in numbers.tolist())


def _shortest(value: float) -> float:
    """The value with 15 digits: 1e-05, where powers came to 1.0000000000000003e-05."""
    short = float(f"{value:.15g}")
    return short if math.isfinite(short) else value


def _path(key: str, written: Mapping[Any, Any], at: Path) -> tuple[float, ...]:
    """Fractions of lambda_max: from 1 down to `ratio`."""
    if key not in PATH_KEYS:
        raise Wrong((*at, "path"), f"a path is of {one_of(PATH_KEYS)}, not {key}; take geomspace")
    at = (*at, "path")
    num, ratio = _fields(written["path"], at, ("num", "ratio"), {"num": 100, "ratio": 1e-3})
    _check_count(num, (*at, "num"))
    if not 0 < ratio < 1:
        raise Wrong(
            (*at, "ratio"),
            f"expected a number between 0 and 1, got {show_value(ratio)}; for example 1e-3",
        )
    return tuple(np.geomspace(1.0, ratio, num).tolist())


def _fields(
    written: Any, at: Path, names: tuple[str, ...], defaults: Mapping[str, Any] | None = None
) -> list[Any]:
    """The numbers of a mapping, in the order of `names`."""
    defaults = defaults or {}
    example = "{" + ", ".join(f"{n}: {_SHOWN[n]}" for n in names) + "}"
    if not isinstance(written, Mapping):
        raise Wrong(at, f"expected a mapping of numbers, got {show_value(written)}; {example}")
    for name in written:
        if name not in names:
            meant = nearest(str(name), names)
            what = f"did you mean {meant}?" if meant else f"for example {example}"
            raise Wrong((*at, name), f"unknown key; {what}")
    values = []
    for name in names:
        if name not in written and name not in defaults:
            raise Wrong(at, f"{name} is missing; for example {example}")
        value = written.get(name, defaults.get(name))
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Wrong((*at, name), f"expected a number, got {show_value(value)}; {_SHOWN[name]}")
        values.append(value)
    return values


_SHOWN = {"start": "1e-4", "stop": "1", "num": "9", "ratio": "1e-3", "min": "1e-4", "max": "1"}


def _check_count(num: Any, at: Path) -> None:
    if not isinstance(num, int) or num < 1:
        raise Wrong(at, f"expected a whole number from 1, got {show_value(num)}; for example 9")
    if num > MOST_VALUES:
        raise Wrong(at, f"{num:,} values; {MOST_VALUES:,} trials are the most of a sweep")


def _drawn(key: str, written: Mapping[Any, Any], at: Path, random: bool) -> Axis:
    name = written["distribution"]
    if name not in _DISTRIBUTIONS:
        meant = nearest(name, _DISTRIBUTIONS) if isinstance(name, str) else None
        right = f"did you mean {meant}?" if meant else f"write {one_of(_DISTRIBUTIONS)}"
        raise Wrong((*at, "distribution"), f"no distribution {show_value(name)}; {right}")
    if not random:
        what = "a distribution is drawn from; write method: random and num_trials, or values"
        raise Wrong((*at, "distribution"), what)
    bounds = {n: written[n] for n in ("min", "max") if n in written}
    low, high = _fields(bounds, at, ("min", "max"))
    if low >= high:
        raise Wrong(
            (*at, "min"), f"min {show_value(low)} is not below max {show_value(high)}; swap them"
        )
    if name == "log_uniform" and low <= 0:
        what = f"expected a number above 0, got {show_value(low)}; bounds are values, not exponents"
        raise Wrong((*at, "min"), f"{what}; plus: [0] adds a 0")
    if name == "int_uniform" and not (float(low).is_integer() and float(high).is_integer()):
        raise Wrong((*at, "min"), "int_uniform goes between whole numbers; for example 1 and 10")
    plus, _ = _plus(written, at)
    return Axis(key, (), (at,), draw=Distribution(str(name), low, high, plus))
