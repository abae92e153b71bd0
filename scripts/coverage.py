"""How often intervals of test metrics have the truth in them, as a table in Markdown.

For each of many draws: a logistic model fitted to N rows, N other rows that it is tested on, the
interval of each metric from these alone, and the metric of the same model on a million rows, which
is the truth. All models are repeats of one run, columns of its stacks.

    python scripts/coverage.py [CASE ...] [--draws 1000] [--resamples 1000] [--truth 1000000]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load_file

import trainer
from trainer.model import MODELS
from trainer.model.metrics import Targets
from trainer.model.ranking import ranking
from trainer.predict.fitted_model import FittedModel
from trainer.predict.tables import scores_by_weights
from trainer.statistics.intervals import percentile_interval
from trainer.statistics.resampling import Part, resample

Numbers = np.ndarray[Any, np.dtype[np.float64]]
LEVEL, COLUMNS = 0.95, 20  # models whose truth is read at once
POOL = 100_000  # rows that training rows are drawn from


class Case(NamedTuple):
    """A problem: rows, features, how far the scores spread, and the penalty."""

    rows: int = 1000
    features: int = 5
    spread: float = 2.5
    l2: float = 0.0


CASES = {
    "N 1,000, D 5": Case(),
    "N 100": Case(rows=100),
    "accuracy .96": Case(spread=14.0),
    "D/N .05": Case(features=50),
    "l2 0.1": Case(l2=0.1),
}


def rows_of(case: Case, seed: int, count: int) -> tuple[Numbers, Numbers]:
    """Normal features (count, D), and labels (count,) whose logit is a sum of them."""
    draw = np.random.default_rng(seed)
    X = draw.standard_normal((count, case.features))
    z = X.sum(axis=1) * case.spread / np.sqrt(case.features)
    return X, (draw.random(count) < 1 / (1 + np.exp(-z))).astype(float)


def fitted(case: Case, draws: int, folder: Path) -> tuple[FittedModel, Numbers, Numbers]:
    """A model, and the weights (D, 1, draws) and biases (1, draws) of as many as are drawn."""
    X, y = rows_of(case, 0, POOL)
    spec = {
        "model": "logistic",
        "data": {"train": "arrays", "scale": "none"},
        "optimizer": {"name": "newton"},
        "penalty": {"l2": case.l2},
        "precision": "float64",
        "repeat": {"few_shot": {"k": case.rows // 2, "tries": draws}},
        "log": {"weights": "all"},
        "intervals": "none",
    }
    run = trainer.run(spec, out=folder, data={"train": (X, y.astype(int))})
    saved = load_file(run.folder / "weights.safetensors")
    return run.model(), saved["weights"], saved["bias"]


def truths(case: Case, weights: Numbers, bias: Numbers, count: int) -> dict[str, Numbers]:
    """The metrics (draws,) of all models on so many rows."""
    X, y = rows_of(case, 1, count)
    w, row, found = np.ones(count), MODELS["logistic", "auto"], []
    for first in range(0, weights.shape[2], COLUMNS):
        some = slice(first, first + COLUMNS)
        z = (X @ weights[:, 0, some])[:, None, :] + bias[:, some]  # (N, 1, K)
        sums = row.metrics.sums(np, z, y[:, None], w)
        areas = ranking(z, y[:, None], w)
        metrics = row.metrics.finish(sums, Targets(y[:, None], w, np.ones(1), 1), areas)
        loss = np.logaddexp(0, np.where(y[:, None] > 0, -z[:, 0], z[:, 0])).mean(axis=0)
        found.append({"loss": loss, **metrics})
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}


def intervals(
    case: Case, model: FittedModel, weights: Numbers, bias: Numbers, resamples: int
) -> Iterator[dict[str, tuple[float, float]]]:
    """The interval of each metric of each model on rows of its own."""
    labels, w = np.arange(case.rows), np.ones(case.rows)
    for draw in range(weights.shape[2]):
        X, y = rows_of(case, 1000 + draw, case.rows)
        one = replace(model, weights=weights[:, :, draw], bias=bias[:, draw])
        measure = scores_by_weights(one, X @ one.weights + one.bias, y[:, None])
        drawn = resample([Part(labels, w, measure)], resamples, seed=draw)
        found = {name: percentile_interval(of, LEVEL) for name, of in drawn.items()}
        yield {name: (of.low, of.high) for name, of in found.items() if of is not None}


def coverage(name: str, options: argparse.Namespace) -> str:
    """A line of the table: of each metric how many intervals have its truth, and their width."""
    case, began = CASES[name], time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        model, weights, bias = fitted(case, options.draws, Path(folder, "run"))
    truth = truths(case, weights, bias, options.truth)
    ends = list(intervals(case, model, weights, bias, options.resamples))
    cells = [name]
    for metric, values in truth.items():
        pairs = [(of[metric], value) for of, value in zip(ends, values, strict=True)]
        inside = np.mean([low <= value <= high for (low, high), value in pairs])
        width = np.mean([high - low for (low, high), _ in pairs])
        cells.append(f"{100 * inside:.1f} % ({values.mean():.3f}, {width:.3f})")
    head = ["case", *truth, "seconds"]
    row = [*cells, f"{time.perf_counter() - began:.0f}"]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), row))


def main() -> None:
    """Print the table, a case after the other."""
    reader = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    reader.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    reader.add_argument("--draws", type=int, default=1000)
    reader.add_argument("--resamples", type=int, default=1000)
    reader.add_argument("--truth", type=int, default=1_000_000)
    options = reader.parse_args()
    for place, name in enumerate(options.cases or CASES):
        lines = coverage(name, options).splitlines()
        print("\n".join(lines if place == 0 else lines[2:]), flush=True)


if __name__ == "__main__":
    main()
