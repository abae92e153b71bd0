"""The page of targets that are problems of their own: the spread over them, best, worst, all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.catalog import METRICS, is_share, metric_of
from trainer.report.charts.chart import Chart, Series, View, layout, listed
from trainer.report.html import chart, esc, section, table
from trainer.report.sweep.axes import swept_axes
from trainer.report.sweep.trial_table import cells_of, searched_table
from trainer.report.sweep.view import view_sweep
from trainer.report.sweep.words import metric_words
from trainer.text.names import cut_apart
from trainer.text.numbers import counted, metric, text
from trainer.wording.permutation import permutation_texts
from trainer.wording.targets import (
    Spread,
    fewer_text,
    leading_test,
    spread_of,
    spread_text,
    targets_text,
)

if TYPE_CHECKING:
    from trainer.report.run_data import RunData

_SHOWN = 10  # targets at either end
_BINS = 40
_LETTERS = 40  # of a target's name
_MOST_VALUES = 24  # of an axis that is drawn
_LAST = ("iterations", "gradient_max", "gap", "epochs", "best_epoch")

Group = Mapping[str, Any]


def spread_list(run_data: RunData) -> str:
    """How many targets there are, how the metric spreads, what to widen: for the head."""
    results = run_data.results
    if not results.get("groups"):
        return ""
    name = results["metric"]["name"]
    lines = [("Targets", targets_text(results))]
    if (spread := spread_of(results)) is not None:
        lines.append(("Spread", spread_text(spread, metric_words(name))))
    if (fewer := fewer_text(results)) is not None:
        lines.append(("Repeats", fewer))
    lines += [("Permutations", told) for told in permutation_texts(results, metric_words)]
    lines += [("Edge", text(edge.get("advice"))) for edge in results.get("edges") or ()]
    rows = "".join(f"<dt>{esc(name)}</dt><dd>{esc(value)}</dd>" for name, value in lines)
    return f'<dl class="facts choice">{rows}</dl>'


def target_sections(run_data: RunData) -> Iterator[str]:
    """The spread over targets, the best and the worst, which settings won, all of them."""
    groups: Sequence[Group] = run_data.results.get("groups") or ()
    if groups:
        drawn = [_distribution(run_data, groups), *_won(run_data, groups)]
        yield section("Over targets", *map(chart, filter(None, drawn)))
        spread = spread_of(run_data.results)
        if spread is not None:
            yield section("Best and worst", *_ends(run_data, spread))
        yield section("Targets", _all(run_data))
    sweep = view_sweep(run_data)
    if sweep is not None and len(run_data.trials) > 1:
        yield section("Means over targets", _trials(run_data))


def _columns(groups: Sequence[Group]) -> list[str]:
    """The metrics of winners, those of test rows first and the loss last."""
    found = dict.fromkeys(name for group in groups for name in group["metrics"])
    known = [n for n in found if metric_of(n) and not n.startswith("train_")]
    loss = [n for n in known if METRICS[metric_of(n) or ""].is_loss]
    return sorted(known, key=lambda n: (n in loss, not n.startswith("test_")))


def _values(groups: Sequence[Group], name: str) -> Any:
    values = [group["metrics"].get(name) for group in groups]
    numbers = np.array([np.nan if v is None else float(v) for v in values])
    return numbers[np.isfinite(numbers)]


def _distribution(run_data: RunData, groups: Sequence[Group]) -> Chart | None:
    """How many targets have which value, of each metric."""
    views = []
    for name in _columns(groups):
        values = _values(groups, name)
        if len(values) > 1 and values.max() > values.min():
            views.append(_histogram(name, values))
    if not views:
        return None
    count = counted(len(run_data.results["targets"]), "target")
    note = f"How many of {count} came to which value, each by its own winner."
    return Chart(
        "The metric over targets", note, tuple(views), height=300, wide=True, choice="metric"
    )


def _histogram(name: str, values: Any) -> View:
    low, high = np.quantile(values, [0.005, 0.995]) if len(values) > 200 else (0.0, 0.0)
    if not high > low:
        low, high = values.min(), values.max()
    outside = int(((values < low) | (values > high)).sum())
    counts, edges = np.histogram(np.clip(values, low, high), min(_BINS, len(values)), (low, high))
    width = edges[1] - edges[0]
    bars = {
        "type": "bar",
        "x": listed((edges[:-1] + edges[1:]) / 2),
        "y": listed(counts),
        "width": float(f"{width:.5g}") * 0.92,
        "marker": {"color": "var(--blue)", "line": {"width": 0}},
        "hovertemplate": "%{x:,.4~r}: %{y:,d} targets<extra></extra>",
    }
    note = f"{counted(outside, 'target')} beyond the edges: in the outermost bars." * (outside > 0)
    form = {"tickformat": ".2~%"} if is_share(name) else {"tickformat": ",.4~r"}
    plan = layout(
        metric_words(name), "targets", hovermode="closest", bargap=0,
        x_axis={"nticks": 8, **form}, y_axis=_count_axis(int(counts.max())),
    )  # fmt: skip
    return View(metric_words(name), (Series("", "var(--blue)", (bars,)),), plan, note)


def _count_axis(most: int) -> dict[str, Any]:
    """From 0, without ticks between whole numbers."""
    return {"rangemode": "tozero", **({"dtick": 1} if most < 6 else {"tickformat": ",d"})}


def _won(run_data: RunData, groups: Sequence[Group]) -> Iterator[Chart]:
    """How many targets each value of a swept key won."""
    for axis in swept_axes(run_data, run_data.trials):
        won = Counter(axis.label(group["settings"].get(axis.path)) for group in groups)
        labels = list(dict.fromkeys(axis.label(row.get(axis.path)) for row in _in_order(run_data)))
        if not 1 < len(labels) <= _MOST_VALUES:
            continue
        bars = {
            "type": "bar",
            "x": [esc(label) for label in labels],
            "y": [won[label] for label in labels],
            "marker": {"color": "var(--blue)", "line": {"width": 0}},
            "hovertemplate": "%{x}: %{y:,d} targets<extra></extra>",
        }
        plan = layout(
            axis.name, "targets", hovermode="closest", x_axis={"type": "category"},
            y_axis=_count_axis(max(won.values())),
        )  # fmt: skip
        note = "How many targets have their winner at which value."
        yield Chart(f"Winners by {axis.name}", note, (View("", (Series("", "", (bars,)),), plan),))


def _in_order(run_data: RunData) -> list[Mapping[str, Any]]:
    return sorted(run_data.trials, key=lambda row: row["trial"])


def _ends(run_data: RunData, spread: Spread) -> Iterator[str]:
    """Tables of the best and the worst targets; of few one with all."""
    best_first = list(reversed(spread.groups))
    if len(best_first) <= 2 * _SHOWN:
        yield _end_table(run_data, "Best first", best_first)
        return
    yield _end_table(run_data, "The best", best_first[:_SHOWN])
    yield _end_table(run_data, "The worst", spread.groups[:_SHOWN])


def _end_table(run_data: RunData, title: str, groups: Sequence[Group]) -> str:
    ranked, axes = run_data.results["metric"]["name"], swept_axes(run_data, run_data.trials)
    columns = [n for n in _columns(groups) if n != ranked]
    names = [ranked, *columns[:2]]
    head = ["target", *map(metric_words, names), *(axis.name for axis in axes)]
    shown = cut_apart([group["target"] for group in groups], _LETTERS)
    rows = [
        [
            f'<span title="{esc(group["target"])}">{esc(name)}</span>',
            *(esc(metric(group["metrics"].get(n), is_share(n))) for n in names),
            *(esc(axis.label(group["settings"].get(axis.path))) for axis in axes),
        ]
        for group, name in zip(groups, shown, strict=True)
    ]
    inner = table([esc(cell) for cell in head], rows, kind="full sticky", label=title)
    return f'<div class="card"><h3>{esc(title)}</h3>{inner}</div>'


def _all(run_data: RunData) -> str:
    """The table of all winners, to be sorted and searched."""
    rows = run_data.groups
    if not rows:
        return ""
    ranked, beside = run_data.results["metric"]["name"], ("_std", "_count")
    axes = [axis for axis in swept_axes(run_data, run_data.trials) if axis.path in rows[0]]
    metrics = [n for n in rows[0] if metric_of(n) and not n.endswith((*beside, "_refit"))]
    metrics = sorted(metrics, key=lambda n: (n != ranked, n.startswith("train_")))
    test = leading_test(run_data.results["groups"]) or ranked
    for name in (ranked, test):
        own = [f"{name}_std", f"{name}_refit"] if name == test else [f"{name}_std"]
        there = [n for n in own if any(row.get(n) is not None for row in rows)]
        at = metrics.index(name) + 1 if name in metrics else 0
        metrics[at:at] = [n for n in there if n not in metrics]
    per = [axis for axis in axes if axis.path in (run_data.results["groups"][0].get("per") or {})]
    last = [name for name in _LAST if rows[0].get(name) is not None]
    names = ["target", *(a.path for a in per), "trial", *(a.path for a in axes if a not in per)]
    columns = [*names, *metrics, *last]
    called = {axis.path: axis.name for axis in axes}
    heads = [called.get(name) or _head(name) for name in columns]
    cells = [cells_of(name, [row.get(name) for row in rows]) for name in columns]
    return searched_table("All targets", columns, heads, cells, [""] * len(rows))


def _head(name: str) -> str:
    if name.endswith("_std"):
        return "± over repeats"
    if name.endswith("_refit"):
        return f"{metric_words(name.removesuffix('_refit'))}, refit"
    return metric_words(name) if metric_of(name) else name.replace("_", " ")


def _trials(run_data: RunData) -> str:
    """The trials with means over targets."""
    rows, beside = run_data.trials, ("_std", "_count")
    axes = swept_axes(run_data, rows)
    metrics = [n for n in rows[0] if metric_of(n) and not n.endswith(beside)]
    columns = ["trial", *(axis.path for axis in axes), *metrics, "status"]
    called = {axis.path: axis.name for axis in axes}
    heads = [called.get(name) or _head(name) for name in columns]
    cells = [cells_of(name, [row.get(name) for row in rows]) for name in columns]
    reasons = [text(row.get("reason") or "") for row in rows]
    return searched_table("Trials, means over targets", columns, heads, cells, reasons)
