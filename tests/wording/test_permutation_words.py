"""What is said of a permutation test, from plain dicts alone."""

from trainer.wording.permutation import permutation_texts

ONE = {
    "metric": "val_auc",
    "count": 1000,
    "fewest": 19,
    "score": 0.75,
    "p_value": 3 / 1001,
    "as_good": 2,
}


def test_one_p_value():
    assert permutation_texts({}) == []
    (told,) = permutation_texts({"permutation_test": ONE}, lambda name: name.upper())
    assert told == (
        "p = 0.003: 2 of 1,000 permutations of the labels came to VAL_AUC 0.75 or better,"
        " selection and all"
    )


def test_what_weakens_it():
    few = {**ONE, "count": 18, "p_value": 1 / 19, "as_good": 0, "undefined": 1, "arrangements": 6}
    _, *more = permutation_texts({"permutation_test": few})
    assert more == [
        "of 18 permutations p is 0.053 at least: too few; 19 or more can tell, 1,000 are usual",
        "the labels have 6 arrangements, so that many permutations are alike",
        "1 permutation led to no choice, and counted as good as the labels",
    ]
    assert len(permutation_texts({"permutation_test": {**ONE, "count": 19}})) == 1


def test_of_targets():
    targets = {"a": {"p_value": 0.05}, "b": {"p_value": 0.051}}
    test = {"metric": "val_loss", "count": 19, "targets": targets}
    (told,) = permutation_texts({"permutation_test": test})
    assert told.startswith("p ≤ 0.05 by val_loss for 1 of 2 targets, each by itself")
