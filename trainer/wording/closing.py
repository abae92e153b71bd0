"""What a run says at its end: the ranked table, which trial won and by how much, what next."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.config.schema.optimizer import Solver
from trainer.console.terminal import Verbatim
from trainer.sweep.select import Chosen, TrialResult, ranks
from trainer.text.printable import printable

_SHOWN = 10  # rows of the table
_GROUPS = 20  # lines of groups
_LONG = 24  # letters of a text from which on its shared parts are left out
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
    """A swept value, numbers with four significant digits, in one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return number_text(value)
    return printable(str(value)).replace("\n", "\\n")


def number_text(value: float, digits: int = 4) -> str:
    """A number with so many significant digits, its exponent as people write it: 1e-5."""
    return re.sub(r"e([+-])0*", lambda found: "e" + found[1].strip("+"), f"{value:.{digits}g}")


def metric_text(trial: TrialResult, name: str) -> str:
    """A metric of a trial, with its standard deviation over repeats."""
    text, deviation = number_text(trial.metrics[name]), trial.stds.get(name, math.nan)
    return f"{text} ± {number_text(deviation, 2)}" if math.isfinite(deviation) else text


class _Brief:
    """Settings in a few words, of long texts (paths of files) only what tells them apart."""

    def __init__(self, axes: Mapping[str, Sequence[Any]]) -> None:
        self._shared = {path: _shared(values) for path, values in axes.items()}

    def __call__(self, settings: Mapping[str, Any]) -> str:
        return settings_text({path: self._value(path, v) for path, v in settings.items()})

    def _value(self, path: str, value: Any) -> Any:
        before, after = self._shared.get(path, (0, 0))
        if not isinstance(value, str) or len(value) <= _LONG or not before + after:
            return value
        inner = value[before : len(value) - after]
        return "…" * (before > 0) + inner + "…" * (after > 0)


def _shared(values: Sequence[Any]) -> tuple[int, int]:
    """How many letters of texts are the same at both ends, up to a folder's name."""
    if len(values) < 2 or not all(isinstance(value, str) for value in values):
        return 0, 0
    before, after = _alike(values), _alike([value[::-1] for value in values])
    shortest = min(map(len, values))
    return before, max(min(after, shortest - before), 0)


def _alike(values: Sequence[str]) -> int:
    """How many first letters are the same, up to a slash, which stays."""
    least, most = min(values), max(values)
    pairs = enumerate(zip(least, most, strict=False))
    count = next((i for i, (a, b) in pairs if a != b), len(least))
    return max(least[:count].rfind("/"), 0)


def run_words(folder: Path, trial: TrialResult, tests: Mapping[str, float]) -> list[Line]:
    """Of a run with one column: how it ended and its metrics."""
    quoted = shlex.quote(str(folder))
    status = trial.status.replace("_", " ")
    epoch = f"; epoch {trial.best_epoch} of {trial.epochs} counts"
    if isinstance(trial.spec.optimizer, Solver):  # whose reason tells how far it went
        epoch = ""
    numbers = {**trial.metrics, **tests}
    return [
        ("outcome", f"{status}: {trial.reason}{epoch}"),
        ("metrics", _metrics(numbers)),
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
    repeats, brief = results["repeats"], _Brief(results["axes"])
    lines: list[Line] = [("ranking", _table(ranked, chosen.metric, brief))]
    lines.append(("outcomes", _counts(results["counts"])))
    won = f"trial {best.number}: {settings_text(best.settings)}"
    lines.append(("winner", f"{won}; {chosen.metric} {metric_text(best, chosen.metric)}"))
    if (lead := _lead(chosen, brief)) is not None:
        lines.append(("lead", lead))
    if chosen.within is not None:
        lines.append(("rule", _rule(chosen.within)))
    if chosen.groups:
        lines.append(("groups", _groups(chosen, tests, brief)))
    lines += [("edge", edge.advice) for edge in chosen.edges]
    if results["best"]["refit"]:
        lines.append(("refit", _refit(best, results["best"]["refit"])))
    elif repeats > 1:
        lines.append(("model", "that of the winner's first repeat"))
    if found := tests.get(best.number):
        lines.append(("test", _metrics(found)))
    return lines


def commands(folder: Path) -> list[Line]:
    """What a user would type next."""
    quoted = shlex.quote(str(folder))
    return [
        ("folder", folder),
        ("predict", Verbatim(f"python -m trainer predict {quoted} DATA")),
        ("redraw", Verbatim(f"python -m trainer report {quoted}")),
    ]


def _metrics(numbers: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {number_text(value)}" for name, value in numbers.items())


def _table(ranked: Sequence[TrialResult], metric: str, brief: _Brief) -> Verbatim:
    """Rank, trial, metric and settings of the best, in columns."""
    places = ranks(ranked)
    rows = [("rank", "trial", metric, "settings", "")]
    for trial in ranked[:_SHOWN]:
        value = metric_text(trial, metric) if metric in trial.metrics else "none"
        status = "" if trial.status == "finished" else trial.status.replace("_", " ")
        place = str(places.get(trial.number, "–"))
        rows.append((place, str(trial.number), value, brief(trial.settings), status))
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    lines = [
        "  ".join(
            cell.rjust(width) if i < 2 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return _listed(lines, len(ranked) - _SHOWN, "trials.csv")


def _listed(lines: Sequence[str], left: int, file: str) -> Verbatim:
    """Lines under their label, and where those are that are left out."""
    more = [f"… {left:,} more in {file}"] if left > 0 else []
    return Verbatim("\n".join(["", *lines, *more]))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {status.replace('_', ' ')}" for status, n in counts.items())


def _lead(chosen: Chosen, brief: _Brief) -> str | None:
    """How far the runner-up is behind."""
    best, other, margin = chosen.best, chosen.runner_up, chosen.margin
    if best is None or other is None or margin is None:
        return None
    name = f"trial {other.number} ({brief(other.settings)})"
    if margin == 0:
        return f"none: {name} has the same {chosen.metric}"
    told = f"{number_text(abs(margin), 2)} of {chosen.metric}"
    told += f" ahead of {name}" if margin > 0 else f" behind {name}, the best by that alone"
    if len(best.columns) < 2:
        return told if margin < 0 else f"{told}; one value each, so chance may be all of it"
    errors = chosen.standard_errors
    if errors is None:  # the same difference in every repeat, or an infinite one
        return told
    told += f", {abs(errors):,.1f} standard errors over the repeats"
    return f"{told}: a tie by these" if abs(errors) < _TIE else told


def _rule(within: int) -> str:
    if within == 1:
        return "no other trial is within one standard error of the best"
    near = f"{within:,} trials are within one standard error of the best"
    return f"{near}; of these it has the strongest penalty"


def _groups(chosen: Chosen, tests: Mapping[int, Mapping[str, float]], brief: _Brief) -> Verbatim:
    """A line a value of the `select.per` paths."""
    lines = []
    for group in chosen.groups[:_GROUPS]:
        trial = group.trial
        rest = {p: v for p, v in trial.settings.items() if p not in group.per}
        test = _metrics(tests.get(trial.number, {}))
        found = f"{brief(group.per)}: {chosen.metric} {metric_text(trial, chosen.metric)}"
        at = f" at {brief(rest)}" if rest else ""
        lines.append(f"{found}{at} (trial {trial.number})" + (f"; {test}" if test else ""))
    return _listed(lines, len(chosen.groups) - _GROUPS, "groups.csv")


def _refit(best: TrialResult, refit: Mapping[str, Any]) -> str:
    """On what and for how long the model was trained again."""
    rows = {"train": "all training rows", "train+val": "training and validation rows"}
    if isinstance(best.spec.optimizer, Solver):
        return f"trained again on {rows[refit['rows']]}"
    number, unit = refit["epochs"], "epoch"
    if best.spec.optimizer.steps:  # of which more rows make fewer epochs
        number, unit = best.best_step, "step"
    return f"trained again on {rows[refit['rows']]} for {number:,} {unit}{'s' * (number != 1)}"
