"""Several runs on one page: their metrics side by side, the keys that differ, their curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.catalog import METRICS, is_share
from trainer.report.charts.chart import (
    Chart,
    Series,
    View,
    above_0,
    colour,
    dash,
    layout,
    line,
    y_scale,
)
from trainer.report.charts.downsample import downsample, noisy, smooth
from trainer.report.charts.training import (
    LEAST_POINTS,
    MOST_CURVES,
    STEP_LENGTH,
    LoggedColumn,
    columns,
    counted_axis,
    set_apart,
    without_start,
)
from trainer.report.headline import manifest_seconds
from trainer.report.html import chart, document, esc, section, swatch, table
from trainer.report.paired import RESAMPLES, Difference, Differences, differences, level_of
from trainer.statistics.intervals import FEWEST_UNITS, fewest_resamples
from trainer.text.names import cut_apart
from trainer.text.numbers import counted, metric, percent, split_name, text
from trainer.text.numbers import number as decimal
from trainer.wording.intervals import ends_text

if TYPE_CHECKING:
    from trainer.report.run_data import RunData

_ABSENT = object()
_SLOPE = "‖dJ/dW‖, the slope of the objective."
_STEPS = {
    "loss": ("Loss", "The data term of each step's batch, smoothed where it is noisy."),
    "error_rms": ("Error", "ŷ − y over the rows of a batch, root mean square."),
    "grad_norm": ("Gradient norm", _SLOPE),
    "lr": ("Learning rate", "How far a step goes, as scheduled."),
}
_EVALUATIONS = {  # of solvers: all rows each, so no axis of theirs is one of steps
    "loss": ("Loss of solvers", "The data term over all training rows."),
    "error_rms": ("Error of solvers", "ŷ − y over all training rows, root mean square."),
    "grad_norm": ("Gradient norm of solvers", _SLOPE),
    "lr": STEP_LENGTH,
}


def compare_page(runs: Sequence[RunData]) -> bytes:
    """The page as HTML.

    Args:
        runs: two or more.
    """
    names = labels(runs)
    title = f"{counted(len(runs), 'run')} compared"
    statuses = sorted({run.status for run in runs})
    parts = [
        f'<header><ul class="kicker"><li>{esc(", ".join(statuses))}</li></ul>'
        f"<h1>{esc(title)}</h1></header>",
        _notices(runs),
        section("Metrics", _card(_metrics_table(runs, names))),
        section("Paired differences", _card(_paired_table(runs, names))),
        section("Keys that differ", _card(_keys_table(runs, names))),
        section("Curves", *map(chart, _curves(runs, names))),
    ]
    return document(title, "\n".join(filter(None, parts)))


def labels(runs: Sequence[RunData]) -> list[str]:
    """A name for each run: its own, with its folder's behind it where that is needed."""
    names = [run.name for run in runs]
    found = [
        name if names.count(name) == 1 else f"{name}, {text(run.folder.name)}"
        for name, run in zip(names, runs, strict=True)
    ]
    return [
        name if found.count(name) == 1 else f"{name} ({place + 1})"
        for place, name in enumerate(found)
    ]


def differing(runs: Sequence[RunData]) -> dict[str, list[Any]]:
    """{dotted key: its value in each run} of the keys of config.yaml that are not all equal.

    A key that a run does not have has None there. A sweep has its best trial's values.
    """
    flat = [_keys(run) for run in runs]
    keys = dict.fromkeys(key for of_run in flat for key in of_run)
    found = {key: [of_run.get(key, _ABSENT) for of_run in flat] for key in keys}
    return {
        key: [None if value is _ABSENT else value for value in values]
        for key, values in found.items()
        if any(repr(value) != repr(values[0]) for value in values)
    }


def _keys(run: RunData) -> dict[str, Any]:
    """config.yaml by dotted keys; a sweep's as its best trial has them."""
    flat = _flat(run.config)
    if not run.is_sweep:
        return flat
    settings = run.best.get("settings") or {}
    flat = {key: value for key, value in flat.items() if key.split(".")[0] != "sweep"}
    trials = {"sweep": counted(len(run.trials), "trial")} if len(run.trials) > 1 else {}
    return flat | dict(settings) | trials


def _flat(tree: Mapping[Any, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{before}{key}.")
        else:
            flat[f"{before}{key}"] = value
    return flat


def _notices(runs: Sequence[RunData]) -> str:
    digests = {run.data.get("digest") for run in runs}
    found = []
    if len(digests) > 1:
        found.append(("Different data", "These runs read different data; weigh their metrics so."))
    if short := [name for name, run in zip(labels(runs), runs, strict=True) if _short(run)]:
        found.append(("Curves", f"Without {', '.join(short)}: too few steps for a curve."))
    if len(runs) > MOST_CURVES:
        found.append(("Curves", f"Those of the first {MOST_CURVES} runs are drawn."))
    inner = "".join(f'<p class="notice"><b>{esc(a)}</b> {esc(b)}</p>' for a, b in found)
    return f'<div class="notices">{inner}</div>' if inner else ""


def _card(inner: str) -> str:
    return f'<div class="card wide">{inner}</div>' if inner else ""


def _sample(i: int) -> str:
    return swatch(colour(i), dash(i))


def _named(names: Sequence[str]) -> list[str]:
    return [
        f'<span title="{esc(name)}">{_sample(i)}{esc(shown)}</span>'
        for i, (name, shown) in enumerate(zip(names, cut_apart(names, 60), strict=True))
    ]


def _metrics_table(runs: Sequence[RunData], names: Sequence[str]) -> str:
    """A run a row, a metric a column, the best of each in bold where all read the same data."""
    measured = [
        (split, name)
        for split in dict.fromkeys(split for run in runs for split in run.metrics)
        for name in METRICS
        if any(name in run.metrics.get(split, {}) for run in runs)
    ]
    alike = len({run.data.get("digest") for run in runs}) == 1  # else none is the best
    cells: list[list[str]] = [[] for _ in runs]
    for split, name in measured:
        values = [run.metrics.get(split, {}).get(name) for run in runs]
        known = [value for value in values if value is not None]
        most = (max if METRICS[name].greater_is_better else min)(known)
        for of_run, value in zip(cells, values, strict=True):
            best = alike and value == most and len(set(known)) > 1
            shown = esc(metric(value, is_share(name)))
            of_run.append(f'<span class="best">{shown}</span>' if best else shown)
    head = ["run", *(f"{esc(split_name(s))}<br>{esc(_label(runs, n))}" for s, n in measured)]
    rows = [
        [name, *of_run, esc(run.status), esc(manifest_seconds(run))]
        for name, run, of_run in zip(_named(names), runs, cells, strict=True)
    ]
    return table([*head, "status", "time"], rows, kind="full sticky", label="Metrics of each run")


def _paired_table(runs: Sequence[RunData], names: Sequence[str]) -> str:
    """A metric a row, a run a column: how much more it has than the first, on the same rows."""
    level, first = level_of(runs[0]), names[0]
    found = [differences(run, runs[0], level) for run in runs[1:]]
    measured = [
        (split, name)
        for split in dict.fromkeys(split for of in found for split in of)
        for name in METRICS
        if any(name in of.get(split, {}) for of in found)
    ]
    if not measured:
        return ""
    rows = [
        [
            esc(f"{split_name(split)} {_label(runs, name)}"),
            *(_difference(of.get(split, {}).get(name), name) for of in found if of),
        ]
        for split, name in measured
    ]
    named = zip(_named(names)[1:], found, strict=True)
    head = ["metric", *(name for name, of in named if of)]
    told = f"Each run minus {first}, on rows that both predicted{_drawn_text(found, level)}"
    told += " Rows of validation that have chosen favour what they chose."
    without = [name for name, of in zip(names[1:], found, strict=True) if not of]
    told += f" Without {', '.join(without)}: it predicted other rows." if without else ""
    inner = table(head, rows, kind="full sticky", label="Paired differences")
    return f'<p class="note">{esc(told)}</p>{inner}'


def _drawn_text(found: Sequence[Differences], level: float) -> str:
    """What the ends of differences are, and why some have none: behind a sentence's words."""
    few, share = fewest_resamples(level), f"{100 * level:g} %"
    if few > RESAMPLES:
        return f"; without [ ], as {share} takes {few:,} draws, more than a page makes."
    told = (
        f": [ ] has the middle {share} of up to {RESAMPLES:,} draws of these rows, the same for"
        " both, the models as they are. In bold: without 0."
    )
    every = [one for of in found for split in of.values() for one in split.values()]
    if any(one.interval is None for one in every):
        told += (
            f" Without [ ]: fewer than {FEWEST_UNITS} rows or groups to draw from, so many rows"
            " that draws take long, or draws that do not define it."
        )
    return told


def _difference(found: Difference | None, name: str) -> str:
    if found is None:
        return "–"
    value, interval = found

    def number(of: float) -> str:
        """A share in percent, its minus as in other numbers."""
        return percent(of).replace("-", "−") if is_share(name) else decimal(of, 3)

    shown = esc(f"{'+' if value > 0 else ''}{number(value)}")
    if interval is None:
        return shown
    shown = f"{shown} {esc(ends_text((interval.low, interval.high), number))}"
    apart = interval.low > 0 or interval.high < 0
    return f'<span class="best">{shown}</span>' if apart else shown


def _label(runs: Sequence[RunData], name: str) -> str:
    """What a metric is called where all runs call it so; else its name for any run."""
    called = {run.metric_label(name) for run in runs}
    return called.pop() if len(called) == 1 else METRICS[name].label


def _keys_table(runs: Sequence[RunData], names: Sequence[str]) -> str:
    """A key a row, a run a column."""
    rows = [
        [f"<code>{esc(text(key))}</code>", *_values(values)]
        for key, values in differing(runs).items()
    ]
    if not rows:
        return '<p class="note">None: their config.yaml say the same.</p>'
    return table(["key", *_named(names)], rows, kind="full sticky", label="Keys that differ")


def _values(values: Sequence[Any]) -> list[str]:
    """The values of one key, a run each."""
    words = [text(value) if value is not None else "–" for value in values]
    shown = zip(words, cut_apart(words, 40), strict=True)
    return [f'<span title="{esc(word)}">{esc(cut)}</span>' for word, cut in shown]


def _curves(runs: Sequence[RunData], names: Sequence[str]) -> list[Chart]:
    """The best trial of each run, overlaid: logged values by step, metrics by epoch."""
    steps = _best_columns(runs, "steps", LEAST_POINTS)
    evaluations = _best_columns(runs, "history", 2)
    found = []
    for solved, unit, titles in ((False, "step", _STEPS), (True, "evaluation", _EVALUATIONS)):
        of_kind = {i: column for i, column in steps.items() if runs[i].solved == solved}
        if solved:
            of_kind = {i: without_start(column) for i, column in of_kind.items()}
        for name, (title, note) in titles.items():
            drawn = {i: column for i, column in of_kind.items() if name in column.values}
            found.append(_overlaid(title, note, unit, name, drawn, names))
    for name in METRICS:
        drawn = {
            i: column
            for i, column in evaluations.items()
            if f"val_{name}" in column.values and not runs[i].solved
        }
        title = f"Validation {_label(runs, name)}"
        note = "After each evaluation, on rows that no step has seen."
        found.append(_overlaid(title, note, "epoch", f"val_{name}", drawn, names))
    return [drawing for drawing in found if drawing is not None]


def _short(run: RunData) -> bool:
    """Whether a run's log is too short for a curve, as a closed form's is."""
    found = columns(run.steps, run.best_first)
    return bool(found) and len(found[0]["step"]) < LEAST_POINTS


def _best_columns(runs: Sequence[RunData], part: str, least: int) -> dict[int, LoggedColumn]:
    """{place of the run: the column of its best trial}, of those with so many rows at least."""
    found = {}
    for i, run in enumerate(runs[:MOST_CURVES]):
        of_run = columns(getattr(run, part), run.best_first)
        if of_run and len(of_run[0]["step"]) >= least:
            found[i] = of_run[0]
    gone = [runs[i].diverged(column.trial, column.repeat) for i, column in found.items()]
    return dict(zip(found, set_apart(list(found.values()), gone), strict=True))


def _overlaid(
    title: str,
    note: str,
    unit: str,
    name: str,
    drawn: dict[int, LoggedColumn],
    names: Sequence[str],
) -> Chart | None:
    if not drawn:
        return None
    if len(drawn) == 1:  # it has no legend
        title = f"{title}: {cut_apart(names, 40)[next(iter(drawn))]}"
    counted_by = "epoch" if unit == "epoch" else "step"  # so the log calls evaluations too
    series, curves = [], []
    traces, legend = cut_apart(names, 24), cut_apart(names, 40)
    for i, column in drawn.items():
        x, y = column[counted_by], column[name].astype(np.float64)
        value = smooth(y) if noisy(y) else y
        curves += [] if column.apart else [y]
        apart = column.apart
        trace = line(*downsample(x, value), colour(i), traces[i], dashed=dash(i), apart=apart)
        series.append(Series(legend[i], colour(i), (trace,), dash(i)))
    scale = y_scale(*curves)
    share = is_share(name)
    if share:
        scale |= {"type": "linear", "tickformat": ".2~%"}
    x_axis = counted_axis(unit, max(int(column[counted_by][-1]) for column in drawn.values()))
    many = {"hovermode": "closest"} if len(drawn) > 8 else {}
    plan = layout(unit, x_axis=x_axis, y_axis=scale, **many)
    return Chart(title, note, (View("", tuple(series), plan),), log=not share and above_0(*curves))
