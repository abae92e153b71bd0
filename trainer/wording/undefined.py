"""What is said of metrics that some rows leave undefined, and of values that are no numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from trainer.catalog import facts_of
from trainer.text.numbers import counted
from trainer.text.printable import one_of

Results = Mapping[str, Any]


def over_text(count: int, repeats: int, word: str = "repeat") -> str:
    """Over how many repeats a mean is: `6 repeats`, `5 of 6 repeats`."""
    return counted(repeats, word) if count == repeats else f"{count:,} of {counted(repeats, word)}"


def mean_of(results: Results) -> int:
    """Over how many repeats the winner's mean of the ranking metric is."""
    repeats = int(results.get("repeats") or 1)
    name = (results.get("metric") or {}).get("name")
    return int(((results.get("best") or {}).get("defined") or {}).get(name, repeats))


def undefined_texts(
    best: Mapping[str, Any], repeats: int, word: str, call: Callable[[str], str] = str
) -> list[str]:
    """A sentence on each lot of metrics that rows of val or test leave undefined, or in part.

    Args:
        best: the chosen trial as results.json has it.
        repeats: columns a trial.
        word: what a repeat is.
        call: what a metric is called.
    """
    lots: dict[tuple[int, str], list[str]] = {}
    for name, count in (best.get("defined") or {}).items():
        lots.setdefault((count, facts_of(name).needs), []).append(call(name))
    told = [_val_text(names, *lot, repeats, word) for lot, names in lots.items()]
    tests: dict[str, list[str]] = {}
    for name, value in (best.get("metrics") or {}).items():
        if (
            name.startswith("test")
            and facts_of(name).needs
            and (value is None or math.isnan(value))
        ):
            tests.setdefault(facts_of(name).needs, []).append(call(name))
    told += [_nowhere(names, "the test rows", rows) for rows, names in tests.items()]
    return [*told, *_parts_texts(best, f" in some {word}s" if repeats > 1 else "", call)]


def _parts_texts(
    best: Mapping[str, Any], somewhere: str, call: Callable[[str], str]
) -> Iterator[str]:
    """A sentence on each lot of metrics that are means over some outputs or classes alone."""
    lots: dict[tuple[int, int, str, str, str], list[str]] = {}
    for name, (count, whole) in (best.get("parts") or {}).items():
        where = somewhere if name.startswith("val_") else ""
        needs = facts_of(name).needs
        # what any rows define lacks a part only as a mean over classes
        part, rows = ("outputs", needs) if needs else ("classes", "rows")
        lots.setdefault((count, whole, part, rows, where), []).append(call(name))
    for (count, whole, part, rows, where), names in lots.items():
        verb = "are means" if len(names) > 1 else "is a mean"
        of = f"{count:,} of {whole:,} {part}{where}"
        yield f"{one_of(names, 'and')} {verb} over {of}, those with {rows}"


def _val_text(names: Sequence[str], count: int, rows: str, repeats: int, word: str) -> str:
    if repeats < 2:
        return _nowhere(names, "the validation rows", rows)
    if count == 0:
        return _nowhere(names, f"the validation rows of any {word}", rows)
    verb, means = ("are", "the means are") if len(names) > 1 else ("is", "the mean is")
    where = over_text(count, repeats, word)
    told = f"{one_of(names, 'and')} {verb} defined in {where}, those with {rows}"
    return f"{told}; {means} over these"


def nowhere_text(name: str, repeats: int, word: str) -> str:
    """A metric that decides is defined in no repeat: why, and what would be right."""
    of = f" of any {word}" if repeats > 1 else ""
    other = "fewer folds" if word == "fold" else "other validation rows"
    return (
        _nowhere([name], f"the validation rows{of}", facts_of(name).needs)
        + f"; val_loss, which any rows define, or {other} are right"
    )


def _nowhere(names: Sequence[str], where: str, rows: str) -> str:
    verb, need = ("are", "they need") if len(names) > 1 else ("is", "it needs")
    return f"{one_of(names, 'and')} {verb} not defined on {where}: {need} {rows}"


def unranked_text(metric: str, trials: int, diverged: int) -> str:
    """Why a run has no model though not every trial diverged."""
    none = "no trial can be ranked, so there is no model" if trials > 1 else "there is no model"
    lost = f" ({diverged:,} diverged)" if diverged else ""
    of = f" in any of the {trials:,} trials{lost}" if trials > 1 else ""
    why = ""
    if metric.startswith("val_"):
        why = "; validation rows far outside the training rows do that"
    return f"{none}: {metric} is no finite number{of}{why}"
