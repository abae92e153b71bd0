"""What a run says at its end: the ranked table, which trial won and by how much, what next."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from trainer.catalog import facts_of
from trainer.text.numbers import counted, plain_number
from trainer.text.printable import Sentence, Verbatim
from trainer.text.windows import quoted
from trainer.wording.choice import (
    BY_INNER,
    FIRST_REPEAT,
    as_good_text,
    lead_text,
    of_training_rows_text,
    outcomes_text,
    refit_text,
    shots_text,
)
from trainer.wording.intervals import ends_text, interval_texts
from trainer.wording.permutation import permutation_texts
from trainer.wording.settings import BriefSettings, Settings, settings_text
from trainer.wording.undefined import undefined_texts

SHOWN = 10  # rows of the table
_GROUPS = 20  # lines of groups
_OFTEN = 4  # settings that repeats chose by inner folds

Line = tuple[str, object]
Metrics = Mapping[str, float]
Record = Mapping[str, Any]  # a trial as results.json has it


class RankedTrial(TypedDict):
    """A trial of the table. `std` has each metric's deviation over repeats, empty with one.

    `defined` has the number of repeats that a mean is over, where it is not over all.
    """

    rank: int | None
    trial: int
    status: str
    settings: Settings
    metrics: Metrics
    std: Metrics
    defined: Mapping[str, int]


def metric_text(trial: RankedTrial | Record, name: str, repeats: int = 1) -> str:
    """A metric of a trial, its standard deviation, and over how many repeats, if not over all."""
    deviation = trial["std"].get(name, math.nan)
    count = (trial.get("defined") or {}).get(name, repeats)
    value = plain_number(trial["metrics"][name]) if count else "not defined"
    over = f" ({count:,} of {repeats:,})" if 0 < count < repeats else ""
    return (
        f"{value} ± {plain_number(deviation, 2)}{over}"
        if math.isfinite(deviation)
        else value + over
    )


def run_closing(
    folder: Path,
    row: Mapping[str, Any],
    metrics: Metrics,
    notes: Sequence[str] = (),
    results: Mapping[str, Any] | None = None,
    refit: Metrics | None = None,
) -> list[Line]:
    """Of a run with one column: how it ended and its metrics.

    Args:
        folder: its run folder.
        row: its row of trials.csv.
        metrics: of its column, those on test rows too.
        notes: on metrics that are not defined.
        results: results.json, with the intervals.
        refit: of its model on test rows, where that was trained again.
    """
    status, reason = row["status"].replace("_", " "), row["reason"]
    end = reason if reason.startswith(status) else f"{status}: {reason}"
    if row.get("iterations") is None:  # of a solver its reason tells how far it went
        end += f"; epoch {row['best_epoch']} of {row['epochs']} counts"
    return [
        ("outcome", end),
        ("metrics", _metrics(metrics, ends=_intervals(results))),
        *([("test, refit", _metrics(refit, ends=_intervals(results, "refit")))] if refit else []),
        *_told(results or {}),
        *(("note", note) for note in notes),
        ("predict", Verbatim(f"stacked-trainer predict {quoted(str(folder))} DATA")),
    ]


def sweep_closing(
    results: Mapping[str, Any],
    ranking: Sequence[RankedTrial],
    *,
    within: int | None = None,
    length: tuple[int, str] | None = None,
    word: str = "repeat",
) -> list[Line]:
    """Of a sweep: the table, the winner, its lead, its groups, what to widen.

    Args:
        results: results.json, with a best trial.
        ranking: the first SHOWN trials, best first.
        within: how many trials are as good as the best by the rule one_std_err; None without it.
        length: of the refit, a number of epochs or steps and that word; None for a solver.
        word: what a repeat is: a fold, a draw.
    """
    metric, best, repeats = results["metric"]["name"], results["best"], results["repeats"]
    brief = BriefSettings(results["axes"])
    lines: list[Line] = [("ranking", _table(ranking, results, brief))]
    lines.append(("outcomes", outcomes_text(results["counts"])))
    won = f"trial {best['trial']}: {settings_text(best['settings'])}"
    ends = ends_text(_intervals(results).get(metric), _end)
    won = f"{won}; {metric} {metric_text(best, metric, repeats)} {ends}".rstrip()
    lines.append(("winner", Sentence(won, _texts(best))))
    if (lead := lead_text(results, metric, brief, plain_number)) is not None:
        lines.append(("lead", Sentence(lead, _texts(results["runner_up"]))))
    if (inner := best.get("inner")) is not None:
        told = plain_number(inner["metrics"].get(metric, math.nan))
        lines.append(("choice", f"{BY_INNER}, {metric} {told}"))
    if within is not None:
        lines.append(("rule", as_good_text(results, within)))
    notes = of_training_rows_text(results), shots_text(results)
    lines += [("note", note) for note in notes if note is not None]
    if results["groups"]:
        lines.append(("groups", _groups(results, brief)))
    for of in results.get("per_repeat", ()):
        nested = of.get("nested") is not None
        told = _nested(of, word, brief) if nested else _own_choice(of, word, brief)
        lines.append(("nested" if nested else "own choice", told))
    lines += [("edge", edge["advice"]) for edge in results["edges"]]
    if best["refit"]:
        lines.append(("refit", refit_text(best["refit"]["rows"], length)))
    elif repeats > 1:
        lines.append(("model", FIRST_REPEAT))
    if found := _tests(best, _intervals(results)):
        lines.append(("test", found + _by_own_models(best, repeats, word)))
    if found := _tests(best["refit"] or {}, _intervals(results, "refit")):
        lines.append(("test, refit", found))
    lines += _told(results)
    return lines + [("note", note) for note in undefined_texts(best, repeats, word)]


def _texts(trial: Record | None) -> Iterable[str]:
    """The settings of a trial that are texts, such as paths."""
    return (value for value in (trial or {}).get("settings", {}).values() if isinstance(value, str))


def resume_command(folder: Path) -> str:
    """What goes on with a run that was cut short."""
    return f"stacked-trainer run --resume {quoted(str(folder))}"


def commands(folder: Path) -> list[Line]:
    """What a user would type next."""
    path = quoted(str(folder))
    return [
        ("folder", folder),
        ("predict", Verbatim(f"stacked-trainer predict {path} DATA")),
        ("redraw", Verbatim(f"stacked-trainer report {path}")),
    ]


def _metrics(
    numbers: Metrics, std: Metrics | None = None, ends: Mapping[str, Sequence[float]] | None = None
) -> str:
    known = {name: f" {ends_text(of, _end)}" for name, of in (ends or {}).items()}
    return ", ".join(
        f"{name} {_value(name, value)}{known.get(name, '')}{_deviation((std or {}).get(name))}"
        for name, value in numbers.items()
    )


def _end(value: float) -> str:
    return plain_number(value, 3)


def _told(results: Mapping[str, Any]) -> list[Line]:
    """How the intervals were made, and what permuted labels came to, where there are any."""
    parts = {"intervals": interval_texts(results), "permutations": permutation_texts(results)}
    return [(name, "; ".join(told)) for name, told in parts.items() if told]


def _intervals(
    results: Mapping[str, Any] | None, of: str | None = None
) -> Mapping[str, Sequence[float]]:
    """Intervals of the chosen trial's metrics, or of those of its refit."""
    best = (results or {}).get("best") or {}
    record = (best.get(of) or {}) if of else best
    found: Mapping[str, Sequence[float]] = record.get("intervals") or {}
    return found


def _deviation(std: float | None) -> str:
    return "" if std is None else f" ± {plain_number(std, 2)}"


def _tests(of: Mapping[str, Any], ends: Mapping[str, Sequence[float]] | None = None) -> str:
    """The test metrics of a record, with their standard deviations over repeats."""
    found = of.get("metrics") or {}
    tests = {n: v for n, v in found.items() if n.startswith("test_")}
    return _metrics(tests, of.get("std"), ends)


def _by_own_models(best: Record, repeats: int, word: str) -> str:
    """Whose scores they are that a mean and a deviation are of."""
    if not any(name.startswith("test_") for name in best["std"]):
        return ""
    return f" (mean and standard deviation of the models of {counted(repeats, word)})"


def _own_choice(found: Mapping[str, Any], word: str, brief: BriefSettings) -> str:
    """What repeats came to that chose for themselves: their test, and val, which they chose by."""
    std = found.get("std") or {}
    of = {n: v for n, v in found["metrics"].items() if n.startswith(("test_", "val_"))}
    tests = {name: value for name, value in of.items() if name.startswith("test_")}
    val = {name: value for name, value in of.items() if name not in tests}
    per = f"{brief(found['per'])}: " if found.get("per") else ""
    told = f"{per}{_metrics(tests, std)}; selected: {_metrics(val, std)}"
    return f"{told} (mean and standard deviation over each {word}'s own winner)"


def _nested(found: Mapping[str, Any], word: str, brief: BriefSettings) -> str:
    """What the choice by inner folds came to on rows without a part in it; how often each won."""
    std, nested = found.get("std") or {}, found["nested"]
    of = {n: v for n, v in found["metrics"].items() if n.startswith(("test_", "val_"))}
    per = f"{brief(found['per'])}: " if found.get("per") else ""
    over = f"mean and standard deviation over {counted(len(found['trials']), word)}, each with its"
    told = f"{per}{_metrics(of, std)} ({over} own winner of {nested['inner_folds']} inner folds)"
    often = [
        f"{brief(one['settings'])} in {one['repeats']:,} (trial {one['trial']})"
        for one in nested["chosen"][:_OFTEN]
    ]
    more = len(nested["chosen"]) - _OFTEN
    return f"{told}; chosen: {', '.join([*often, *([f'{more:,} more'] if more > 0 else [])])}"


def _value(name: str, value: float) -> str:
    undefined = math.isnan(value) and facts_of(name).may_be_undefined
    return "not defined" if undefined else plain_number(value)


def _table(
    ranking: Sequence[RankedTrial], results: Mapping[str, Any], brief: BriefSettings
) -> Verbatim:
    """Rank, trial, metric and settings of the best, in columns."""
    metric, repeats = results["metric"]["name"], results["repeats"]
    rows = [("rank", "trial", metric, "settings", "")]
    for trial in ranking[:SHOWN]:
        value = metric_text(trial, metric, repeats) if metric in trial["metrics"] else "none"
        status = "" if trial["status"] == "finished" else trial["status"].replace("_", " ")
        rank = "–" if trial["rank"] is None else str(trial["rank"])
        rows.append((rank, str(trial["trial"]), value, brief(trial["settings"]), status))
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    lines = [
        "  ".join(
            cell.rjust(width) if i < 2 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return _listed(lines, results["trials"] - SHOWN, "trials.csv")


def _listed(lines: Sequence[str], left: int, file: str) -> Verbatim:
    """Lines under their label, and where those are that are left out."""
    more = [f"… {left:,} more in {file}"] if left > 0 else []
    return Verbatim("\n".join(["", *lines, *more]))


def _is_nested(results: Mapping[str, Any]) -> bool:
    """Whether repeats chose by inner folds, so that their val has no part in it."""
    return any(of.get("nested") for of in results.get("per_repeat", ()))


def _groups(results: Mapping[str, Any], brief: BriefSettings) -> Verbatim:
    """A line a value of the `select.per` paths."""
    groups: Sequence[Record] = results["groups"]
    metric, lines = results["metric"]["name"], []
    for group in groups[:_GROUPS]:
        rest = {p: v for p, v in group["settings"].items() if p not in group["per"]}
        test = _tests(group)
        if refit := _tests(group.get("refit") or {}):
            test += f"; refit: {refit}"
        value = metric_text(group, metric, results["repeats"])
        selected = "repeat" in group["per"] and not _is_nested(results)
        chosen = ", selected" if selected else ""
        found = f"{brief(group['per'])}: {metric} {value}{chosen}"
        at = f" at {brief(rest)}" if rest else ""
        lines.append(f"{found}{at} (trial {group['trial']})" + (f"; {test}" if test else ""))
    without = [f"{brief(per)}: no trial has a rank" for per in results.get("without_winner", ())]
    return _listed([*lines, *without[:_GROUPS]], len(groups) - _GROUPS, "groups.csv")
