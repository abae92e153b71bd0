"""How often p-values of permutation tests are small: without an effect, and with a planted one.

    python scripts/permutation_nulls.py --nulls 500
    python scripts/permutation_nulls.py --nulls 100 --effect 0.8
    python scripts/permutation_nulls.py --speed 1000

Without an effect labels are drawn without a look at features; each data set has a selection over 20
penalties inside. `--speed` compares the CPU seconds of so many permutations of one model with those
of scikit-learn's permutation_test_score.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from trainer import device as devices
from trainer.statistics.permutation import p_value
from trainer.sweep.permutation import Again, null_scores, scores
from trainer.sweep.results import trial_results
from trainer.sweep.sweep import set_up, train, train_again
from trainer.sweep.unheard import Unheard
from trainer.workflow.given_spec import as_spec

Numbers = np.ndarray[Any, np.dtype[Any]]
_AGAIN = Again(train_again, trial_results)
_LEVELS = (0.01, 0.05, 0.1, 0.2, 0.5)


def null(
    X: Numbers, y: Numbers, penalties: list[float], permutations: int, stratify: bool
) -> tuple[float, Numbers]:
    """The score of a selection, and those with permuted labels."""
    spec = as_spec(
        {
            "model": "logistic",
            "data": {"train": "arrays", "stratify": stratify},
            "optimizer": {"name": "lbfgs"},
            "repeat": {"folds": 5},
            "sweep": {
                "parameters": {"penalty.C": list(penalties)},
                "metric": {"name": "val_accuracy"},
            },
        },
        {"train": (X, y)},
    )
    sweep = set_up(spec, {"train": (X, y)}, devices.choose("cpu"))
    train(sweep, Unheard(lambda: False))
    found = list(null_scores(sweep, range(permutations), _AGAIN, lambda: False))
    return float(scores(sweep, trial_results(sweep))[0]), np.concatenate(found)


def nulls(options: argparse.Namespace) -> None:
    """p-values of many data sets."""
    penalties, found = np.geomspace(1e-3, 10, 20).tolist(), []
    for seed in range(options.nulls):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(options.rows, 5))
        y = rng.uniform(size=options.rows) < 1 / (1 + np.exp(-options.effect * X[:, 0]))
        score, permuted = null(X, y.astype(int), penalties, options.permutations, False)
        found.append(p_value(score, permuted, minimize=False).p_value)
    print(f"{options.nulls} data sets, effect {options.effect:g}:")
    for level in _LEVELS:
        share = np.mean(np.array(found) <= level)
        print(f"| {level} | {share:.3f} | {np.sqrt(level * (1 - level) / options.nulls):.3f} |")


def speed(count: int) -> None:
    """CPU seconds of ours, where splits look at labels and where not, and of scikit-learn's."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import KFold, permutation_test_score

    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 20))
    y = (X[:, 0] + 2 * rng.normal(size=1000) > 0).astype(int)
    for stratify in (False, True):
        start = time.process_time()
        null(X, y, [1.0], count, stratify)
        print(f"ours, stratify {stratify}: {time.process_time() - start:.2f} s CPU")
    start, fewer = time.process_time(), max(count // 10, 1)
    model = LogisticRegression(C=1.0, max_iter=1000)
    permutation_test_score(model, X, y, cv=KFold(5), n_permutations=fewer, n_jobs=1)
    each = (time.process_time() - start) / fewer
    print(f"permutation_test_score: {each * count:.2f} s CPU (of {fewer:,}, in proportion)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nulls", type=int, default=500)
    parser.add_argument("--permutations", type=int, default=99)
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--effect", type=float, default=0.0)
    parser.add_argument("--speed", type=int, default=0)
    given = parser.parse_args()
    speed(given.speed) if given.speed else nulls(given)
