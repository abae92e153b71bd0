"""Sentences on metrics that are not defined, from plain dicts."""

import math

import pytest

from trainer.wording.choice import lead_text, rule_text
from trainer.wording.closing import metric_text
from trainer.wording.repeats import repeat_word
from trainer.wording.undefined import nowhere_text, undefined_texts, unranked_text

BOTH = "rows of both classes"
VALUES = "more than one value of the target"
TEST = {"val_loss": math.nan, "test_auc": None, "test_map": math.nan, "test_loss": 1.0}
SENTENCES = [
    (
        {"defined": {"val_auc": 5}},
        6,
        [f"val_auc is defined in 5 of 6 folds, those with {BOTH}; the mean is over these"],
    ),
    (
        {"defined": {"val_auc": 5, "val_average_precision": 5, "val_f1": 4}},
        6,
        [
            "val_auc and val_average_precision are defined in 5 of 6 folds, those with"
            f" {BOTH}; the means are over these",
            "val_f1 is defined in 4 of 6 folds, those with rows of the positive class; the mean is"
            " over these",
        ],
    ),
    (
        {"defined": {"val_r2": 0}},
        6,
        [f"val_r2 is not defined on the validation rows of any fold: it needs {VALUES}"],
    ),
    (
        {"defined": {"val_auc": 0}},
        1,
        [f"val_auc is not defined on the validation rows: it needs {BOTH}"],
    ),
    (
        {"metrics": TEST},
        1,
        [f"test_auc and test_map are not defined on the test rows: they need {BOTH}"],
    ),
    (
        {"parts": {"val_map": [2, 3]}},
        1,
        [f"val_map is a mean over 2 of 3 outputs, those with {BOTH}"],
    ),
    (
        {"parts": {"val_r2": [2, 3], "test_r2": [2, 3]}},
        6,
        [
            f"val_r2 is a mean over 2 of 3 outputs in some folds, those with {VALUES}",
            f"test_r2 is a mean over 2 of 3 outputs, those with {VALUES}",
        ],
    ),
    (
        {"parts": {"val_balanced_accuracy": [9, 10]}},
        1,
        ["val_balanced_accuracy is a mean over 9 of 10 classes, those with rows"],
    ),
    ({"metrics": {"val_auc": 0.5}}, 6, []),
]


@pytest.mark.parametrize(("best", "repeats", "sentences"), SENTENCES)
def test_each_lot_of_metrics_has_its_sentence(best, repeats, sentences):
    assert undefined_texts(best, repeats, "fold") == sentences


def test_the_table_of_sentences_is_whole():
    assert len(SENTENCES) == 9


def test_a_repeat_is_called_what_it_is():
    few_shot = {"folds": None, "few_shot": {"k": 1}}
    blocks = [{"folds": 5, "few_shot": None}, few_shot, {"seeds": 3}, None, "none"]
    assert list(map(repeat_word, blocks)) == ["fold", "draw", "repeat", "repeat", "repeat"]


def test_what_is_refused_says_why_and_what_would_be_right():
    assert nowhere_text("val_auc", 6, "fold") == (
        f"val_auc is not defined on the validation rows of any fold: it needs {BOTH};"
        " val_loss, which any rows define, or fewer folds are right"
    )
    assert nowhere_text("val_auc", 1, "repeat").endswith("or other validation rows are right")


def test_a_run_without_a_rank_says_what_became_of_its_trials():
    assert unranked_text("train_loss", 1, 0) == (
        "there is no model: train_loss is no finite number"
    )
    assert unranked_text("val_r2", 4, 3).startswith(
        "no trial can be ranked, so there is no model: val_r2 is no finite number in any of the 4"
        " trials (3 diverged)"
    )


def results(count, **other):
    return {
        "metric": {"name": "val_auc"},
        "repeats": 6,
        "best": {"defined": {"val_auc": count}},
        "runner_up": {"trial": 1, "margin": 0.1, "standard_errors": None, **other},
    }


def test_the_lead_and_the_rule_are_of_the_repeats_that_define_the_metric():
    def lead(record):
        return lead_text(record, "val_auc", str, lambda value, digits: f"{value}")

    assert lead(results(1)).endswith("one value each, so chance may be all of it")
    assert lead(results(5)).endswith("the same in every repeat")
    assert lead(results(5, paired=False)).endswith("the two are means over different repeats")
    assert rule_text(results(5), "val_auc", False).endswith("mean over 5 of 6 repeats")
    assert rule_text(results(6), "val_auc", False).endswith("mean over 6 repeats")


def test_a_metric_tells_over_how_many_repeats_it_is_where_not_over_all():
    trial = {"metrics": {"val_auc": 0.5}, "std": {"val_auc": 0.1}}
    assert metric_text(trial, "val_auc", 6) == "0.5 ± 0.1"
    assert metric_text(trial | {"defined": {"val_auc": 5}}, "val_auc", 6) == "0.5 ± 0.1 (5 of 6)"
    none = {"metrics": {"val_auc": math.nan}, "std": {}, "defined": {"val_auc": 0}}
    assert metric_text(none, "val_auc", 6) == "not defined"
