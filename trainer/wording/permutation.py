"""A permutation test in words: its p-value, and what weakens it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trainer.text.numbers import counted, plain_number

Results = Mapping[str, Any]
_SIGNIFICANT = 0.05


def permutation_texts(results: Results, call: Callable[[str], str] = str) -> list[str]:
    """What a run's permutation test says, a sentence each; none without one.

    Args:
        results: results.json.
        call: what a metric such as val_auc is called.
    """
    test = results.get("permutation_test")
    if not test:
        return []
    told = [_of_targets(test, call) if test.get("targets") else _of_one(test, call)]
    count = test["count"]
    if (fewest := test.get("fewest")) and count < fewest:
        least = plain_number(1 / (1 + count), 2)
        told.append(
            f"of {counted(count, 'permutation')} p is {least} at least: too few;"
            f" {fewest} or more can tell, 1,000 are usual"
        )
    if (ways := test.get("arrangements")) is not None:
        told.append(f"the labels have {ways:,} arrangements, so that many permutations are alike")
    if lost := test.get("undefined"):
        lost = counted(lost, "permutation")
        told.append(f"{lost} led to no choice, and counted as good as the labels")
    if lost := sum("undefined" in of for of in (test.get("targets") or {}).values()):
        told.append(
            f"for {counted(lost, 'target')} some permutations led to no choice, and counted as good"
            " as the labels"
        )
    return told


def _of_one(test: Mapping[str, Any], call: Callable[[str], str]) -> str:
    p = f"p = {plain_number(test['p_value'], 3)}"
    of = f"{test['as_good']:,} of {counted(test['count'], 'permutation')} of the labels"
    score = plain_number(test["score"])
    return f"{p}: {of} came to {call(test['metric'])} {score} or better, selection and all"


def _of_targets(test: Mapping[str, Any], call: Callable[[str], str]) -> str:
    targets = test["targets"]
    below = sum(of["p_value"] <= _SIGNIFICANT for of in targets.values())
    times = counted(test["count"], "permutation")
    return (
        f"p ≤ {_SIGNIFICANT} by {call(test['metric'])} for {below:,} of"
        f" {counted(len(targets), 'target')}, each by itself ({times} of the labels); by chance"
        " alone about 1 of 20 has it"
    )
