"""What is said of intervals, from plain dicts alone."""

import pytest

from trainer.wording.choice import lead_text
from trainer.wording.intervals import ends_text, interval_texts, margin_text

FACTS = {
    "resamples": 1000,
    "level": 0.95,
    "fewest": 100,
    "cut": False,
    "by": {"val": "row"},
    "undefined": {},
    "selected": [],
}
HOW = (
    "[ ] has the middle 95 % of 1,000 draws of the rows, the model as it is; other training rows"
    " would widen it"
)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, []),
        ({"selected": ["val"]}, ["of val it is selected, optimistic: its rows have chosen what"]),
        ({"cut": True}, ["1,000 draws in place of 1,000, which would take more than 5 % of the"]),
        ({"fewest": 5000}, ["1,000 draws are few for 95 %; 5,000 or more are right"]),
        (
            {"undefined": {"val_auc": 3, "val_f1": 1}},
            ["not defined, and left out: AUC in 3 and F1 in 1 of 1,000 draws"],
        ),
    ],
)
def test_how_they_were_made_and_what_weakens_them(changed, told):
    call = {"val_auc": "AUC", "val_f1": "F1"}.__getitem__
    how, *more = interval_texts({"intervals": FACTS | changed}, call)
    assert how == HOW
    assert len(more) == len(told)
    assert all(one.startswith(begins) for one, begins in zip(more, told, strict=True))


def test_what_is_drawn():
    def drawn(**by):
        (told,) = interval_texts({"intervals": FACTS | {"by": by}})
        return told.partition(" draws of ")[2].partition(", the model")[0]

    assert drawn(val="group", test="group") == "whole groups"
    assert drawn(val="group", test="row") == "whole groups (val) or the rows (test)"


def test_without_any_nothing_is_said():
    assert interval_texts({}) == []
    assert margin_text({"runner_up": {"margin_interval": [0, 1]}}, str) is None
    assert ends_text(None, str) == ""
    assert ends_text((0.5, 1), str) == "[0.5, 1]"


@pytest.mark.parametrize(("ends", "tie"), [([-0.5, 2.0], True), ([0.25, 2.0], False)])
def test_a_lead_of_one_value_has_its_interval(ends, tie):
    other = {"trial": 3, "settings": {}, "margin": 1.0, "margin_interval": ends}
    results = {"runner_up": other, "repeats": 1, "intervals": FACTS}
    told = lead_text(results, "loss", lambda _: "lr 1", lambda value, _: f"{value:g}")
    right = f"95 % of the paired differences over the rows drawn lie in [{ends[0]:g}, 2]"
    right += ": a tie by these" * tie
    assert told == f"1 of loss ahead of trial 3 (lr 1); {right}"
