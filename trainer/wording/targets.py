"""What a run of targets that are problems of their own says at its end, on terminal and page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from trainer.catalog import is_minimized
from trainer.text.numbers import counted, plain_number
from trainer.text.printable import Verbatim
from trainer.wording.choice import outcomes_text, refit_text
from trainer.wording.opening import separate_text
from trainer.wording.permutation import permutation_texts
from trainer.wording.settings import BriefSettings

_SHOWN = 5  # targets at either end
_WIDTH = 40  # letters of a target's name

Line = tuple[str, object]
Record = Mapping[str, Any]


def fewer_text(results: Record) -> str | None:
    """Which targets have fewer repeats than others, and what these lack; None of all alike."""
    fewer: Mapping[str, Mapping[str, int]] = results.get("repeats_left_out") or {}
    if not fewer:
        return None
    each = sorted(fewer.items(), key=lambda pair: -sum(pair[1].values()))
    repeats = results["repeats"]
    told = ", ".join(
        f"{_short(name)} {repeats - sum(of.values()):,} (the others have no {' or '.join(of)})"
        for name, of in each[:_SHOWN]
    )
    more = f", and {len(each) - _SHOWN:,} more in results.json" if len(each) > _SHOWN else ""
    what = f"{counted(len(each), 'target')} {'has' if len(each) == 1 else 'have'}"
    return f"{what} not all {repeats:,} repeats, and means over those that are left: {told}{more}"


class Spread(NamedTuple):
    """The ranking metric over targets that have it, worst to best.

    Attributes:
        groups: of the winners, worst first.
        low, median, high: of their values, those at the ends with a tenth of the targets beyond.
        undefined: how many winners have no number.
    """

    groups: Sequence[Record]
    low: float
    median: float
    high: float
    undefined: int


def spread_of(results: Record, name: str | None = None) -> Spread | None:
    """How a metric of the winners spreads over targets; None without a number.

    Args:
        results: results.json.
        name: of the metric; by default what trials are ranked by.
    """
    metric = name or results["metric"]["name"]
    groups = results["groups"]
    known = [g for g in groups if _is_number(g["metrics"].get(metric))]
    if not known:
        return None
    by_value = sorted(known, key=lambda group: group["metrics"][metric])
    values = [group["metrics"][metric] for group in by_value]
    ordered = by_value[::-1] if is_minimized(metric) else by_value
    low, median, high = (_quantile(values, share) for share in (0.1, 0.5, 0.9))
    return Spread(ordered, low, median, high, len(groups) - len(known))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _quantile(values: Sequence[float], share: float) -> float:
    """Of sorted values, between two of them in proportion."""
    place = share * (len(values) - 1)
    i = min(int(place), len(values) - 2) if len(values) > 1 else 0
    after = values[i + 1] if len(values) > 1 else values[i]
    return values[i] + (place - i) * (after - values[i])


def targets_text(results: Record) -> str:
    """How many targets were trained, and which were not and why."""
    told = separate_text(len(results["targets"]), results.get("targets_left_out") or {})
    return told.replace(" of their own", ", each with a winner of its own", 1)


def spread_text(spread: Spread, metric: str) -> str:
    """A metric over targets in a sentence."""
    count = len(spread.groups)
    median = f"median {plain_number(spread.median)} of {metric} over {counted(count, 'target')}"
    if count < _SHOWN:
        return median
    ends = f"{plain_number(spread.low)} to {plain_number(spread.high)} for the middle 80 %"
    return f"{median}, {ends}"


def targets_closing(
    results: Record, *, refit: str | None = None, notes: Sequence[str] = (), word: str = "repeat"
) -> list[Line]:
    """Of a run of separate targets: the spread over them, the best, the worst, what to widen.

    Args:
        results: results.json, with a winner at least.
        refit: the rows that winners were trained on again, or None.
        notes: what else is to be said.
        word: what a repeat is called.
    """
    metric, brief = results["metric"]["name"], BriefSettings(results["axes"])
    lines: list[Line] = [
        ("targets", targets_text(results)),
        ("outcomes", outcomes_text(results["counts"])),
    ]
    if (spread := spread_of(results)) is not None:
        lines.append(("spread", spread_text(spread, metric)))
        lines += _ends(spread, metric, brief)
        if spread.undefined:
            what = f"{metric} is not defined for {counted(spread.undefined, 'winner')}"
            lines.append(("note", what))
    lines += _tests(results, word)
    if lost := results.get("without_winner"):
        lines.append(
            ("note", f"{counted(len(lost), 'choice')} without a winner: no trial has a rank")
        )
    if (fewer := fewer_text(results)) is not None:
        lines.append(("note", fewer))
    if told := permutation_texts(results):
        lines.append(("permutations", "; ".join(told)))
    lines += [("edge", edge["advice"]) for edge in results["edges"]]
    if refit:
        lines.append(("refit", refit_text(refit, None)))
    return lines + [("note", note) for note in notes]


def _tests(results: Record, word: str) -> list[Line]:
    """The first metric of test rows over targets, of the repeats' own models and of refits."""
    name = leading_test(results["groups"])
    if name is None or (spread := spread_of(results, name)) is None:
        return []
    between = std_between(results["groups"], name)
    own = f"; each the mean of the {word}s' own models, ± {{}} between {word}s"
    told = "" if between is None else own.format(plain_number(between))
    lines: list[Line] = [("test", spread_text(spread, name) + told)]
    if (again := spread_of(of_refits(results), name)) is not None:
        lines.append(("test, refit", spread_text(again, name)))
    return lines


def leading_test(groups: Sequence[Record]) -> str | None:
    """The metric of test rows that comes first, a loss only where there is nothing else."""
    names = [name for name in (groups[0]["metrics"] if groups else ()) if name.startswith("test_")]
    return next((name for name in names if not name.endswith("_loss")), next(iter(names), None))


def of_refits(results: Record) -> Record:
    """results.json with the metrics of winners that were trained again in place of their own."""
    again = [{**g, "metrics": g["refit"]["metrics"]} for g in results["groups"] if g.get("refit")]
    return {**results, "groups": again}


def std_between(groups: Sequence[Record], name: str) -> float | None:
    """The median over targets of a metric's standard deviation over repeats; None without one."""
    stds: list[Any] = [(group.get("std") or {}).get(name) for group in groups]
    known = sorted(float(std) for std in stds if _is_number(std))
    return _quantile(known, 0.5) if known else None


def _ends(spread: Spread, metric: str, brief: BriefSettings) -> list[Line]:
    """The best and the worst targets; all in one list where they are few."""
    best_first = list(reversed(spread.groups))
    if len(best_first) <= 2 * _SHOWN:
        return [("winners", _listed(best_first, metric, brief))]
    left = len(best_first) - 2 * _SHOWN
    worst = _listed(spread.groups[:_SHOWN], metric, brief, f"… {left:,} more in groups.csv")
    return [("best", _listed(best_first[:_SHOWN], metric, brief)), ("worst", worst)]


def _listed(
    groups: Sequence[Record], metric: str, brief: BriefSettings, last: str | None = None
) -> Verbatim:
    rows = [
        (_short(g["target"]), plain_number(g["metrics"][metric]), brief(g["settings"]))
        for g in groups
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    lines = [f"{a:{widths[0]}}  {b:{widths[1]}}  {c}".rstrip() for a, b, c in rows]
    return Verbatim("\n".join(["", *lines, *([last] if last else [])]))


def _short(name: str) -> str:
    return name if len(name) <= _WIDTH else f"{name[: _WIDTH - 1]}…"


def unranked_targets_text(metric: str) -> str:
    """Why no target has a winner."""
    return f"no target has a trial whose {metric} is a number"
