"""Validation metrics of K columns: sums on the device, then a few lines on the host.

Every metric is a function of the predictions ŷ (B, C, K) or of the scores z, where only their order
counts and ŷ would tie; of the targets y (B, C) and the row weights w (B,) of the `weight` column,
or of those that columns have of their own, y (B, C, K) and w (B, K).
Of scores of one column w may be R weightings (B, R), as rows drawn anew have: they are its columns.
They equal scikit-learn's of the same name with `sample_weight=w`, but where the rows leave one
undefined (a 0/0, for which scikit-learn puts 0, 1 or a warning): it is NaN in every column then.
Areas under curves need all scores of a column at once: `trainer.model.ranking` has them.
Those here every evaluation reads; number_metrics.py, label_metrics.py and class_metrics.py have
those that it reads where a config names them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
Areas = tuple[Numbers, Numbers]
Sums = Mapping[str, Numbers]


class Targets(NamedTuple):
    """The host's view of one split's targets, for the last step of a metric.

    y (N, C), or (N,) class codes; w (N,) raw weights, or (N, R) of one column; `scale` (C,) is the
    target's σ in the user's units (ones without scaling); `outputs` is C; `labels` (C,) are the
    classes where they are numbers; `share` (K,) says which of R weightings each of K columns has.
    """

    y: Numbers
    w: Numbers
    scale: Numbers
    outputs: int
    labels: Numbers | None = None
    share: Indices | None = None

    @property
    def total(self) -> Numbers:
        """Σ_rows w, (), (R,) or (K,)."""
        return self.of_columns(np.asarray(self.w.sum(axis=0)))

    def sums(self, values: Numbers) -> Numbers:
        """Σ_rows w·values (C, 1, R or K) of values (N, C)."""
        return self.of_columns(np.asarray((self.w.T @ values).T.reshape(values.shape[1], -1)))

    def of_columns(self, values: Numbers) -> Numbers:
        """What R weightings have (…, R) for the columns that have them (…, K)."""
        return values if self.share is None else values[..., self.share]


def _on_any_rows(targets: Targets) -> dict[str, Flags]:
    return {}


LARGEST = "largest "  # what a sum is called that is no sum over rows but the largest of them


class Named(NamedTuple):
    """A metric that an evaluation reads where a config names it.

    It is of sums over rows, or of all scores at once, which then are kept.

    Attributes:
        finish: `(sums, targets)` -> (K,), of its own sums and those of `Metrics`.
        sums: `(xp, ŷ or z, y, w, targets)` -> named sums over the rows of one chunk, the last axis
            K; those called LARGEST… are the largest of the rows. y is (B, C) or (B, C, 1 or K), w
            (B,) or (B, K). None: those of `Metrics` will do.
        of_predictions: whether `sums` reads ŷ of labels or classes; else z. Numbers are ŷ.
        whole: `(z (N, C, K), targets)` -> (K,), in the place of `finish`; z is on the host.
        defined: as in `Metrics`; None where any rows define it.
    """

    finish: Callable[[Sums, Targets], Numbers] | None = None
    sums: Callable[[Any, Array, Array, Array, Targets], dict[str, Array]] | None = None
    of_predictions: bool = False
    whole: Callable[[Numbers, Targets], Numbers] | None = None
    defined: Callable[[Targets], Flags] | None = None


class Metrics(NamedTuple):
    """How what a model says of rows becomes metrics.

    Attributes:
        sums: `(xp, ŷ or z, y, w)` -> named sums over the rows of one chunk, the last axis K; y is
            (B, C) or (B, C, K), w (B,) or (B, K).
        finish: `(sums, targets, areas)` -> metrics, each (K,), those that the catalog has for so
            many outputs; areas are those of the ranking, (C, K) each, or None.
        of_predictions: whether `sums` reads ŷ; else z.
        ranked: whether `finish` wants the areas.
        defined: which of the parts that a metric is the mean over have it, by the metrics that not
            all rows define: outputs (C, …), or classes for the mean of their recalls. Of a part
            without it no number is made, and where no part has it the metric is undefined.
        named: those beside them that are named, in order.
    """

    sums: Callable[[Any, Array, Array, Array], dict[str, Array]]
    finish: Callable[[Sums, Targets, Areas | None], dict[str, Numbers]]
    of_predictions: bool = False
    ranked: bool = False
    defined: Callable[[Targets], dict[str, Flags]] = _on_any_rows
    named: Mapping[str, Named] = {}

    @property
    def whole(self) -> bool:
        """Whether one that is named wants all scores at once."""
        return any(one.whole is not None for one in self.named.values())

    @property
    def named_predictions(self) -> bool:
        """Whether one that is named wants ŷ beside z."""
        return any(one.of_predictions for one in self.named.values())

    def named_sums(
        self, xp: Any, values: Array, y: Array, w: Array, targets: Targets, predictions: bool
    ) -> dict[str, Array]:
        """The sums of those that are named, of ŷ or of z; each once."""
        wanted = [one.sums for one in self.named.values() if one.of_predictions == predictions]
        found: dict[str, Array] = {}
        for sums in dict.fromkeys(wanted):
            if sums is not None:
                found |= sums(xp, values, y, w, targets)
        return found

    def finish_named(
        self, sums: Sums, targets: Targets, scores: Numbers | None
    ) -> dict[str, Numbers]:
        """Those that are named, each (K,); `scores` are z (N, C, K) where one wants them all."""
        found = {}
        for name, one in self.named.items():
            if one.whole is not None:
                assert scores is not None
                found[name] = one.whole(scores, targets)
            elif one.finish is not None:
                found[name] = one.finish(sums, targets)
        return found

    def _parts(self, targets: Targets) -> dict[str, Flags]:
        named = {name: one.defined for name, one in self.named.items()}
        own = {name: defined(targets) for name, defined in named.items() if defined is not None}
        return self.defined(targets) | own

    def undefined(self, targets: Targets) -> frozenset[str]:
        """The metrics that these rows leave undefined, whatever is predicted for them."""
        return frozenset(name for name, of in self._parts(targets).items() if not of.any())

    def parts_of_columns(self, targets: Targets) -> dict[str, Numbers]:
        """By metric of how many parts it is the mean, and of how many in all: (2, 1 or K).

        Of none it is undefined, whatever is predicted.
        """
        found = {}
        for name, of in self._parts(targets).items():
            some = of.reshape(len(of), -1).sum(axis=0)  # (1 or K,)
            found[name] = np.stack([some, np.full(len(some), len(of))])
        return found

    def in_some(self, targets: Targets) -> dict[str, tuple[int, int]]:
        """{metric: (parts that it is the mean over, all of them)}, where those are some alone."""
        found = {name: (int(of.sum()), len(of)) for name, of in self._parts(targets).items()}
        return {name: (some, whole) for name, (some, whole) in found.items() if 0 < some < whole}


# --- linear ---------------------------------------------------------------------------------------


def add(xp: Any, totals: dict[str, Array], part: Mapping[str, Array]) -> None:
    """Add the sums of a chunk to those of the chunks before it, in float64."""
    for name, value in part.items():
        wide = value.astype(np.float64)
        both = xp.maximum if name.startswith(LARGEST) else xp.add
        totals[name] = both(totals[name], wide) if name in totals else wide


def regression_sums(xp: Any, predicted: Array, y: Array, w: Array) -> dict[str, Array]:
    """Σ_rows w·(ŷ − y)² (C, K); compiled in squares.c."""
    squares = predicted - by_column(y)
    squares *= squares
    return {"squares": weighted(xp, squares, w)}  # (C, K)


def _regression_finish(sums: Sums, targets: Targets, areas: Areas | None) -> dict[str, Numbers]:
    """r2 and rmse as means over the outputs, rmse in the user's units."""
    spread, squares = spread_of(targets), sums["squares"]  # (C, 1 or R), (C, K)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = 1 - squares / spread
    rmse = np.sqrt(squares / targets.total) * targets.scale[:, None]
    return {"r2": mean_over(r2, spread > 0), "rmse": rmse.mean(axis=0)}


def _regression_defined(targets: Targets) -> dict[str, Flags]:
    return {"r2": spread_of(targets) > 0}


def spread_of(targets: Targets) -> Numbers:
    """Σ_rows w·(y − mean)² of each output (C, 1 or R), of many from squares about one centre."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # it may be infinite
        mean = targets.sums(targets.y) / targets.total  # (C, 1 or R)
        centre = _centre(mean)
        squares = targets.sums((targets.y - centre[:, 0]) ** 2)
        off = np.where(mean == centre, 0.0, targets.total * (mean - centre) ** 2)
        return np.asarray(_varies(targets) * (squares - off))


def _centre(means: Numbers) -> Numbers:
    """A mean (C, 1) of means (C, R), of one the very same; those of no rows are left out."""
    return mean_known(means.T)[:, None] if means.shape[1] > 1 else means


def _varies(targets: Targets) -> Numbers:
    """Whether each output has two values (C, 1 or R): y − its rounded mean cannot tell."""
    known = (targets.w > 0).T  # (…, N)
    first = targets.y[known.argmax(axis=-1)]  # (…, C): of a row that has a weight, if one has
    each = range(targets.outputs)  # (R, N, C) would be large
    found = [(known & (targets.y[:, c] != first[..., c, None])).any(axis=-1) for c in each]
    return targets.of_columns(np.stack(found).reshape(targets.outputs, -1))


# --- counts ---------------------------------------------------------------------------------------


def _count_sums(xp: Any, predicted: Array, y: Array, w: Array) -> dict[str, Array]:
    """The deviance 2·(y·log(y/ŷ) − y + ŷ) of each output; of y = 0 it is 2·ŷ."""
    true = by_column(y)
    some = true > 0
    ratio = xp.where(some, true, 1) / xp.where(some, predicted, 1)
    deviance = 2 * (true * xp.log(ratio) + (predicted - true))
    return {"deviance": weighted(xp, deviance, w)}  # (C, K)


def _count_finish(sums: Sums, targets: Targets, areas: Areas | None) -> dict[str, Numbers]:
    """d2 and deviance as means over the outputs; d2 as r2, with deviances for squares."""
    spread, deviance = _count_spread(targets), sums["deviance"]  # (C, 1 or R), (C, K)
    with np.errstate(divide="ignore", invalid="ignore"):
        d2 = 1 - deviance / spread
    mean = (deviance / targets.total).mean(axis=0)
    return {"d2": mean_over(d2, spread > 0), "deviance": mean}


def _count_defined(targets: Targets) -> dict[str, Flags]:
    return {"d2": _count_spread(targets) > 0}


def _count_spread(targets: Targets) -> Numbers:
    """The deviance of the mean of each output (C, 1 or R), of many by way of one centre."""
    y = targets.y
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        mean = targets.sums(y) / targets.total  # (C, 1 or R)
        centre = _centre(mean)
        each = np.where(y > 0, y * np.log(y / centre[:, 0]), 0.0)
        same = (mean == centre) | (mean <= 0)
        off = np.where(same, 0.0, targets.sums(y) * np.log(mean / centre))
        return np.asarray(_varies(targets) * (2 * (targets.sums(each) - off)))


# --- logistic: one output is a binary label, several are independent labels -----------------------


def _binary_sums(xp: Any, z: Array, y: Array, w: Array) -> dict[str, Array]:
    chosen = (z > 0).astype(z.dtype)
    true = by_column(y)
    wrong = xp.abs(chosen - true).max(axis=1)  # (B, K): 1 if any label of the row is wrong
    return {
        "row_right": weighted(xp, 1 - wrong, w),  # (K,)
        "chosen": weighted(xp, chosen, w),  # (C, K)
        "chosen_true": weighted(xp, chosen * true, w),  # (C, K)
    }


def _binary_finish(sums: Sums, targets: Targets, areas: Areas | None) -> dict[str, Numbers]:
    assert areas is not None
    found = {"accuracy": sums["row_right"] / targets.total}
    area, precision = areas
    if targets.outputs > 1:
        both = _binary_defined(targets)["auc"]
        return found | {"auc": mean_over(area, both), "map": mean_over(precision, both)}
    true = targets.sums(targets.y)  # (1, 1 or R); 0 to the bit or not
    false = targets.sums(1 - targets.y)
    hits, chosen = sums["chosen_true"], sums["chosen"]
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = hits / true
        specificity = 1 - (chosen - hits) / false
        f1 = np.where(true > 0, 2 * hits / (chosen + true), np.nan)
    balanced = mean_known(np.concatenate([recall, specificity]))
    return found | {
        "balanced_accuracy": balanced,
        "auc": area[0],
        "average_precision": precision[0],
        "f1": f1[0],
    }


def _binary_defined(targets: Targets) -> dict[str, Flags]:
    true, false = targets.sums(targets.y) > 0, targets.sums(1 - targets.y) > 0  # (C, 1 or R)
    if targets.outputs > 1:
        return {"auc": true & false, "map": true & false}
    both, classes = true & false, np.concatenate([false, true])
    return {"auc": both, "average_precision": both, "f1": true, "balanced_accuracy": classes}


# --- softmax --------------------------------------------------------------------------------------


def _class_sums(xp: Any, z: Array, y: Array, w: Array) -> dict[str, Array]:
    outputs = z.shape[1]
    true = xp.argmax(y, axis=1)  # (B,)
    own = (true[:, None] == xp.arange(outputs)).astype(z.dtype)  # (B, C)
    true_score = xp.take_along_axis(z, true[:, None, None], axis=1)  # (B, 1, K)
    before = (
        xp.arange(outputs)[None, :] < true[:, None]
    )  # ties go to the first class, as argmax does
    rank = ((z > true_score) | ((z == true_score) & before[:, :, None])).sum(axis=1)  # (B, K)
    rank = xp.where(xp.isfinite(true_score[:, 0]), rank, outputs)
    right, top5 = (rank == 0).astype(z.dtype), (rank < 5).astype(z.dtype)  # (B, K)
    if w.ndim > 1 and z.shape[2] > 1:  # a weighting a column
        true_of = own.T  # (C, B)
        return {"right": true_of @ (right * w), "top5": true_of @ (top5 * w), "rows": true_of @ w}
    if w.ndim > 1:  # of one column: products of all weightings
        each = (own[:, :, None] * of[:, None, :] for of in (right, top5))  # (B, C, 1)
        right, top5 = (weighted(xp, of, w) for of in each)
        return {"right": right, "top5": top5, "rows": own.T @ w}  # (C, R)
    by_class = (own * w[:, None]).T  # (C, B)
    return {
        "right": by_class @ right,  # (C, K)
        "top5": by_class @ top5,  # (C, K)
        "rows": by_class.sum(axis=1)[:, None],  # (C, 1)
    }


def _class_finish(sums: Sums, targets: Targets, areas: Areas | None) -> dict[str, Numbers]:
    total = targets.total
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = sums["right"] / sums["rows"]  # (C, K); NaN for a class that does not occur
    found = {
        "accuracy": sums["right"].sum(axis=0) / total,
        "balanced_accuracy": mean_known(recall),
    }
    if targets.outputs > 5:
        found["top5"] = sums["top5"].sum(axis=0) / total
    return found


def _class_defined(targets: Targets) -> dict[str, Flags]:
    return {"balanced_accuracy": class_weights(targets) > 0}


REGRESSION = Metrics(
    regression_sums, _regression_finish, of_predictions=True, defined=_regression_defined
)
COUNTS = Metrics(_count_sums, _count_finish, of_predictions=True, defined=_count_defined)
BINARY = Metrics(_binary_sums, _binary_finish, ranked=True, defined=_binary_defined)
CLASSES = Metrics(_class_sums, _class_finish, defined=_class_defined)


def weighted(xp: Any, values: Array, w: Array) -> Array:
    """Σ_rows w·values: (B, ..., K) -> (..., K); of one column and w (B, R) -> (..., R).

    w is (B,), or (B, K) of columns with weights of their own, where 0 selects: what stands in a
    row that a column does not use may be NaN.
    """
    if w.ndim == 1:
        return xp.tensordot(w, values, axes=1)
    if values.shape[-1] > 1:
        own = w.reshape(len(w), *(1,) * (values.ndim - 2), -1)  # (B, …, K)
        return xp.where(own == 0, 0.0, own * values).sum(axis=0)
    return xp.tensordot(values[..., 0], w, axes=(0, 0))  # one product for all weightings


def by_column(y: Array) -> Array:
    """Targets (B, C, 1 or K) of targets (B, C), or of those that columns have of their own."""
    return y[:, :, None] if y.ndim == 2 else y


def class_weights(targets: Targets) -> Numbers:
    """The weight (C,) of the rows of each class."""
    codes = targets.y if targets.y.ndim == 1 else targets.y.argmax(axis=1)
    if targets.w.ndim > 1:
        return targets.sums(np.eye(targets.outputs)[codes.astype(np.int64)])  # (C, R or K)
    counts = np.bincount(codes.astype(np.int64), targets.w, targets.outputs)
    return np.asarray(counts, np.float64)


def mean_known(values: Numbers) -> Numbers:
    """Mean over the first axis, leaving out NaN; NaN where all are."""
    return mean_over(values, ~np.isnan(values))


def mean_over(values: Numbers, parts: Flags) -> Numbers:
    """Mean (K,) of values (C, K) over these parts (C, 1 or K); NaN without any."""
    count = parts.sum(axis=0)
    total = np.where(parts, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
