"""An axis in the words of other tools, answered with the same axis in ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.config.yaml.write import flow

_LISTS = ("values", "choices", "choice", "options", "categories", "grid", "list", "enum")
_RANGES = ("range", "uniform", "log_uniform", "loguniform", "int_uniform", "randint")
_BOUNDS = (("min", "max"), ("low", "high"), ("lower", "upper"), ("lo", "hi"), ("start", "stop"))
_KINDS = ("distribution", "type", "dist", "kind", "name")
_STEPS = ("num", "steps", "n")
_DECADES = 100  # bounds that are so many times apart are taken for those of a log scale
_LONGEST = 100


def meant_values(key: str, value: Any) -> str | None:
    """What to write for a value that is no list; None where that is not known."""
    if value is None:
        return None
    if isinstance(value, str) and "(" in value:  # of a distribution
        return None
    if isinstance(value, str) and "," in value:
        return _write(f"[{value}]")
    alone = _write(flow([value]))
    return alone and f"{alone}, or set {key} outside of the sweep"


def meant_axis(written: Mapping[Any, Any], random: bool) -> str | None:
    """What to write for a mapping whose keys are not ours; None where that is not known.

    Args:
        written: it.
        random: whether the method draws.
    """
    if not isinstance(written.get("value"), list | dict | None):
        return _write(flow([written["value"]]))
    for name in _LISTS:
        if isinstance(written.get(name), list):
            return _write(flow(written[name]))
    for name in _RANGES:
        bounds = written.get(name)
        if isinstance(bounds, list) and len(bounds) == 2:
            return _between(bounds[0], bounds[1], name, written, random)
    for low, high in _BOUNDS:
        if low in written and high in written:
            kind = next((str(written[name]) for name in _KINDS if name in written), "")
            return _between(written[low], written[high], kind, written, random)
    return None


def _between(
    low: Any, high: Any, kind: str, written: Mapping[Any, Any], random: bool
) -> str | None:
    """Two bounds as something to draw from, and as the values of a grid."""
    if not all(isinstance(bound, int | float) for bound in (low, high)):
        return None
    low, high = sorted((low, high))
    wide = low > 0 and high >= _DECADES * low
    is_log = "log" in kind.lower() or written.get("log") is True or (wide and not kind)
    name = "int_uniform" if "int" in kind.lower() else "log_uniform" if is_log else "uniform"
    drawn = flow({"distribution": name, "min": low, "max": high})
    if random:
        return _write(drawn)
    num = next((written[step] for step in _STEPS if isinstance(written.get(step), int)), 9)
    spaced = flow({"geomspace" if is_log else "linspace": {"start": low, "stop": high, "num": num}})
    return _write(spaced, f", or method: random, num_trials and {drawn}")


def _write(right: str, more: str = "") -> str | None:
    return f"write {right}{more}" if len(right) <= _LONGEST else None
