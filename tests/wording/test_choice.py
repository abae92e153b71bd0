"""What was chosen and by how much: one sentence for the terminal and the page, and a true one."""

import math
from functools import partial

import pytest

from trainer.config import load_spec
from trainer.sweep.select import choose
from trainer.sweep.trial_result import ColumnResult, TrialResult
from trainer.text.numbers import number, plain_number
from trainer.wording.choice import (
    as_good_text,
    lead_text,
    outcomes_text,
    refit_text,
    rule_text,
)
from trainer.wording.settings import settings_text

LR = "optimizer.lr"
SPEC = {"model": "softmax", "data": {"train": "digits"}}


def results(margin, errors=None, repeats=1, held_ratio=None, ahead_in=None, **more):
    """results.json of two trials, as far as the sentences read it."""
    runner_up = {
        "trial": 1,
        "settings": {LR: 0.2},
        "margin": margin,
        "standard_errors": errors,
        **({} if held_ratio is None else {"held_ratio": held_ratio}),
        **({} if ahead_in is None else {"ahead_in": ahead_in}),
    }
    return {"repeats": repeats, "runner_up": runner_up, "rule": "best", **more}


terminal = partial(lead_text, metric="val_loss", settings=settings_text, number=plain_number)
page = partial(lead_text, metric="val_loss", settings=settings_text, number=number)

LEADS = [
    (results(0.1), "0.1 of val_loss ahead of {}; one value each, so chance may be all of it"),
    (results(0.0), "none: {} has the same val_loss"),
    (results(0.0, 0.0, repeats=3), "none: {} has the same val_loss"),
    (
        results(0.1, 2.04, repeats=3),
        "0.1 of val_loss ahead of {}, 2.0 standard errors of the paired difference over the"
        " repeats",
    ),
    (
        results(-0.1, -1.5, repeats=3),
        "0.1 of val_loss behind {}, the best by that alone, 1.5 standard errors of the paired"
        " difference over the repeats: a tie by these",
    ),
    (
        results(0.1, 1.5, repeats=3, held_ratio=0.5),
        "0.1 of val_loss ahead of {}, 1.5 standard errors of the paired difference over the"
        " folds, widened as they share training rows (Nadeau and Bengio 2003): a tie by these",
    ),
    (results(0.1, None, repeats=2), "0.1 of val_loss ahead of {}, the same in every repeat"),
    (
        results(0.1, repeats=200, ahead_in=0.83),
        "0.1 of val_loss ahead of {}; better in 83.0 % of the resamples",
    ),
    (results(math.inf, None, repeats=2), None),  # on its own below
    (results(None), None),
    ({"repeats": 1, "runner_up": None}, None),
]


@pytest.mark.parametrize(("found", "sentence"), LEADS)
@pytest.mark.parametrize("surface", [terminal, page], ids=["terminal", "page"])
def test_the_lead(found, sentence, surface):
    told = surface(found)
    if found["runner_up"] and found["runner_up"]["margin"] == math.inf:
        sentence = "of val_loss ahead of trial 1 (lr 0.2)"
        assert told.endswith(sentence)  # and no word on repeats, of which nothing is known
    else:
        assert told == (sentence and sentence.format("trial 1 (lr 0.2)"))


def test_the_table_of_leads_is_whole():
    assert len(LEADS) == 11


def trial(number, losses):
    """A trial with a column a loss."""
    rest = {"l2": 0.0, "l1": 0.0, "C": None, "epochs": 1, "step": 1, "best_epoch": 1}
    rest |= {"best_step": 1, "grad_norm": 0.0, "status": "finished", "reason": ""}
    columns = [
        ColumnResult(trial=number, repeat=r, metrics={"val_loss": loss}, **rest)
        for r, loss in enumerate(losses)
    ]
    return TrialResult(number, {LR: 0.1 * (number + 1)}, load_spec(SPEC), columns, 1)


# the losses of the runner-up beside 1/8, 1/4, 1/2: alone, by 1/8 more in each repeat, unevenly more
OTHERS = {(0.25,): "alone", (0.25, 0.375): "even", (0.5, 0.375): "", (0.5, 0.5, 0.5): ""}


@pytest.mark.parametrize(("losses", "kind"), OTHERS.items(), ids=str)
@pytest.mark.parametrize("surface", [terminal, page], ids=["terminal", "page"])
def test_chance_is_spoken_of_exactly_where_there_is_one_value(losses, kind, surface):
    best = [0.125, 0.25, 0.5][: len(losses)]
    chosen = choose([trial(0, best), trial(1, losses)], load_spec(SPEC), "val_loss")
    sentence = surface(results(chosen.margin, chosen.standard_errors, len(losses)))
    assert ("chance may be all of it" in sentence) == (kind == "alone")
    assert ("the same in every repeat" in sentence) == (kind == "even")
    assert ("standard errors of the paired difference" in sentence) == (kind == "")


def test_the_rule_is_named_by_its_own_error_and_the_lead_by_the_paired_one():
    found = results(-0.1, -3.0, repeats=4, rule="one_std_err")
    own = "within one standard error of {} (its own, over 4 repeats)"
    rule = rule_text(found, "validation loss", minimize=True)
    assert rule == f"the strongest penalty {own.format('the lowest validation loss')}"
    assert as_good_text(found, 1) == f"no other trial is {own.format('the best')}"
    near = f"1,200 trials are {own.format('the best')}; of these it has the strongest penalty"
    assert as_good_text(found, 1200) == near
    assert "3.0 standard errors of the paired difference" in terminal(found)


@pytest.mark.parametrize(
    ("repeats", "rule", "minimize", "sentence"),
    [
        (1, "best", True, "the lowest loss"),
        (1, "one_std_err", True, "the lowest loss"),  # one value has no error
        (3, "best", False, "the highest loss, mean over 3 repeats"),
    ],
)
def test_the_best_is_named_by_its_mean(repeats, rule, minimize, sentence):
    assert rule_text(results(0.1, repeats=repeats, rule=rule), "loss", minimize) == sentence


def test_how_trials_ended_and_what_was_trained_again():
    assert outcomes_text({"finished": 1200, "not_converged": 1}) == (
        "1,200 finished, 1 not converged"
    )
    assert refit_text("train", (1, "epoch")) == "trained again on all training rows for 1 epoch"
    assert refit_text("train+val", (1500, "step")) == (
        "trained again on training and validation rows for 1,500 steps"
    )
    assert refit_text("train", None) == "trained again on all training rows"
    assert refit_text(None, None) == "trained again on none"
