"""Charts of how a run went: against the step, and against the epoch of each evaluation."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trainer.catalog import METRICS
from trainer.report.charts.chart import (
    Chart,
    Series,
    Trace,
    View,
    above_0,
    colour,
    dash,
    layout,
    line,
    y_scale,
)
from trainer.report.charts.downsample import downsample, noisy, smooth, spans_decades
from trainer.text import arrow
from trainer.text.numbers import counted, number

if TYPE_CHECKING:
    from trainer.report.run_data import RunData

MOST_CURVES = 50
LEAST_POINTS = 3  # of a curve: two points are a straight line, whatever lies between them
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class LoggedColumn:
    """One column of the stack: its logged steps, in order.

    Attributes:
        trial, repeat: which.
        values: what was logged, by name.
        apart: whether it ran away and others did not: no axis is stretched to show it whole.
    """

    trial: int
    repeat: int
    values: dict[str, NDArray[Any]]
    apart: bool = False

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.values[name]


def columns(table: pa.Table | None, trials: Sequence[dict[str, Any]] = ()) -> list[LoggedColumn]:
    """The columns of a table of steps or of evaluations, the best trials first, at most 50.

    Args:
        table: has `trial` and `repeat`.
        trials: rows of trials.csv, best first.
    """
    if table is None:
        return []
    values = {name: arrow.numbers(table[name]) for name in table.column_names}
    trial, repeat = values["trial"].astype(np.int64), values["repeat"].astype(np.int64)
    pair = (trial << 32) | repeat
    order = np.argsort(pair, kind="stable")  # each column in one piece, its rows still in order
    starts = np.flatnonzero(np.diff(pair[order], prepend=-1))
    ends = np.append(starts[1:], len(pair))
    place = {row["trial"]: i for i, row in enumerate(trials)}
    first = order[starts]
    pairs = zip(trial[first].tolist(), repeat[first].tolist(), strict=True)
    found = sorted((place.get(t, len(place)), t, r, i) for i, (t, r) in enumerate(pairs))
    return [
        LoggedColumn(t, r, {name: v[order[starts[i] : ends[i]]] for name, v in values.items()})
        for _, t, r, i in found[:MOST_CURVES]
    ]


def set_apart(found: Sequence[LoggedColumn], diverged: Sequence[bool]) -> list[LoggedColumn]:
    """The columns, those that diverged set apart unless all did."""
    if all(diverged):
        return list(found)
    return [replace(column, apart=gone) for column, gone in zip(found, diverged, strict=True)]


def in_sight(found: Sequence[LoggedColumn], name: str) -> list[NDArray[Any]]:
    """A logged value of each column that its axis must show."""
    return [column[name] for column in found if not column.apart]


def step_charts(run_data: RunData) -> list[Chart]:
    """Loss, error and dL/dz, gradient norm and lr against the step; none of too few steps."""
    found = columns(run_data.steps, run_data.best_first)
    if not found or max(len(column["step"]) for column in found) < LEAST_POINTS:
        return []
    found = set_apart(found, [run_data.diverged(column.trial, column.repeat) for column in found])
    evaluated = columns(run_data.history, run_data.best_first)
    rate = ("Learning rate", "How far a step goes, as scheduled.")
    if run_data.solved:
        rate = STEP_LENGTH
        found = [without_start(column) for column in found]
        evaluated = [at_end(column, found[0]) for column in evaluated]
    return [
        _loss_chart(run_data, found, evaluated),
        _error_chart(run_data, found),
        _one_chart(
            run_data,
            "Gradient norm",
            "‖dJ/dW‖, the slope of the objective: near 0 the weights have come to rest.",
            "grad_norm",
            found,
        ),
        _one_chart(run_data, *rate, "lr", found),
    ]


STEP_LENGTH = (
    "Step length",
    "Of the step that the solver proposed: below 1 J would have risen.",
)


def without_start(column: LoggedColumn) -> LoggedColumn:
    """A solver's column without the length of its start, which no step led to."""
    lengths = column["lr"].astype(np.float64)
    return replace(column, values={**column.values, "lr": np.where(lengths > 0, lengths, np.nan)})


def at_end(evaluated: LoggedColumn, logged: LoggedColumn) -> LoggedColumn:
    """A solver's one evaluation, an iteration, moved to where its log, of evaluations, ends."""
    last = np.full_like(evaluated["step"], logged["step"][-1])
    return replace(evaluated, values={**evaluated.values, "step": last})


def first_and_last(run_data: RunData) -> tuple[str, list[str], list[list[str]]]:
    """(sentence, head, rows) of a log that is too short for curves; no rows if there is none."""
    found = columns(run_data.steps, run_data.best_first)
    if not found or step_charts(run_data):
        return "", [], []
    column = found[0]
    what = "evaluation" if run_data.solved else "step"
    count = len(column["step"])
    ends = [0, count - 1] if count > 1 else [0]
    names = {
        "loss": "loss",
        "error_rms": "ŷ − y, root mean square",
        "grad_norm": "‖dJ/dW‖, the gradient's norm",
    }
    rows = [
        [label, *(number(float(column[name][i])) for i in ends)] for name, label in names.items()
    ]
    head = ["value", *(f"{what} {int(column['step'][i]):,}" for i in ends)]
    told = f"{counted(count, what)} {'was' if count == 1 else 'were'} logged: no curve to draw."
    return told, head, rows


def curve(
    column: LoggedColumn,
    name: str,
    label: str,
    stroke: str,
    dashed: str = "solid",
    alone: bool = True,
) -> Series:
    """One logged value against the step: the raw curve, and a smoothed one over it if it helps.

    Args:
        column: whose.
        name: which value.
        label: for the legend.
        stroke: its colour.
        dashed: its dash.
        alone: False leaves the raw curve out where a smoothed one is drawn: of many curves the raw
            ones are a thicket.
    """
    step, value = column["step"], column[name].astype(np.float64)
    apart = column.apart
    if not noisy(value):
        trace = line(*downsample(step, value), stroke, label, dashed=dashed, apart=apart)
        return Series(label, stroke, (trace,), dashed)
    over = line(
        *downsample(step, smooth(value), 600), stroke, label, width=2, dashed=dashed, apart=apart
    )
    if not alone:
        return Series(label, stroke, (over,), dashed)
    under = line(
        *downsample(step, value), f"{stroke}/0.3", label, width=1, hover=False, apart=apart
    )
    return Series(label, stroke, (under, over), dashed)


def _family(found: list[LoggedColumn], name: str, label: str) -> Iterator[Series]:
    """One value of all columns: the first in colour, the others as a grey band behind it."""
    rest: list[Trace] = []
    for column in found[1:]:
        rest += curve(column, name, "others", "var(--faint)", alone=False).traces
    if rest:
        yield Series("other repeats", "var(--faint)", tuple(rest))
    yield curve(found[0], name, label, "var(--blue)")


def _loss_chart(
    run_data: RunData, found: list[LoggedColumn], evaluated: list[LoggedColumn]
) -> Chart:
    rows = "training rows" if run_data.solved else "batches of training rows"
    series = list(_family(found, "loss", rows))
    curves = in_sight(found, "loss")
    note = "The data term alone, without penalty; each step before its update."
    if run_data.solved:
        note = "The data term alone, without penalty, of the point each iteration reached."
    if evaluated and "val_loss" in evaluated[0].values:
        step, value = evaluated[0]["step"], evaluated[0]["val_loss"].astype(np.float64)
        curves.append(value)
        trace = line(*downsample(step, value), "var(--vermillion)", "validation rows")
        if len(step) <= 60:
            trace |= {"mode": "lines+markers", "marker": {"size": 4}}
        series.append(Series("validation rows", "var(--vermillion)", (trace,)))
    marks = _best_mark(run_data, found[0])
    view = View("", tuple(series), _by_step(run_data, found, y_scale(*curves), **marks))
    return Chart("Loss", note, (view,), log=above_0(*curves))


def _best_mark(run_data: RunData, column: LoggedColumn) -> dict[str, Any]:
    """A line where the weights that count were reached, unless that is the end."""
    best, epochs = run_data.best_row.get("best_epoch"), run_data.best_row.get("epochs")
    lost = run_data.best_row.get("status") == "diverged"
    if lost or not best or not epochs or best >= epochs:
        return {}
    inside = column["step"][column["epoch"] <= best]
    if not len(inside):
        return {}
    x = int(inside[-1])
    rule = {"color": "var(--soft)", "width": 1, "dash": "dot"}
    return {
        "shapes": [
            {"type": "line", "xref": "x", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1}
            | {"line": rule}
        ],
        "annotations": [
            {
                "x": x,
                "y": 1,
                "xref": "x",
                "yref": "paper",
                "text": f"best: epoch {best}",
                "showarrow": False,
                "xanchor": "right",
                "yanchor": "top",
                "xshift": -4,
                "font": {"size": 12, "color": "var(--soft)"},
            }
        ],
    }


def _error_chart(run_data: RunData, found: list[LoggedColumn]) -> Chart:
    first = found[0]
    series = (
        curve(first, "error_max", "largest |ŷ − y|", "var(--sky)"),
        curve(first, "error_rms", "ŷ − y, rms", "var(--blue)"),
        curve(first, "dz_rms", "dL/dz, rms", "var(--orange)", "dash", alone=False),
    )
    curves = [first[name] for name in ("error_max", "error_rms", "dz_rms")]
    view = View("", series, _by_step(run_data, found, y_scale(*curves)))
    note = error_note(run_data, first)
    return Chart("Error and dL/dz", note, (view,), log=above_0(*curves))


def error_note(run_data: RunData, column: LoggedColumn) -> str:
    """What the curves of ŷ − y and of dL/dz say about each other."""
    error, dz = column["error_rms"].astype(np.float64), column["dz_rms"].astype(np.float64)
    if np.array_equal(error, dz, equal_nan=True):
        rows = "all training rows" if run_data.solved else "the rows of a batch"
        return f"ŷ − y over {rows}. It is also dL/dz, so those two curves are one."
    last = max(len(error) // 20, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = float(np.nanmean(dz[-last:]) / np.nanmean(error[-last:]))
    told = (
        f"In the last steps {number(100 * share, 2)} % of it arrives" if np.isfinite(share) else ""
    )
    apart = run_data.apart
    if apart is None:
        return f"ŷ − y over the rows of a batch, and dL/dz. {told}."
    return f"The two part: {apart.name} has dL/dz = {apart.dz}. {told}: {apart.plateau}."


def _one_chart(
    run_data: RunData, title: str, note: str, name: str, found: list[LoggedColumn]
) -> Chart:
    series = tuple(_family(found, name, title))
    curves = in_sight(found, name)
    scale = y_scale(*curves)
    if name == "lr" and not spans_decades(np.array([np.nanmax(curve) for curve in curves])):
        scale |= {"type": "linear", "rangemode": "tozero", "tickformat": ",~g"}  # it ends near 0
    view = View("", series, _by_step(run_data, found, scale))
    return Chart(title, note, (view,), log=above_0(*curves))


def _by_step(
    run_data: RunData, found: list[LoggedColumn], scale: dict[str, Any], **more: Any
) -> dict[str, Any]:
    last = max(int(column["step"][-1]) for column in found)
    unit = "evaluation" if run_data.solved else "step"
    return layout(unit, x_axis=counted_axis(unit, last), y_axis=scale, **more)


def counted_axis(unit: str, last: int) -> dict[str, Any]:
    """An x axis of steps or epochs from 0 to the last."""
    room = 0.015 * last  # for half a marker
    return {
        "range": [-room, last + room],
        "unifiedhovertitle": {"text": f"{unit} %{{x:,d}}"},
        **({"nticks": 8} if last > 8 else {"dtick": 1}),  # there is no half a step
    }


def epoch_charts(run_data: RunData) -> list[Chart]:
    """The validation metrics against the epoch: shares of 1 together, each other on its own."""
    found = columns(run_data.history, run_data.best_first)
    if not found:
        return []
    repeats = [column for column in found if column.trial == found[0].trial]
    first = _mean(repeats)
    if run_data.solved or len(first["epoch"]) < 2:  # one evaluation, which the head has: no curve
        return []
    read = {name: first.values.get(f"val_{name}", np.zeros(0)) for name in METRICS}
    names = [name for name, value in read.items() if np.isfinite(value).any()]
    together = [name for name in names if METRICS[name].to_1]
    alone = [name for name in names if name not in together and not METRICS[name].is_loss]
    charts = []
    if together:
        charts.append(_metric_chart(run_data, first, together, "Validation metrics"))
    charts += [
        _metric_chart(run_data, first, [name], f"Validation {run_data.metric_label(name)}")
        for name in alone
    ]
    if len(repeats) > 1:
        mean = f" Means over {len(repeats)} repeats."
        charts = [replace(chart, note=chart.note + mean) for chart in charts]
    return charts


def _mean(repeats: Sequence[LoggedColumn]) -> LoggedColumn:
    """The mean of the columns of one trial, over the evaluations that all of them have."""
    first, *others = repeats
    if not others:
        return first
    length = min(len(column["epoch"]) for column in repeats)
    values = {name: value[:length] for name, value in first.values.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an evaluation that none has
        for name in (name for name, value in values.items() if value.dtype.kind == "f"):
            values[name] = np.nanmean([column[name][:length] for column in repeats], axis=0)
    return LoggedColumn(first.trial, first.repeat, values)


def _metric_chart(run_data: RunData, first: LoggedColumn, names: list[str], title: str) -> Chart:
    unit = "step" if run_data.config.get("optimizer", {}).get("steps") else "epoch"
    x = first[unit]
    series = []
    for i, name in enumerate(names):
        y = first[f"val_{name}"].astype(np.float64)
        label = run_data.metric_label(name)
        trace = line(*downsample(x, y), colour(i), label, dashed=dash(i))
        trace["zorder"] = -i  # where curves meet, the first lies on top
        if len(x) <= 60:
            trace |= {"mode": "lines+markers", "marker": {"size": 4}}
        series.append(Series(label, colour(i), (trace,), dash(i)))
    axis: dict[str, Any] = {"nticks": 6}
    if all(METRICS[name].is_share for name in names):
        axis["tickformat"] = ".2~%"
    axis = y_scale(*(first[f"val_{name}"] for name in names)) | axis
    if not all(METRICS[name].decades for name in names):
        axis["type"] = "linear"
    x_axis = counted_axis(unit, int(x[-1]))
    note = "After each evaluation, on rows that no step has seen."
    return Chart(title, note, (View("", tuple(series), layout(unit, x_axis=x_axis, y_axis=axis)),))
