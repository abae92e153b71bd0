"""The tables of targets that are problems of their own: trials over them, columns, winners."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer.catalog import is_minimized
from trainer.config.schema.spec import Spec
from trainer.runs.names import TARGET
from trainer.sweep.select import Chosen, rank
from trainer.sweep.trial_result import TrialResult
from trainer.sweep.winner_tests import WinnerTests, means_and_stds
from trainer.text.numbers import counted
from trainer.workflow.nested import nested_facts
from trainer.workflow.result_tables import (
    Row,
    axes,
    numbers_of,
    refit_metrics,
    repeat_rows,
    settings_of,
    standing,
    test_cells,
)

Tests = Mapping[tuple[int, int], WinnerTests]
"""Test metrics of winners, by trial and target."""
_WORST = ("diverged", "interrupted", "not_converged")


def by_target(trials: Sequence[TrialResult], targets: int) -> list[list[TrialResult]]:
    """The trials of each target, in their order."""
    found: list[list[TrialResult]] = [[] for _ in range(targets)]
    for trial in trials:
        found[trial.target].append(trial)
    return found


def mean_rows(trials: Sequence[TrialResult], names: Sequence[str], targets: int) -> list[Row]:
    """The rows of trials.csv: of each trial means over its targets, without a rank.

    Args:
        trials: of all targets.
        names: of the metrics.
        targets: how many there are; a trial of which some are not there has no row.
    """
    members: dict[int, list[TrialResult]] = {}
    for trial in trials:
        members.setdefault(trial.number, []).append(trial)
    rows = [_mean_row(of, names) for of in members.values() if len(of) == targets]
    counts = [f"{name}_count" for name in names]
    some = [n for n in counts if any(row[n] not in (None, targets) for row in rows)]
    return [{name: row[name] for name in row if name in some or name not in counts} for row in rows]


def _mean_row(of: Sequence[TrialResult], names: Sequence[str]) -> Row:
    first, (status, reason) = of[0], _ending(of)
    values = {name: _known(of, name) for name in names}
    means = {name: float(v.mean()) if len(v) else None for name, v in values.items()}
    return {
        "trial": first.number,
        "rank": None,
        "status": status,
        "reason": reason,
        **_common_settings(of),
        **_common_numbers(of),
        **means,
        **{f"{name}_std": None for name in names},
        **{f"{name}_count": len(v) for name, v in values.items()},
    }


def _known(of: Sequence[TrialResult], name: str) -> Any:
    """A metric of the targets that have it."""
    values = np.array([trial.metrics.get(name, math.nan) for trial in of], np.float64)
    return values[~np.isnan(values)]


def _ending(of: Sequence[TrialResult]) -> tuple[str, str]:
    """(status, sentence) of a trial: of its targets the worst off."""
    counts = Counter(trial.status for trial in of)
    if len(counts) == 1 and len({trial.reason for trial in of}) == 1:
        return of[0].status, of[0].reason
    told = next((status for status in _WORST if status in counts), counts.most_common(1)[0][0])
    each = (f"{n:,} {status.replace('_', ' ')}" for status, n in counts.most_common())
    return told, f"of {counted(len(of), 'target')} {', '.join(each)}"


def _common_settings(of: Sequence[TrialResult]) -> Row:
    """Settings; of a path of penalties, which each target begins elsewhere, the mean."""
    found = dict(settings_of(of[0]))
    for path in found:
        values = {trial.settings[path] for trial in of} if of[0].settings != of[-1].settings else ()
        if len(values) > 1:
            found[path] = float(np.mean([trial.settings[path] for trial in of]))
    return found


def _common_numbers(of: Sequence[TrialResult]) -> Row:
    """Means, of epochs and what a solver counts the most; unknown where one is."""
    rows = [numbers_of(trial) for trial in of]
    found: Row = {}
    for name in rows[0]:
        values: list[Any] = [row.get(name) for row in rows]
        if None in values:
            found[name] = None
        elif all(isinstance(value, int) for value in values):
            found[name] = max(values)
        else:
            most = name in ("gradient_max", "gap")
            found[name] = float(np.max(values) if most else np.mean(values))
    return found


def column_rows(
    trials: Sequence[TrialResult], metrics: Sequence[str], metric: str, names: Sequence[str]
) -> list[Row]:
    """The rows of repeats.csv: target by target, the trials of each in the order of rank."""
    rows: list[Row] = []
    for target, of in enumerate(by_target(trials, len(names))):
        for row in repeat_rows(rank(of, metric), metrics, metric):
            trial, repeat = row.pop("trial"), row.pop("repeat")
            rows.append({"trial": trial, "repeat": repeat, TARGET: names[target], **row})
    return rows


def winner_rows(
    chosen: Sequence[Chosen], names: Sequence[str], metrics: Sequence[str], tests: Tests
) -> list[Row]:
    """The rows of groups.csv: a row a target, and a value of the `select.per` paths.

    Args:
        chosen: of each target.
        names: of the targets.
        metrics: their names.
        tests: of the winners.
    """
    cells = {name: test_cells(found) for name, found in tests.items()}
    tested = list(dict.fromkeys(name for found in cells.values() for name in found))
    rows = []
    for target, one in enumerate(chosen):
        for per, trial in winners(one):
            found = cells.get((trial.number, target), {})
            counts = {f"{name}_count": trial.count(name) for name in trial.fewer}
            rows.append(
                {
                    TARGET: names[target],
                    **per,
                    "trial": trial.number,
                    **{p: v for p, v in settings_of(trial).items() if p not in per},
                    **numbers_of(trial),
                    **{name: trial.metrics.get(name) for name in metrics},
                    **{f"{name}_std": trial.stds.get(name) for name in metrics},
                    **counts,
                    **_nested_cells(one, per, metrics),
                    **{name: found.get(name) for name in tested},
                }
            )
    return rows


def winners(chosen: Chosen) -> list[tuple[Mapping[str, Any], TrialResult]]:
    """The winners of one target, by the values of the `select.per` paths if there are any."""
    if of_all := [(g.per, g.trial) for g in chosen.groups if g.repeat is None]:
        return of_all
    return [] if chosen.best is None else [({}, chosen.best)]


def _own_choices(chosen: Chosen, per: Mapping[str, Any]) -> list[TrialResult]:
    """What the repeats chose by inner folds among the trials of some `select.per` paths."""
    own = [group for group in chosen.groups if group.repeat is not None]
    return [group.trial for group in own if {**group.per, **per} == group.per]


def _nested_cells(chosen: Chosen, per: Mapping[str, Any], names: Sequence[str]) -> Row:
    """Means and deviations over what the repeats chose by inner folds; empty without them."""
    own = _own_choices(chosen, per)
    if not own:
        return {}
    means, stds = means_and_stds([trial.metrics for trial in own])
    return {
        **{f"{name}_nested": means.get(name) for name in names},
        **{f"{name}_nested_std": stds.get(name) for name in names},
    }


def _nested(chosen: Chosen, per: Mapping[str, Any], spec: Spec) -> Row:
    own = _own_choices(chosen, per)
    if not own:
        return {}
    means, stds = means_and_stds([trial.metrics for trial in own])
    trials = [trial.number for trial in own]
    told = {"trials": trials, "metrics": means, "std": stds, "nested": nested_facts(own, spec)}
    return {"nested": told}


def target_results(
    chosen: Sequence[Chosen],
    trials: Sequence[TrialResult],
    spec: Spec,
    repeats: int,
    names: Sequence[str],
    left_out: Mapping[str, str],
    fewer: Mapping[int, Mapping[str, int]],
    inner: Mapping[str, int],
    tests: Tests,
) -> Row:
    """The content of results.json, without a best trial: each target has its own.

    Args:
        chosen: of each target.
        trials: of all targets.
        spec: says the rule.
        repeats: columns a trial and target.
        names: of the targets.
        left_out: {target: why it was not trained}.
        fewer: {target: {what rows lack: in how many repeats}}, which it does not have.
        inner: {what the rows of inner folds that do not train lack: of how many, of each target}.
        tests: of the winners.
    """
    metric = chosen[0].metric
    groups = [
        {
            TARGET: names[target],
            "per": dict(per),
            **standing(trial, found),
            **refit_metrics(found),
            **_nested(one, per, spec),
        }
        for target, one in enumerate(chosen)
        for per, trial in winners(one)
        for found in [tests.get((trial.number, target), WinnerTests())]
    ]
    first = [trial for trial in trials if trial.target == 0]
    return {
        "metric": {"name": metric, "goal": "minimize" if is_minimized(metric) else "maximize"},
        "counts": dict(Counter(trial.status for trial in trials)),
        "trials": len(first),
        "repeats": repeats,
        "targets": list(names),
        **({"targets_left_out": dict(left_out)} if left_out else {}),
        **({"inner_left_out": dict(inner)} if inner else {}),
        **({"repeats_left_out": {names[t]: dict(of) for t, of in fewer.items()}} if fewer else {}),
        "axes": axes(first, spec),
        "rule": spec.select.rule,
        "best": None,
        "runner_up": None,
        "groups": groups,
        "without_winner": [
            {TARGET: names[target], **per} for target, one in enumerate(chosen) for per in lost(one)
        ],
        "edges": _edges(chosen),
        "halving": [],
    }


def lost(chosen: Chosen) -> list[Mapping[str, Any]]:
    """The values of the `select.per` paths for which no trial of a target has a rank."""
    if chosen.best is None:
        return [{}]
    return list(chosen.without)


def _edges(chosen: Sequence[Chosen]) -> list[Row]:
    """Ends of axes where winners are, with how many of them; those of most targets first."""
    counts = Counter((edge.path, edge.side) for one in chosen for edge in one.edges)
    found = {(e.path, e.side): e for one in chosen for e in one.edges}
    return [
        {
            "path": path,
            "side": side,
            "value": found[path, side].value,
            "advice": f"{n:,} of {counted(len(chosen), 'target')} {found[path, side].advice}",
        }
        for (path, side), n in counts.most_common()
    ]
