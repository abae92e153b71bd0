"""What has been found about a source's rows is found once, and by everything that decides it."""

from __future__ import annotations

from typing import Any

import pytest

from trainer.config import Spec
from trainer.data import read
from trainer.data.sources.source import HoldoutKey
from trainer.data.splits import holdout
from trainer.data.splits.holdout import hold_out, usable

PLAIN = {"val": 0.2, "test": 0.1, "stratify": "auto", "missing": "error", "seed": 0}
OTHERS: dict[str, Any] = {
    "val": 0.3,
    "test": 0.2,
    "stratify": False,
    "missing": "drop",
    "seed": 1,
}


def spec_of(**data: Any) -> Spec:
    return Spec.model_validate({"model": "softmax", "data": {"train": "digits", **PLAIN, **data}})


def test_equal_specs_share_a_holdout() -> None:
    source = read(spec_of())
    first = hold_out(source, spec_of())
    again = hold_out(source, spec_of(scale="standard"))
    assert again is first
    assert list(source.holdouts.values()) == [first]


@pytest.mark.parametrize("key", OTHERS)
def test_each_key_that_decides_makes_another_holdout(key: str) -> None:
    source = read(spec_of())
    first = hold_out(source, spec_of())
    other = hold_out(source, spec_of(**{key: OTHERS[key]}))
    assert other is not first
    assert len(source.holdouts) == 2
    assert {*OTHERS, "model", "positive", "targets"} == set(HoldoutKey._fields)


def test_the_positive_class_decides_too() -> None:
    specs = [
        Spec.model_validate({"model": "logistic", "data": {"train": "breast_cancer", **own}})
        for own in ({}, {"positive": "benign"})
    ]
    source = read(specs[0])
    found = [hold_out(source, spec).target.classes for spec in specs]
    assert found == [("benign", "malignant"), ("malignant", "benign")]


def test_rows_are_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    source = read(spec_of())
    looked: list[str] = []
    found = holdout.usable_rows
    monkeypatch.setattr(
        holdout, "usable_rows", lambda frame, how, **more: looked.append(how) or found(frame, how)
    )
    for how in ("error", "drop", "error"):
        assert len(usable(source, source.frame, how)) == source.frame.rows
    assert looked == ["error", "drop"]
