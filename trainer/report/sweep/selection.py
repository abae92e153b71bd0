"""What a sweep chose and by how much, in `wording`'s sentences and in the tables beside them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.catalog import is_share
from trainer.report.sweep.words import metric_words, settings_words
from trainer.text.numbers import counted, deviation, metric, number, text
from trainer.wording.choice import (
    FIRST_REPEAT,
    lead_text,
    outcomes_text,
    refit_text,
    rule_text,
    shots_text,
)
from trainer.wording.permutation import permutation_texts
from trainer.wording.repeats import repeat_word, value_column
from trainer.wording.undefined import mean_of, over_text

if TYPE_CHECKING:
    from trainer.report.sweep.view import SweepView

_MOST_NAMED = 12  # trials of a list
_MOST_HELD_OUT = 50  # rows of the table of folds that the data name
_OWN_CHOICE = (
    "of settings that each repeat chose for itself, by its own validation rows; the winner by the"
    " mean over all is the model that is kept"
)
_NESTED = (
    "nested cross-validation: of settings that each repeat chose by {} inner folds of its training"
    " rows, scored on validation rows that have no part in it"
)
_BY_THESE = "; it was chosen by these rows too, and so is optimistic"
_REPEAT, _REFIT = "repeat", "_refit"  # groups.csv's column of repeats, and ends of those of refits


def selection(sweep: SweepView) -> list[tuple[str, str]]:
    """What was chosen and by how much, as (label, sentence)."""
    results, best = sweep.run_data.results, sweep.run_data.best
    if not best:
        return [*_best_so_far(sweep), ("Outcomes", _outcomes(sweep))]
    lines = [("Result", _own_choice(own)) for own in (results.get("per_repeat") or ())[:1]]
    lines += [
        (
            "Winner",
            f"trial {best['trial']}: {settings_words(sweep.axis_names, best.get('settings', {}))}",
        ),
        (sweep.title, _with_spread(sweep, best)),
    ]
    lines += _how_often(sweep)
    if lead := lead_text(results, sweep.name, partial(settings_words, sweep.axis_names), number):
        lines.append(("Lead", lead))
    lines.append(("Rule", rule_text(results, sweep.name, sweep.minimize)))
    if shots := shots_text(results):
        lines.append(("Shots", shots))
    lines += [("Permutations", told) for told in permutation_texts(results, metric_words)[:1]]
    lines += [("Edge", text(edge.get("advice"))) for edge in results.get("edges") or ()]
    if refit := best.get("refit"):
        length = None if sweep.run_data.solved else (refit.get("epochs") or 0, "epoch")
        lines.append(("Model", refit_text(refit.get("rows"), length)))
    elif sweep.repeats > 1:
        lines.append(("Model", FIRST_REPEAT))
    return [*lines, ("Outcomes", _outcomes(sweep))]


def _own_choice(own: Mapping[str, Any]) -> str:
    """What the run's result is of, where each repeat chose for itself."""
    nested = own.get("nested")
    return _NESTED.format(nested["inner_folds"]) if nested else _OWN_CHOICE


def _how_often(sweep: SweepView) -> Iterator[tuple[str, str]]:
    """How often each setting was chosen by inner folds, and the score that the winner has there."""
    for own in sweep.run_data.results.get("per_repeat") or ():
        per, nested = own.get("per") or {}, own.get("nested")
        if nested:
            words = [
                f"{settings_words(sweep.axis_names, one['settings'])} in {one['repeats']:,}"
                for one in nested["chosen"][:_MOST_NAMED]
            ]
            more = len(nested["chosen"]) - _MOST_NAMED
            of = f"{settings_words(sweep.axis_names, per)}: " if per else ""
            told = ", ".join([*words, *([f"{more:,} more"] if more > 0 else [])])
            yield "Chosen", f"{of}of {counted(len(own['trials']), 'repeat')}: {told}"


def _best_so_far(sweep: SweepView) -> Iterator[tuple[str, str]]:
    """The best trial when a sweep without a choice ended."""
    if sweep.chosen is None:
        return
    value = sweep.shown(float(sweep.value[sweep.chosen]))
    yield "Ahead", f"{sweep.label(sweep.chosen)}, {sweep.name} {value}; not chosen, without a model"


def _outcomes(sweep: SweepView) -> str:
    """How many trials there were, and how many ended how."""
    counts = dict(sweep.run_data.results.get("counts") or {})
    if not counts:
        counts = Counter(str(row.get("status")) for row in sweep.rows)
    times = f" × {counted(sweep.repeats, 'repeat')}" if sweep.repeats > 1 else ""
    return f"{counted(len(sweep.rows), 'trial')}{times}: {outcomes_text(counts)}"


def _with_spread(sweep: SweepView, best: Mapping[str, Any]) -> str:
    value = best.get("metrics", {}).get(sweep.metric)
    std = best.get("std", {}).get(sweep.metric)
    if value is None:
        return "none"
    shown = sweep.shown(value)
    if std is None:
        return shown
    spread = deviation(float(std), sweep.is_share)
    over = over_text(mean_of(sweep.run_data.results), sweep.repeats)
    told = f"{shown} ± {spread} (standard deviation over {over})"
    # inner folds of all training rows are of those that folds hold out; draws leave val alone
    of_folds = repeat_word(sweep.run_data.config.get("repeat")) == "fold"
    return told + _BY_THESE if best.get("inner") and of_folds else told


# ---------------------------------------------------------------- tables


def winners(sweep: SweepView) -> tuple[list[str], list[list[str]]]:
    """(head, rows): of each value of `select.per` its winner; empty without it."""
    rows = sweep.run_data.groups
    per = [axis for axis in sweep.per if rows and axis.path in rows[0]]
    each = [_REPEAT] if rows and _REPEAT in rows[0] else []
    if not per and not each:
        return [], []
    others = [axis for axis in sweep.axes if axis not in per]
    metrics = [name for name in rows[0] if _is_metric(name)]
    metrics.sort(key=lambda name: (not name.startswith("test_"), name != sweep.metric))
    metrics = [name for name in metrics if any(row.get(name) is not None for row in rows)]
    head = [*(axis.name for axis in per), *each, "trial", *(axis.name for axis in others)]
    settings = {row["trial"]: row for row in sweep.rows}
    cells = []
    for row in rows:
        trial = settings.get(row["trial"], {})
        named = [axis.label(row[axis.path]) for axis in per] + [text(row[name]) for name in each]
        swept = [axis.label(trial.get(axis.path)) for axis in others]
        cells.append([*named, text(row["trial"]), *swept, *(_spread(row, n) for n in metrics)])
    for without in sweep.run_data.results.get("without_winner") or ():
        named = [axis.label(without.get(axis.path)) for axis in per]
        named += [text(without.get(name)) for name in each]
        cells.append([*named, "none", *["–"] * (len(others) + len(metrics))])
    selected = bool(each) and not sweep.run_data.is_nested
    return [*head, *(_column_words(name, selected) for name in metrics)], cells


def _column_words(name: str, selected: bool) -> str:
    """A metric's name; of val that a repeat chose its own setting by, that it was selected."""
    plain = name.removesuffix(_REFIT)
    words = metric_words(plain) + ", refit" * (plain != name)
    return f"{words}, selected" if selected and name.startswith("val_") else words


def held_out(sweep: SweepView) -> tuple[str, list[str], list[list[str]]]:
    """(what a fold is, head, rows): of each fold that the data name the winner, the worst first."""
    run_data = sweep.run_data
    called = value_column(run_data.config.get("repeat"))
    rows = [row for row in run_data.repeats if row.get("trial") == run_data.chosen]
    if called is None or not rows or called not in rows[0]:
        return "", [], []
    metrics = [name for name in rows[0] if _is_metric(name)]
    metrics.sort(key=lambda name: name != sweep.metric)

    def badness(row: Mapping[str, Any]) -> float:
        value = row.get(sweep.metric)
        if not isinstance(value, int | float):
            return math.inf
        return float(-value if sweep.minimize else value)

    cells = [
        [text(row.get(called)), *(metric(row.get(name), is_share(name)) for name in metrics)]
        for row in sorted(rows, key=badness)[:_MOST_HELD_OUT]
    ]
    if len(rows) > _MOST_HELD_OUT:
        cells.append([f"{len(rows) - _MOST_HELD_OUT:,} more", *["–"] * len(metrics)])
    return called, [called, *map(metric_words, metrics)], cells


def _is_metric(name: str) -> bool:
    return name.startswith(("val_", "test_")) and not name.endswith(("_std", "_count"))


def _spread(row: Mapping[str, Any], name: str) -> str:
    value, std = row.get(name), row.get(f"{name}_std")
    share = is_share(name.removesuffix(_REFIT))
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
