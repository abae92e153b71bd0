"""A bootstrap of the fit in words: what its intervals are of, and which setting would win."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.text.numbers import counted, percent
from trainer.text.printable import one_of
from trainer.wording.intervals import level_text
from trainer.wording.settings import settings_text

_SHOWN = 3  # settings


def coefficients_text(results: Mapping[str, Any]) -> str | None:
    """What the intervals of coefficients are of; None without a bootstrap."""
    found = results.get("bootstrap")
    if not found:
        return None
    of = f"{counted(found['resamples'], 'resample')}, settings fixed at the winner's"
    if found["selects"]:
        told = f"how often each is not 0 in {of}, is in coefficients.csv; with l1 there are no"
        return f"{told} intervals"
    told = f"[ ] has the middle {level_text(found)} of {of}; all are in coefficients.csv"
    if found["penalised"]:
        told += "; they are of the penalised optimum, which is nearer 0 than one without a penalty"
    return told


def wins_text(results: Mapping[str, Any]) -> str | None:
    """Which settings would win in how many resamples; None of one setting."""
    found = (results.get("bootstrap") or {}).get("wins")
    if not found:
        return None
    named = [
        f"trial {of['trial']} ({settings_text(of['settings'])}) in {percent(of['share'])}"
        for of in found[:_SHOWN]
    ]
    left = len(found) - _SHOWN
    if left > 0:
        named.append(f"{counted(left, 'other')} more in results.json")
    count = counted(results["bootstrap"]["resamples"], "resample")
    return f"by the rows that each of {count} did not draw: {one_of(named, 'and')}"
