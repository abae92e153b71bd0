"""What a run came to: the tables of trials, repeats, groups and history, the verdict, best.yaml."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.catalog import is_minimized
from trainer.config.schema.optimizer import Solver
from trainer.config.schema.spec import Spec
from trainer.config.schema.sweep import EACH_REPEAT, Select
from trainer.data.sources.beside import wanted_column, without
from trainer.runs.names import PENALTY_COLUMNS, TARGET
from trainer.sweep.select import Chosen, Group, ranks
from trainer.sweep.stopping import Rung
from trainer.sweep.trial_result import ColumnResult, TrialResult
from trainer.sweep.winner_tests import WinnerTests, means_and_stds
from trainer.wording.closing import RankedTrial
from trainer.workflow.nested import inner_scores, nested_facts

if TYPE_CHECKING:
    from trainer.workflow.uncertainty import Uncertainty

Row = dict[str, Any]


def history_rows(
    step: Any,
    epoch: Any,
    metrics: Mapping[str, Any],
    columns: Any,
    trial: Any,
    repeat: Any,
    target: Any = None,
) -> list[Row]:
    """One row a column that takes part in an evaluation; with the name of its target, if any."""
    due = np.flatnonzero(columns)
    whole = {"trial": trial, "repeat": repeat, TARGET: target, "epoch": epoch, "step": step}
    named = {
        name: np.asarray(value)[due].astype(object if name == TARGET else np.int64)
        for name, value in whole.items()
        if value is not None
    }
    named |= {name: np.asarray(value)[due].astype(np.float64) for name, value in metrics.items()}
    cells = (value.tolist() for value in named.values())
    return [dict(zip(named, row, strict=True)) for row in zip(*cells, strict=True)]


def trial_rows(
    ranked: Sequence[TrialResult],
    names: Sequence[str],
    metric: str,
    tests: Mapping[int, WinnerTests] | None = None,
) -> list[Row]:
    """The rows of trials.csv, in the order of rank.

    Args:
        ranked: best first.
        names: of the metrics.
        metric: what they are ranked by.
        tests: test metrics of the winners, by trial.
    """
    places, counted = ranks(ranked, metric), _counted(ranked, names)
    cells, none = {number: test_cells(of) for number, of in (tests or {}).items()}, Row()
    tested = dict.fromkeys(name for of in cells.values() for name in of)
    stds = [(name, f"{name}_std") for name in names]
    return [
        {
            "trial": trial.number,
            "rank": places.get(trial.number),
            "status": trial.status,
            "reason": trial.reason,
            **settings_of(trial),
            **numbers_of(trial),
            **{name: metrics.get(name) for name in names},
            **{std: deviations.get(name) for name, std in stds},
            **_counts(trial, counted),
            **{name: cells.get(trial.number, none).get(name) for name in tested},
        }
        for trial in ranked
        for metrics, deviations in [(trial.metrics, trial.stds)]
    ]


def _counted(trials: Sequence[TrialResult], names: Sequence[str]) -> list[str]:
    """The metrics that some repeats do not have: their means are told with a count."""
    lacking = {name for trial in trials if len(trial.columns) > 1 for name in trial.fewer}
    return [name for name in names if name in lacking]


def _counts(trial: TrialResult, names: Sequence[str]) -> Row:
    """Over how many repeats the means of these metrics are."""
    return {f"{n}_count": trial.count(n) if n in trial.metrics else None for n in names}


def repeat_rows(
    ranked: Sequence[TrialResult],
    names: Sequence[str],
    metric: str,
    called: str | None = None,
    values: Sequence[str | None] = (),
) -> list[Row]:
    """The rows of repeats.csv: a row a column, trials in the order of rank by a metric.

    Args:
        ranked: best first.
        names: of the metrics.
        metric: what they are ranked by.
        called: what the column is called that has the data's name of each fold; None: without.
        values: by repeat that name.
    """
    places = ranks(ranked, metric)
    return [
        {
            "trial": trial.number,
            "repeat": column.repeat,
            **({called: values[column.repeat]} if called else {}),
            "rank": places.get(trial.number),
            "status": column.status,
            "reason": column.reason,
            **settings_of(trial),
            **numbers_of(column),
            **{name: column.metrics.get(name) for name in names},
        }
        for trial in ranked
        for column in trial.columns
    ]


def settings_of(trial: TrialResult) -> Row:
    """The swept keys, without those that have a column of their own, swept or not."""
    return {path: value for path, value in trial.settings.items() if path not in PENALTY_COLUMNS}


def numbers_of(of: TrialResult | ColumnResult) -> Row:
    """Penalties, lengths and what a solver knows, as tables have them."""
    return {
        "penalty.l2": of.l2,
        "penalty.l1": of.l1,
        "penalty.C": of.C,
        "epochs": of.epochs,
        "best_epoch": of.best_epoch,
        "grad_norm": of.grad_norm,
        **{name: _fact(name, value) for name, value in of.facts.items()},
    }


def _fact(name: str, value: float) -> float | int | None:
    """Counts as whole numbers; None for what is not known."""
    if not math.isfinite(value):
        return None
    return int(value) if name in ("iterations", "evaluations") else value


def ranking(ranked: Sequence[TrialResult], metric: str) -> list[RankedTrial]:
    """What the terminal's table says of trials, best first by a metric."""
    places = ranks(ranked, metric)
    return [
        {
            "rank": places.get(trial.number),
            "trial": trial.number,
            "status": trial.status,
            "settings": trial.settings,
            "metrics": trial.metrics,
            "std": trial.stds,
            "defined": trial.fewer,
        }
        for trial in ranked
    ]


def winner_tests(chosen: Chosen, tests: Mapping[int, WinnerTests]) -> dict[int, WinnerTests]:
    """Test metrics of the trials that won by their means: all their repeats are scored."""
    by_mean = [group.trial.number for group in chosen.groups if group.repeat is None]
    numbers = [chosen.best.number, *by_mean] if chosen.best else by_mean
    return {number: tests[number] for number in numbers if number in tests}


def test_cells(tests: WinnerTests) -> Row:
    """Mean and deviation over the repeats, and what the refit has, side by side."""
    stds, refit = tests.stds, tests.of_refit
    return {
        **tests.means,
        **{f"{name}_std": value for name, value in stds.items()},
        **{f"{name}_refit": value for name, value in refit.items()},
    }


def _group_tests(group: Group, tests: Mapping[int, WinnerTests]) -> WinnerTests:
    """Those of a group's winner; of a repeat's own winner in that repeat alone."""
    found = tests.get(group.trial.number, WinnerTests())
    if group.repeat is None:
        return found
    return WinnerTests({r: of for r, of in found.of_repeats.items() if r == group.repeat})


def group_rows(chosen: Chosen, names: Sequence[str], tests: Mapping[int, WinnerTests]) -> list[Row]:
    """The rows of groups.csv: a row a value of the `select.per` paths.

    Args:
        chosen: with the winner of each group.
        names: of the metrics.
        tests: test metrics of the winners, by trial.
    """
    cells = [test_cells(_group_tests(group, tests)) for group in chosen.groups]
    each = any(group.repeat is not None for group in chosen.groups)
    tested = list(dict.fromkeys(name for of in cells for name in of))
    counted = _counted([group.trial for group in chosen.groups], names)
    return [
        {
            **group.per,
            **({EACH_REPEAT: group.repeat} if each else {}),
            "trial": group.trial.number,
            **{p: v for p, v in settings_of(group.trial).items() if p not in group.per},
            **numbers_of(group.trial),
            **{name: group.trial.metrics.get(name) for name in names},
            **{f"{name}_std": group.trial.stds.get(name) for name in names},
            **_counts(group.trial, counted),
            **{name: of.get(name) for name in tested},
        }
        for group, of in zip(chosen.groups, cells, strict=True)
    ]


def results(
    chosen: Chosen,
    ranked: Sequence[TrialResult],
    spec: Spec,
    repeats: int,
    tests: Mapping[int, WinnerTests],
    refit: Row | None,
    rungs: Sequence[Rung],
    parts: Mapping[str, tuple[int, int]] | None = None,
    uncertain: Uncertainty | None = None,
    left_out: Mapping[str, str] | None = None,
    inner: Mapping[str, int] | None = None,
) -> Row:
    """The content of results.json.

    Args:
        chosen: the choice.
        ranked: all trials.
        spec: says the rule.
        repeats: columns a trial.
        tests: test metrics of the winners, by trial.
        refit: rows and epochs of the chosen trial's refit, or None.
        rungs: what halving dropped.
        parts: {metric: (classes or outputs that it is the mean over, all)} of the chosen trial,
            where these are fewer.
        uncertain: intervals of its metrics, or None.
        left_out: {repeat that no trial has: what its rows lack}.
        inner: {what the rows of inner folds that do not train lack: how many do}.
    """
    return {
        "metric": {
            "name": chosen.metric,
            "goal": "minimize" if is_minimized(chosen.metric) else "maximize",
        },
        "counts": dict(Counter(trial.status for trial in ranked)),
        "trials": len(ranked),
        "repeats": repeats,
        **({"left_out": dict(left_out)} if left_out else {}),
        **({"inner_left_out": dict(inner)} if inner else {}),
        "axes": axes(ranked, spec),
        "rule": spec.select.rule,
        "best": _best(chosen, tests, refit, parts or {}, uncertain),
        "runner_up": _runner_up(chosen, uncertain),
        **({"intervals": dict(uncertain.facts)} if uncertain else {}),
        "groups": [_group(group, _group_tests(group, tests)) for group in chosen.groups],
        **_per_repeat(chosen, tests, spec),
        **({"without_winner": [dict(per) for per in chosen.without]} if chosen.without else {}),
        "edges": [
            {"path": edge.path, "side": edge.side, "value": edge.value, "advice": edge.advice}
            for edge in chosen.edges
        ],
        "halving": [
            {"evaluation": r.evaluation, "alive": r.alive, "kept": r.kept, "dropped": r.dropped}
            for r in rungs
        ],
    }


def _best(
    chosen: Chosen,
    tests: Mapping[int, WinnerTests],
    refit: Row | None,
    parts: Mapping[str, tuple[int, int]],
    uncertain: Uncertainty | None,
) -> Row | None:
    best = chosen.best
    if best is None:
        return None
    of_tests = tests.get(best.number, WinnerTests())
    own = again = _ends(uncertain) if uncertain else {}
    if refit is not None:  # by whose model test rows are drawn anew
        own = {name: ends for name, ends in again.items() if not name.startswith("test_")}
        again = {name: ends for name, ends in again.items() if name not in own}
        if of_tests.of_refit:
            refit = refit | {"metrics": dict(of_tests.of_refit)}
        refit = refit | ({"intervals": again} if again else {})
    return {
        **standing(best, of_tests),
        **({"parts": dict(parts)} if parts else {}),
        **({} if chosen.judged is None else {"inner": inner_scores(chosen.judged)}),
        "epochs": best.epochs,
        "best_epoch": best.best_epoch,
        "refit": refit,
        **({"intervals": own} if uncertain else {}),
    }


def _ends(uncertain: Uncertainty) -> dict[str, list[float]]:
    return {name: [found.low, found.high] for name, found in uncertain.metrics.items()}


def _runner_up(chosen: Chosen, uncertain: Uncertainty | None) -> Row | None:
    if chosen.runner_up is None:
        return None
    ends = uncertain.margin if uncertain else None
    return {
        **standing(chosen.runner_up),
        "margin": chosen.margin,
        "standard_errors": chosen.standard_errors,
        **({} if chosen.ahead_in is None else {"ahead_in": chosen.ahead_in}),
        **({"margin_interval": [ends.low, ends.high]} if ends else {}),
        **({} if chosen.held_ratio is None else {"held_ratio": chosen.held_ratio}),
        **({} if chosen.paired else {"paired": False}),
    }


def _group(group: Group, tests: WinnerTests) -> Row:
    return {"per": dict(group.per), **standing(group.trial, tests), **refit_metrics(tests)}


def refit_metrics(tests: WinnerTests) -> Row:
    """What a group says of the model that was trained again; empty without one."""
    return {"refit": {"metrics": dict(tests.of_refit)}} if tests.of_refit else {}


def _per_repeat(chosen: Chosen, tests: Mapping[int, WinnerTests], spec: Spec) -> Row:
    """Where each repeat chose for itself, means over their winners, for each value of the rest.

    By inner folds they are scores of the choice itself, whose repeat has no part in it.
    """
    rest: dict[tuple[Any, ...], list[Group]] = {}
    for group in chosen.groups:
        if group.repeat is not None:
            per = tuple((path, of) for path, of in group.per.items() if path != EACH_REPEAT)
            rest.setdefault(per, []).append(group)
    found = []
    for per, groups in rest.items():
        of_tests = [_group_tests(group, tests).means for group in groups]
        both = [{**g.trial.metrics, **of} for g, of in zip(groups, of_tests, strict=True)]
        means, stds = means_and_stds(both)
        trials = [group.trial.number for group in groups]
        inner = nested_facts([g.trial for g in groups], spec)
        of_all = {"per": dict(per), "trials": trials, "metrics": means, "std": stds}
        found.append(of_all | ({"nested": inner} if inner else {}))
    return {"per_repeat": found} if found else {}


_NO_TESTS = WinnerTests()


def standing(trial: TrialResult, tests: WinnerTests = _NO_TESTS) -> Row:
    """A trial and how it did, as results.json has it."""
    return {
        "trial": trial.number,
        "settings": dict(trial.settings),
        "metrics": {**trial.metrics, **tests.means},
        "std": {**trial.stds, **tests.stds},
        **({"defined": trial.fewer} if trial.fewer else {}),
    }


def axes(trials: Sequence[TrialResult], spec: Spec) -> dict[str, list[Any]]:
    """The swept paths with their values, those of penalty paths as the data made them."""
    in_order = sorted(trials, key=lambda trial: trial.number)
    return {
        path: list(dict.fromkeys(t.settings[path] for t in in_order if path in t.settings))
        for path in spec.axes
    }


# ---------------------------------------------------------------- a config of the chosen trial


def refit_spec(trial: TrialResult, rows: str) -> Spec:
    """The chosen trial as a plain run on more rows, for as long as it was best.

    Args:
        trial: with the epoch that counts.
        rows: "train", or "train+val", which a config can say where val is a fraction of train.
    """
    spec = trial.spec
    data = spec.data
    if rows == "train+val":
        data = data.model_copy(update={"val": "none"})
    plain = {"data": data, "early_stopping": None, "repeat": None, "select": Select()}
    o = spec.optimizer
    if isinstance(o, Solver):
        return spec.model_copy(update=plain)
    cosine = o.schedule.name == "cosine"
    length = (o.schedule.length or o.steps or o.epochs) if cosine else None
    schedule = o.schedule.model_copy(update={"length": length})
    until = {"steps": trial.best_step} if o.steps else {"epochs": trial.best_epoch}
    optimizer = o.model_copy(update={"schedule": schedule, **until})
    return spec.model_copy(update={**plain, "optimizer": optimizer})


def best_yaml(trial: TrialResult, refit: str | None) -> str:
    """The chosen trial as a config that trains its model.

    Without a refit folds have none to train: it is then the refit that they did not get.

    Args:
        trial: the chosen one.
        refit: the rows its model was trained on again, or None.
    """
    spec = trial.spec
    if refit is not None and (refit == "train" or not _has_own_val(spec)):
        return _without_column(refit_spec(trial, refit), spec).to_yaml()
    repeat = spec.repeat
    if refit is None and repeat is not None and repeat.holds_out:
        return _without_column(refit_spec(trial, "train"), spec).to_yaml()
    few_shot = repeat.few_shot if repeat is not None else None
    if repeat is not None and few_shot is not None:
        few_shot = few_shot.model_copy(update={"tries": 1})
        repeat = repeat.model_copy(update={"few_shot": few_shot, "seeds": 1, "inner_folds": None})
    else:
        repeat = None
    select = Select(refit="train+val") if refit else Select()
    return spec.model_copy(update={"repeat": repeat, "select": select}).to_yaml()


def _without_column(plain: Spec, spec: Spec) -> Spec:
    """A spec without folds that has no feature of the column by which another makes them."""
    train = without(plain.data.train, wanted_column(spec))
    return plain.model_copy(update={"data": plain.data.model_copy(update={"train": train})})


def _has_own_val(spec: Spec) -> bool:
    return not isinstance(spec.data.val, float) and spec.data.val != "none"
