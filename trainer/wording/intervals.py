"""Intervals in words: how they were made, and what they are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trainer.catalog import facts_of
from trainer.text.numbers import counted
from trainer.text.printable import one_of

Results = Mapping[str, Any]


def ends_text(ends: Sequence[float] | None, number: Callable[[float], str]) -> str:
    """`[0.91, 0.95]`; empty without ends."""
    return "" if ends is None else f"[{', '.join(map(number, ends))}]"


def level_text(facts: Mapping[str, Any]) -> str:
    """`95 %`."""
    return f"{100 * facts['level']:.6g} %"


def interval_texts(results: Results, call: Callable[[str], str] = str) -> list[str]:
    """How a run's intervals were made and what weakens them, a sentence each; none without any.

    Args:
        results: results.json.
        call: what a metric such as val_auc is called.
    """
    facts = results.get("intervals")
    if not facts:
        return []
    drawn, level = counted(facts["resamples"], "draw"), level_text(facts)
    scarce = _few_texts(facts)
    if scarce and facts["few"].keys() == facts["by"].keys():
        return scarce
    if not facts["resamples"]:
        few = counted(facts["fewest"], "draw")
        return [
            *scarce,
            f"left out: {few} of the rows would take more than 5 % of the run; written,"
            f" intervals.resamples: {facts['fewest']} is never cut",
        ]
    told = [
        *scarce,
        f"[ ] has the middle {level} of {drawn} of {_units(_drawn_by(facts))}, the model as it is;"
        " other training rows would widen it",
    ]
    if facts["selected"]:
        told.append("of val it is selected, optimistic: its rows have chosen what they score")
    if facts["cut"]:
        told.append(
            f"{drawn} in place of 1,000, which would take more than 5 % of the run; written,"
            " intervals.resamples is never cut"
        )
    if facts["resamples"] < facts["fewest"]:
        few = "is" if facts["resamples"] == 1 else "are"
        told.append(f"{drawn} {few} few for {level}; {facts['fewest']:,} or more are right")
    if ungrouped := facts.get("ungrouped"):
        told.append(
            f"groups are read of data.train alone: rows of {one_of(ungrouped, 'and')} are drawn by"
            " themselves, so that the intervals are too short where rows of a group are alike"
        )
    for name in facts.get("without") or ():
        if why := facts_of(name).no_interval:
            told.append(f"none of {call(name)}: {why}")
    if lacking := facts.get("undefined"):
        names = one_of([f"{call(name)} in {count:,}" for name, count in lacking.items()], "and")
        told.append(f"not defined, and left out: {names} of {drawn}")
    return told


def _drawn_by(facts: Mapping[str, Any]) -> dict[str, str]:
    """What is drawn of each split that has enough of it."""
    few = facts.get("few") or {}
    return {split: by for split, by in facts["by"].items() if split not in few}


def _few_texts(facts: Mapping[str, Any]) -> list[str]:
    """Of which splits there are none, as there is too little to draw from."""
    found = []
    for split, number in (facts.get("few") or {}).items():
        of_rows = facts["by"][split] == "row"
        found.append(
            f"none of {split}: {counted(number, 'row' if of_rows else 'group')} to draw from; more"
            f" {'rows' if of_rows else 'groups'} are right"
            + ("" if of_rows else ", or intervals.by: row where rows of a group are independent")
        )
    return found


def _units(by: Mapping[str, str]) -> str:
    """What is drawn: rows, whole groups, or either by split."""
    words = {"row": "the rows", "group": "whole groups"}
    kinds = list(dict.fromkeys(by.values()))
    if len(kinds) == 1:
        return words[kinds[0]]
    lots = [
        f"{words[kind]} ({', '.join(name for name, of in by.items() if of == kind)})"
        for kind in kinds
    ]
    return " or ".join(lots)


def margin_text(results: Results, number: Callable[[float], str]) -> str | None:
    """The interval of the lead on the same draws, and whether it has 0; None without one."""
    other, facts = results.get("runner_up") or {}, results.get("intervals")
    ends = other.get("margin_interval")
    if not ends or not facts:
        return None
    found = f"{level_text(facts)} of the paired differences over the rows drawn lie in"
    found += f" {ends_text(ends, number)}"
    return f"{found}: a tie by these" if ends[0] <= 0 <= ends[1] else found
