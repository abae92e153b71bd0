"""What a sweep chose and by how much: the sentences that the terminal and the page share.

`results` is results.json, about to be written or read. What differs between the two is handed in:
what the metric is called there, how a number and a trial's settings are written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from trainer.text.numbers import counted, percent, plain_number, text
from trainer.wording.intervals import margin_text
from trainer.wording.undefined import mean_of, over_text

_TIE = 2.0  # standard errors: less is no difference to speak of
_SHOTS = "repeat.few_shot."
_REFIT_ROWS = {"train": "all training rows", "train+val": "training and validation rows"}

BY_INNER = "the winner by its mean over inner folds"
FIRST_REPEAT = "that of the winner's first repeat"

Results = Mapping[str, Any]


def lead_text(
    results: Results,
    metric: str,
    settings: Callable[[Mapping[str, Any]], str],
    number: Callable[[float, int], str],
) -> str | None:
    """How far the runner-up is behind, in standard errors of the paired difference; None alone.

    Args:
        results: with a best trial.
        metric: what it is called.
        settings: writes a trial's.
        number: writes one with so many digits.
    """
    other = results.get("runner_up")
    if not other or other.get("margin") is None:
        return None
    margin, errors = other["margin"], other.get("standard_errors")
    name = f"trial {other['trial']} ({settings(other.get('settings') or {})})"
    if margin == 0:
        return f"none: {name} has the same {metric}"
    sentence = f"{number(abs(margin), 2)} of {metric}"
    sentence += f" ahead of {name}" if margin > 0 else f" behind {name}, the best by that alone"
    if mean_of(results) < 2:
        paired = margin_text(results, lambda value: number(value, 2))
        return f"{sentence}; {paired or 'one value each, so chance may be all of it'}"
    if other.get("paired") is False:
        return f"{sentence}; the two are means over different repeats"
    if (share := other.get("ahead_in")) is not None:
        return f"{sentence}; better in {percent(share)} of the resamples"
    if errors is None:  # of a finite difference only where it has no deviation
        return f"{sentence}, the same in every repeat" if math.isfinite(margin) else sentence
    over = "repeats"
    if other.get("held_ratio") is not None:
        over = "folds, widened as they share training rows (Nadeau and Bengio 2003)"
    sentence += f", {abs(errors):,.1f} standard errors of the paired difference over the {over}"
    return f"{sentence}: a tie by these" if abs(errors) < _TIE else sentence


def rule_text(results: Results, metric: str, minimize: bool) -> str:
    """What the chosen trial has that no other has."""
    best = f"the {'lowest' if minimize else 'highest'} {metric}"
    if (results.get("best") or {}).get("inner"):
        strongest = results.get("rule") == "one_std_err"
        near = "the strongest penalty within one standard error of " * strongest
        return f"{near}{best}, mean over inner folds"
    if mean_of(results) < 2:  # one value has no error, and the rule is no other than `best`
        return best
    if results.get("rule") == "one_std_err":
        return f"the strongest penalty {_within(best, results)}"
    return f"{best}, mean over {_over(results)}"


def as_good_text(results: Results, within: int) -> str:
    """How many trials the rule `one_std_err` had to choose from.

    Args:
        results: of such a sweep.
        within: trials within one standard error of the best, with it.
    """
    near = _within("the best", results)
    if within == 1:
        return f"no other trial is {near}"
    return f"{within:,} trials are {near}; of these it has the strongest penalty"


def _within(best: str, results: Results) -> str:
    """The error of Breiman et al. 1984, §3.4.3, which is not that of a paired difference."""
    return f"within one standard error of {best} (its own, over {_over(results)})"


def of_training_rows_text(results: Results) -> str | None:
    """That the choice among trials is by the rows that were trained on, where it is."""
    name = str((results.get("metric") or {}).get("name", ""))
    if not name.startswith("train_") or results.get("trials") in (None, 1):
        return None
    return (
        "chosen by the rows that were trained on, which favour the weakest penalty and the longest"
        " training; `data.val` or `repeat.folds` choose by others"
    )


def shots_text(results: Results) -> str | None:
    """That values of `few_shot` are not ranked against each other, where they are swept."""
    path = next((path for path in results.get("axes") or () if path.startswith(_SHOTS)), None)
    settings = (results.get("best") or {}).get("settings") or {}
    if path is None or path not in settings:
        return None
    name, value = path.removeprefix(_SHOTS), settings[path]
    largest = "largest" if value == max(results["axes"][path]) else "largest with a rank"
    return (
        f"values of {name} are not ranked against each other: each has ranks and a winner of its"
        f" own; that of {name} {plain_number(value)}, the {largest}, is the model that is kept"
    )


def outcomes_text(counts: Mapping[str, int]) -> str:
    """How many trials ended how."""
    return ", ".join(f"{n:,} {status.replace('_', ' ')}" for status, n in counts.items())


def refit_text(rows: Any, length: tuple[int, str] | None) -> str:
    """On what and for how long the model was trained again.

    Args:
        rows: train or train+val.
        length: a number of epochs or steps and that word; None for a solver.
    """
    again = f"trained again on {_REFIT_ROWS.get(rows) or text(rows)}"
    return again if length is None else f"{again} for {counted(*length)}"


def _over(results: Results) -> str:
    return over_text(mean_of(results), int(results.get("repeats") or 1))
