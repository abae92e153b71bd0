"""What would mend a run that diverged: a sentence for each cause."""

from typing import get_args

import pytest

from trainer.wording.divergence import Cause, mend_divergence

SGD = {"lr": 2.0, "bound": 0.12345, "momentum": 0.9, "nesterov": False, "try_lr": 0.0699}

SENTENCES = [
    (
        {"cause": "target", "precision": "float64"},
        "the squares of the target are past float64; other units of it are right",
    ),
    (
        {"cause": "target", "precision": "float32"},
        "the squares of the target are past float32; try data.scale_target=standard",
    ),
    (
        {"cause": "first weights"},
        "no solver gets anywhere from such first weights; init: zeros, or scaled features",
    ),
    ({"cause": "lr", "try_lr": 0.00999}, "try optimizer.lr=0.009"),
    (
        {"cause": "small batches", **SGD},
        "try optimizer.lr=0.06: small batches need less than full-batch sgd",
    ),
    (
        {"cause": "full batch", **SGD},
        "try optimizer.lr=0.06: on this data full-batch sgd with momentum 0.9 needs lr below"
        " 2(1 + momentum)/λmax = 0.123, and small batches less",
    ),
    (
        {"cause": "full batch", **SGD, "nesterov": True},
        "try optimizer.lr=0.06: on this data full-batch sgd with momentum 0.9 needs lr below"
        " 2(1 + momentum)/((1 + 2·momentum)·λmax) = 0.123, and small batches less",
    ),
    (
        {"cause": "steep", **SGD},
        "try optimizer.lr=0.06, or 'optimizer={name: auto}', which needs none: this loss is the"
        " steeper the larger ŷ is, and even where ŷ is the mean of the target full-batch sgd needs"
        " lr below 2(1 + momentum)/λmax = 0.123",
    ),
    (
        {"cause": "penalty", **SGD, "try_l2": 3.9, "has_l2": True},
        "try penalty.l2=3: with lr 2 the penalty alone is too strong, full-batch sgd needs lr"
        " below 2(1 + momentum)/λmax = 0.123",
    ),
    (
        {"cause": "penalty", **SGD, "try_l2": 3e-5, "has_l2": False},
        "try 'penalty={l2: 3e-05}': with lr 2 the penalty alone is too strong, full-batch sgd"
        " needs lr below 2(1 + momentum)/λmax = 0.123",
    ),
]


@pytest.mark.parametrize(("found", "sentence"), SENTENCES)
def test_each_cause_has_its_sentence(found, sentence):
    assert mend_divergence(found) == sentence


def test_no_cause_is_without_a_sentence():
    assert {found["cause"] for found, _ in SENTENCES} == set(get_args(Cause))
    assert len(SENTENCES) == 10
