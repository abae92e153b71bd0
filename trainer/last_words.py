"""What a run says at its end: the ranked table, which trial won and by how much, what next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.sweep.select import Chosen, TrialResult, ranks
from trainer.terminal import Verbatim

_SHOWN = 10  # rows of the table
_TIE = 2.0  # standard errors: less is no difference to speak of
_SHORT = {"repeat.few_shot.k": "k", "optimizer.name": "optimizer"}

Line = tuple[str, object]


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings in a few words, each key by its last part where no other ends alike."""
    if not settings:
        return "as written"
    names = [_SHORT.get(path, path.rpartition(".")[2]) for path in settings]
    return ", ".join(
        f"{name if names.count(name) == 1 else path} {value_text(value)}"
        for name, (path, value) in zip(names, settings.items(), strict=True)
    )


def value_text(value: Any) -> str:
    """A swept value, numbers with four significant digits."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def metric_text(trial: TrialResult, name: str) -> str:
    """A metric of a trial, with its standard deviation over repeats."""
    text = f"{trial.metrics[name]:.4g}"
    return f"{text} ± {trial.stds[name]:.2g}" if name in trial.stds else text


def run_words(folder: Path, trial: TrialResult, tests: Mapping[str, float]) -> list[Line]:
    """Of a run with one column: how it ended and its metrics."""
    quoted = shlex.quote(str(folder))
    status = trial.status.replace("_", " ")
    epoch = f"epoch {trial.best_epoch} of {trial.epochs}"
    numbers = {**trial.metrics, **tests}
    return [
        ("outcome", f"{status}: {trial.reason}; {epoch} counts"),
        ("metrics", ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())),
        ("predict", Verbatim(f"python -m trainer predict {quoted} DATA")),
    ]


def sweep_words(
    chosen: Chosen,
    ranked: Sequence[TrialResult],
    results: Mapping[str, Any],
    tests: Mapping[int, Mapping[str, float]],
) -> list[Line]:
    """Of a sweep: the table, the winner, its lead, its groups, what to widen.

    Args:
        chosen: the choice, with a best trial.
        ranked: all trials, best first.
        results: results.json.
        tests: test metrics of the chosen models, by trial.
    """
    best = chosen.best
    assert best is not None
    repeats = results["repeats"]
    lines: list[Line] = [("ranking", _table(ranked, chosen.metric))]
    lines.append(("outcomes", _counts(results["counts"])))
    won = f"trial {best.number}: {settings_text(best.settings)}"
    lines.append(("winner", f"{won}; {chosen.metric} {metric_text(best, chosen.metric)}"))
    if (lead := _lead(chosen)) is not None:
        lines.append(("lead", lead))
    if chosen.within is not None:
        of = f"{chosen.within} trial{'s are' if chosen.within != 1 else ' is'}"
        rule = f"{of} within one standard error of the best; of these it has the strongest penalty"
        lines.append(("rule", rule))
    if chosen.groups:
        lines.append(("groups", _groups(chosen, tests)))
    lines += [("edge", edge.advice) for edge in chosen.edges]
    if results["best"]["refit"]:
        refit = results["best"]["refit"]
        rows = {"train": "all training rows", "train+val": "training and validation rows"}
        told = f"trained again on {rows[refit['rows']]} for {refit['epochs']} epochs: the model"
        lines.append(("refit", told))
    elif repeats > 1:
        lines.append(("model", "that of the winner's first repeat"))
    if found := tests.get(best.number):
        lines.append(("test", ", ".join(f"{name} {value:.4g}" for name, value in found.items())))
    return lines


def commands(folder: Path) -> list[Line]:
    """What a user would type next."""
    quoted = shlex.quote(str(folder))
    return [
        ("folder", folder),
        ("predict", Verbatim(f"python -m trainer predict {quoted} DATA")),
        ("redraw", Verbatim(f"python -m trainer report {quoted}")),
    ]


def _table(ranked: Sequence[TrialResult], metric: str) -> Verbatim:
    """Rank, trial, metric and settings of the best, in columns."""
    places = ranks(ranked)
    rows = [("rank", "trial", metric, "settings", "")]
    for trial in ranked[:_SHOWN]:
        value = metric_text(trial, metric) if metric in trial.metrics else "none"
        status = "" if trial.status == "finished" else trial.status.replace("_", " ")
        place = str(places.get(trial.number, "–"))
        rows.append((place, str(trial.number), value, settings_text(trial.settings), status))
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    lines = [
        "  ".join(
            cell.rjust(width) if i < 2 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    if len(ranked) > _SHOWN:
        lines.append(f"… {len(ranked) - _SHOWN:,} more in trials.csv")
    return Verbatim("\n".join(["", *lines]))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {status.replace('_', ' ')}" for status, n in counts.items())


def _lead(chosen: Chosen) -> str | None:
    """How far the runner-up is behind."""
    other, margin = chosen.runner_up, chosen.margin
    if other is None or margin is None:
        return None
    name = f"trial {other.number} ({settings_text(other.settings)})"
    if margin < 0:
        told = f"{-margin:.2g} of {chosen.metric} behind {name}, the best by that alone"
    elif margin == 0:
        return f"none: {name} has the same {chosen.metric}"
    else:
        told = f"{margin:.2g} of {chosen.metric} ahead of {name}"
    errors = chosen.standard_errors
    if errors is None:
        return told if margin < 0 else f"{told}; one value each, so chance may be all of it"
    told += f", {abs(errors):.1f} standard errors over the repeats"
    return f"{told}: a tie by these" if abs(errors) < _TIE else told


def _groups(chosen: Chosen, tests: Mapping[int, Mapping[str, float]]) -> Verbatim:
    """A line a value of the `select.per` paths."""
    lines = [""]
    for group in chosen.groups:
        trial = group.trial
        rest = {p: v for p, v in trial.settings.items() if p not in group.per}
        test = ", ".join(f"{n} {v:.4g}" for n, v in tests.get(trial.number, {}).items())
        found = f"{settings_text(group.per)}: {chosen.metric} {metric_text(trial, chosen.metric)}"
        at = f" at {settings_text(rest)}" if rest else ""
        lines.append(f"{found}{at} (trial {trial.number})" + (f"; {test}" if test else ""))
    return Verbatim("\n".join(lines))
