"""What a sweep chose and by how much, in words and in the tables beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from trainer.catalog import METRICS, is_share, metric_of
from trainer.report.sweep.view import SweepView, metric_words, settings_words
from trainer.text.numbers import counted, deviation, metric, number, text

_TIE = 2.0  # standard errors
_ROWS = {"train": "all training rows", "train+val": "training and validation rows"}
_MOST_NAMED = 12  # trials of a list


def selection(sweep: SweepView) -> list[tuple[str, str]]:
    """What was chosen and by how much, as (label, sentence)."""
    best = sweep.run_data.best
    if not best:
        return [*_ahead(sweep), ("Outcomes", _counts(sweep))]
    told = [
        ("Winner", f"trial {best['trial']}: {settings_words(sweep, best.get('settings', {}))}"),
        (sweep.title, _with_spread(sweep, best)),
    ]
    if lead := _lead(sweep):
        told.append(("Lead", lead))
    told.append(("Rule", _rule(sweep)))
    edges = sweep.run_data.results.get("edges") or ()
    told += [("Edge", text(edge.get("advice"))) for edge in edges]
    told += [("Model", sentence) for sentence in _model(sweep, best)]
    return [*told, ("Outcomes", _counts(sweep))]


def _ahead(sweep: SweepView) -> Iterator[tuple[str, str]]:
    """Which trial was ahead when a sweep without a choice ended."""
    if sweep.chosen is None:
        return
    value = sweep.shown(float(sweep.value[sweep.chosen]))
    yield "Ahead", f"{sweep.label(sweep.chosen)}, {sweep.name} {value}; not chosen, without a model"


def _rule(sweep: SweepView) -> str:
    over = f", mean over {counted(sweep.repeats, 'repeat')}" if sweep.repeats > 1 else ""
    least = "lowest" if sweep.minimize else "highest"
    if sweep.run_data.results.get("rule") == "one_std_err":
        best = f"the {least} {sweep.name}{over}"
        return f"the strongest penalty within one standard error of {best}"
    return f"the {least} {sweep.name}{over}"


def _model(sweep: SweepView, best: Mapping[str, Any]) -> Iterator[str]:
    if refit := best.get("refit"):
        where = _ROWS.get(refit.get("rows"), text(refit.get("rows")))
        long = f" for {counted(refit.get('epochs') or 0, 'epoch')}"
        yield f"trained again on {where}{'' if sweep.run_data.solved else long}"
    elif sweep.repeats > 1:
        yield "that of the winner's first repeat"


def _counts(sweep: SweepView) -> str:
    counts = dict(sweep.run_data.results.get("counts") or {})
    if not counts:
        statuses = [str(row.get("status")) for row in sweep.rows]
        counts = {status: statuses.count(status) for status in dict.fromkeys(statuses)}
    parts = ", ".join(f"{n:,} {status.replace('_', ' ')}" for status, n in counts.items())
    times = f" × {counted(sweep.repeats, 'repeat')}" if sweep.repeats > 1 else ""
    return f"{counted(len(sweep.rows), 'trial')}{times}: {parts}"


def _with_spread(sweep: SweepView, best: Mapping[str, Any]) -> str:
    value = best.get("metrics", {}).get(sweep.metric)
    std = best.get("std", {}).get(sweep.metric)
    if value is None:
        return "none"
    shown = sweep.shown(value)
    if std is None:
        return shown
    spread = deviation(float(std), sweep.is_share)
    return f"{shown} ± {spread} (standard deviation over {sweep.repeats} repeats)"


def _lead(sweep: SweepView) -> str:
    other = sweep.run_data.results.get("runner_up")
    if not other or other.get("margin") is None:
        return ""
    margin, errors = other["margin"], other.get("standard_errors")
    name = f"trial {other['trial']} ({settings_words(sweep, other.get('settings', {}))})"
    if margin == 0:
        return f"none: level with {name}"
    word = "behind" if margin < 0 else "ahead of"
    told = f"{number(abs(margin), 2)} {word} {name}"
    if errors is None:
        return f"{told}; with one value each, chance may be all of it"
    told += f", {number(abs(errors), 2)} standard errors over the repeats"
    return f"{told}: a tie by these" if abs(errors) < _TIE else told


# ---------------------------------------------------------------- tables


def winners(sweep: SweepView) -> tuple[list[str], list[list[str]]]:
    """(head, rows): of each value of `select.per` its winner; empty without it."""
    rows = sweep.run_data.groups
    per = [axis for axis in sweep.per if rows and axis.path in rows[0]]
    if not per:
        return [], []
    others = [axis for axis in sweep.axes if axis not in per]
    metrics = [name for name in rows[0] if _is_metric(name)]
    metrics.sort(key=lambda name: (not name.startswith("test_"), name != sweep.metric))
    metrics = [name for name in metrics if any(row.get(name) is not None for row in rows)]
    head = [axis.name for axis in per] + ["trial", *(axis.name for axis in others)]
    settings = {row["trial"]: row for row in sweep.rows}
    cells = []
    for row in rows:
        trial = settings.get(row["trial"], {})
        named = [axis.label(row[axis.path]) for axis in per]
        swept = [axis.label(trial.get(axis.path)) for axis in others]
        cells.append([*named, text(row["trial"]), *swept, *(_spread(row, n) for n in metrics)])
    return [*head, *map(_head, metrics)], cells


def _is_metric(name: str) -> bool:
    return name.startswith(("val_", "test_")) and not name.endswith("_std")


def _head(name: str) -> str:
    if not name.startswith("test_"):
        return metric_words(name)
    kind = metric_of(name) or ""
    of = name.removeprefix("test_").removesuffix(kind).strip("_")
    return " ".join(filter(None, ["test", text(of), METRICS[kind].label if kind else ""]))


def _spread(row: Mapping[str, Any], name: str) -> str:
    value, std, share = row.get(name), row.get(f"{name}_std"), is_share(name)
    shown = metric(value, share)
    return shown if std is None or value is None else f"{shown} ± {deviation(std, share)}"


def halving_rows(sweep: SweepView) -> list[list[str]]:
    """(after which evaluation, how many went on, the best of those that did not, which)."""
    place = {row["trial"]: t for t, row in enumerate(sweep.rows)}
    found = []
    for rung in sweep.run_data.results.get("halving") or ():
        dropped = sorted(rung.get("dropped") or (), key=lambda trial: place.get(trial, len(place)))
        going = f"{rung.get('kept', 0):,} of {rung.get('alive', 0):,}"
        best = place.get(dropped[0]) if dropped else None
        value = "–"
        if best is not None and np.isfinite(sweep.value[best]):
            value = sweep.shown(float(sweep.value[best]))
        named = ", ".join(map(str, dropped[:_MOST_NAMED]))
        if len(dropped) > _MOST_NAMED:
            named += f" and {len(dropped) - _MOST_NAMED:,} more"
        found.append([f"{rung.get('evaluation', 0):,}", going, value, named or "–"])
    return found
