"""One reading of a split's metrics for all K columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from trainer.data.rows import Rows
from trainer.machine.interrupted import ShouldStop, ask, never
from trainer.model.compiled_errors import errors_of, squares_of
from trainer.model.metrics import Targets, add
from trainer.model.ranking import ranking
from trainer.model.row_sums import weighted_sums
from trainer.model.step import error, flat, leave_out, scores
from trainer.train.batches import Chunk, FullBatch, RowSet
from trainer.train.buffers import Buffers
from trainer.train.protocol import AnyStack, HeldSums
from trainer.train.scored_columns import ScoredColumns
from trainer.train.state import AnyState

if TYPE_CHECKING:
    from trainer.device import Device

T = TypeVar("T")
Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
SumsOfRows = Callable[[Array, Array, Array, Targets], dict[str, Array]]  # of ŷ or z, y and w
Indices = np.ndarray[Any, np.dtype[np.int64]]
# numbers of an array in float64: so many stay in the cache; so many more for as few rows as a
# product needs, where it is large
_WIDE, _MOST = 1 << 15, 1 << 20
_FEWEST_ROWS = 256


def _asked(parts: Iterable[T], should_stop: ShouldStop) -> Iterator[T]:
    """The parts; between each and the next `should_stop()` is asked.

    Raises:
        Interrupted: it said so.
    """
    for number, part in enumerate(parts):
        if number:
            ask(should_stop)
        yield part


class HeldOut:
    """The rows of one split on a device, for any number of stacks to be scored on."""

    def __init__(
        self,
        device: Device,
        rows: Rows,
        target_scale: Numbers,
        weights: Numbers | None = None,
        labels: Numbers | None = None,
        there: HeldOut | None = None,
    ) -> None:
        """Copy a split to the device.

        Args:
            device: where to.
            rows: the split; of several targets y is (N, C, T), NaN where a label is missing.
            target_scale: (C,) or (C, T) σ of the targets in the user's units, for rmse.
            weights: (R, N) row weights of row sets, by which columns are scored; None: of one.
            labels: (C,) the classes where they are numbers.
            there: the same rows with other targets, whose X is on the device.
        """
        outputs = len(target_scale)
        # raw: sums of ones are exact in float32, so an accuracy of 1 is 1
        w = rows.weight if weights is None else weights
        at = None if there is None else there.rows
        self.rows: RowSet = RowSet(device, rows.X, rows.y, w, w, outputs, whole=False, there=at)
        self.targets = Targets(rows.y, rows.weight, target_scale, outputs, labels)
        self._device, self._several = device, weights is not None

    def rows_of(self, trained: RowSet) -> RowSet:
        """The rows for the columns that train on others: each by its own target and row set."""
        target = trained.target_of if self.targets.y.ndim > 2 else None
        row_set = trained.row_set_of if self._several else None
        if target is None and row_set is None:
            return self.rows
        return self.rows.of_columns(target, row_set)

    def by_target(self, rows: RowSet) -> list[ScoredColumns]:
        """The columns of `rows_of`, those of all row sets together: of each target."""
        groups: dict[int, list[ScoredColumns]] = {}
        for one in self.groups(rows):
            groups.setdefault(one.target, []).append(one)
        return [one[0] if len(one) == 1 else self._together(rows, one) for one in groups.values()]

    def _together(self, rows: RowSet, parts: Sequence[ScoredColumns]) -> ScoredColumns:
        """The columns of one target, of which each has the weights of its own row set."""
        whole, target, every = self.targets, parts[0].target, len(rows.share_of)  # type: ignore[arg-type]
        which = np.zeros(every, np.int64)  # of the parts
        for number, part in enumerate(parts):
            which[part.columns] = number
        at = np.sort(np.concatenate([part.columns for part in parts]))
        shares = np.array([part.share for part in parts])
        y = whole.y if whole.y.ndim < 3 else whole.y[:, :, target]
        if y.ndim > 1:
            y = np.where(np.isnan(y), 0.0, y)  # whose weights are 0
        own = whole._replace(
            y=y,
            w=np.ascontiguousarray(rows.weights_on_host()[shares].T),  # (N, V)
            scale=whole.scale if whole.scale.ndim < 2 else whole.scale[:, target],
            share=which[at],
        )
        share = self._device.to_device(shares[which[at]], np.int64)
        columns = slice(None) if len(at) == every else at
        return ScoredColumns(columns, target, share, own, None, parts)

    def groups(self, rows: RowSet) -> list[ScoredColumns]:
        """The columns of `rows_of`, by what they are scored on."""
        whole, (target, share) = self.targets, (rows.target_of, rows.share_of)
        if target is None and rows.row_set_of is None:
            return [ScoredColumns(slice(None), 0, 0, whole, None)]
        columns = len(rows.row_set_of if target is None else target)  # type: ignore[arg-type]
        none = np.zeros(columns, np.int64)
        both = np.stack([none if one is None else one for one in (target, share)])  # (2, K)
        pairs, group_of = np.unique(both, axis=1, return_inverse=True)
        by_group = np.argsort(group_of.reshape(-1), kind="stable")
        ends = np.searchsorted(group_of.reshape(-1)[by_group], np.arange(1, pairs.shape[1]))
        weights = rows.weights_on_host()  # (V, N)
        used_by = [np.flatnonzero(of) for of in weights]
        found = []
        for at, (of, by) in zip(np.split(by_group, ends), pairs.T.tolist(), strict=True):
            used, w = used_by[by], weights[by]
            y = whole.y if whole.y.ndim < 3 else whole.y[:, :, of]
            scale = whole.scale if whole.scale.ndim < 2 else whole.scale[:, of]
            some = used if len(used) < len(y) else None
            own = (np.ascontiguousarray(y), w) if some is None else (y[some], w[some])
            targets = whole._replace(y=own[0], w=own[1], scale=scale)
            which: Any = at if len(at) < len(by_group) else slice(None)
            found.append(ScoredColumns(which, of, by, targets, some))
        return found

    def with_targets(self, y: Array, target_scale: Numbers) -> HeldOut:
        """The same rows with other targets, all of them known; X is shared."""
        other = copy(self)
        other.__dict__.pop("wide", None)
        other.rows = self.rows.with_targets(y, self.targets.w)
        other.targets = self.targets._replace(y=y, scale=target_scale, outputs=len(target_scale))
        return other

    @cached_property
    def wide(self) -> tuple[Array, Array]:
        """Targets (N, C, T) and weights (N,) on the device in float64; of targets (N, C, …)."""
        to_device = self._device.to_device
        y, w = self.targets.y, self.targets.w
        y = np.where(np.isnan(y), 0.0, y).reshape(*y.shape[:2], -1)
        return to_device(y, np.float64), to_device(w, np.float64)


class Evaluator:
    """Scores one stack on held rows."""

    def __init__(self, stack: AnyStack, held: HeldOut) -> None:
        self.stack, self.held = stack, held
        self.rows = rows = held.rows_of(stack.rows)
        # what is named goes by the rows of one row set
        self.groups = (held.groups if stack.model.metrics.named else held.by_target)(rows)
        chunk_rows = min(len(rows), stack.chunk_rows)
        self.batches = FullBatch(stack.device, rows, chunk_rows)
        _, outputs, columns = stack.shape
        xp = stack.device.xp
        self._errors = errors_of(xp, stack.model, rows.y, self.batches.placed(), columns)
        self._none = xp.zeros((outputs, columns), rows.X.dtype)
        self._slopes = xp.empty((outputs, columns), rows.X.dtype)
        self._held_sums = self._sums_of_held()

    def _sums_of_held(self) -> HeldSums | None:
        """What sums squares of all columns without the rows; None where they are needed."""
        metrics = self.stack.model.metrics
        if not metrics.of_predictions or metrics.named or self.rows is not self.held.rows:
            return None
        true, w = self._wide
        return self.stack.held_sums(self.rows.X, true[:, :, 0], w[:, 0])

    def metrics(self, state: AnyState, should_stop: ShouldStop = never) -> dict[str, Numbers]:
        """Read `loss` (the data term alone) and the model's metrics, each (K,).

        Raises:
            Interrupted: `should_stop()`, which is asked between chunks of the rows.
        """
        metrics = self.stack.model.metrics
        totals: dict[str, Array] = {}  # on the device, in float64
        whole: Numbers | None = None  # (N, C, K) scores, where they are wanted
        done = 0
        parts: Iterator[tuple[dict[str, Array], Numbers | None]] = (
            self._of_predictions if metrics.of_predictions else self._of_scores
        )(state, should_stop)
        with np.errstate(all="ignore"):
            for part, z in parts:
                if z is not None:
                    if whole is None:
                        whole = np.empty((len(self.rows), *z.shape[1:]), z.dtype)
                    whole[done : done + len(z)] = z
                    done += len(z)
                add(self.stack.device.xp, totals, part)
            sums = self.stack.device.fetch(totals)  # device -> host, once
            found = {"loss": np.empty(self.stack.shape[2])}
            for group in self.groups:
                own = {name: value[..., group.columns] for name, value in sums.items()}
                for name, value in self._finished(group, own, whole).items():
                    found.setdefault(name, np.empty(self.stack.shape[2]))[group.columns] = value
            return found

    def _finished(
        self, group: ScoredColumns, own: dict[str, Numbers], scores: Numbers | None
    ) -> dict[str, Numbers]:
        """The metrics of a group's columns, each (k,).

        Args:
            group: of the columns.
            own: its sums.
            scores: of all.
        """
        metrics, targets = self.stack.model.metrics, group.targets
        areas = None
        if scores is not None:
            areas = self._areas(group, scores) if metrics.ranked else None
            scores = group.scores(scores)
        found = {"loss": own["loss"] / targets.total} | metrics.finish(own, targets, areas)
        return found | metrics.finish_named(own, targets, scores)

    def _areas(self, group: ScoredColumns, scores: Numbers) -> tuple[Numbers, Numbers]:
        """The areas (C, k) of a group's columns, of those on the same rows at once."""
        if not group.parts:
            return ranking(group.scores(scores), group.targets.y, group.targets.w)
        areas = np.empty((2, *scores.shape[1:]))
        for part in group.parts:
            areas[:, :, part.columns] = self._areas(part, scores)
        return areas[0][:, group.columns], areas[1][:, group.columns]

    def _sums(
        self, part: slice, values: Array, y: Array, w: Array, *sums: SumsOfRows
    ) -> dict[str, Array]:
        """The sums of all columns over a part of the rows, the last axis K.

        Args:
            part: of the rows.
            values: (b, C, K) what the metrics read.
            y: (b, C, 1|K).
            w: (b, V).
            sums: what makes them.
        """
        one, share = self.groups[0], self.rows.share
        if share is not None and (len(self.groups) > 1 or one.parts):
            w = self.stack.device.xp.take(w, share, axis=1)  # (b, K)
        else:  # all columns have the same rows
            w = w[:, one.share]
            if one.rows is not None:
                rows = self.stack.device.to_device(one.within(part))
                values, y, w = values[rows], y[rows], w[rows]
        y = y[:, :, 0] if len(self.groups) == 1 or self.rows.target is None else y
        found: dict[str, Array] = {}
        for of in sums:
            found |= of(values, y, w, one.targets)
        return found

    @cached_property
    def _sums_of(self) -> tuple[SumsOfRows, SumsOfRows, SumsOfRows]:
        """Those that every run has, those that are named, and of these those of ŷ beside z."""
        xp, metrics = self.stack.device.xp, self.stack.model.metrics
        # numbers that classes are called are centred by the rows of each group
        apart = len(self.groups) > 1 and self.held.targets.labels is not None

        def of_all(values: Array, y: Array, w: Array, targets: Targets) -> dict[str, Array]:
            return metrics.sums(xp, values, y, w)

        def of_named(values: Array, y: Array, w: Array, targets: Targets) -> dict[str, Array]:
            if apart:
                return self._named_apart(values, y, w)
            return metrics.named_sums(xp, values, y, w, targets, False)

        def of_named_predictions(
            values: Array, y: Array, w: Array, targets: Targets
        ) -> dict[str, Array]:
            return metrics.named_sums(xp, values, y, w, targets, True)

        return of_all, of_named, of_named_predictions

    def _named_apart(self, z: Array, y: Array, w: Array) -> dict[str, Array]:
        """The sums of scores z (b, C, K) that are named, group by group; y (b, C, 1), w (b, K)."""
        xp, found = self.stack.device.xp, dict[str, Array]()
        for group in self.groups:
            at = self.stack.device.to_device(group.columns)
            own = z[:, :, at], y, w[:, at], group.targets, False
            for name, value in self.stack.model.metrics.named_sums(xp, *own).items():
                whole = found.setdefault(name, xp.empty((*value.shape[:-1], z.shape[2]), z.dtype))
                whole[..., at] = value
        return found

    def _of_scores(
        self, state: AnyState, should_stop: ShouldStop
    ) -> Iterator[tuple[dict[str, Array], Numbers | None]]:
        """Sums over the rows of each chunk, in the stack's own buffers, and scores if wanted."""
        stack, metrics = self.stack, self.stack.model.metrics
        xp, wanted = stack.device.xp, metrics.ranked or metrics.whole
        of_all, of_named, of_named_predictions = self._sums_of
        weights, bias = (xp.asarray(one, stack.dtype) for one in self._of_rows(state))
        for chunk in _asked(self.batches.chunks(1), should_stop):
            b = stack.buffers(chunk.rows.stop - chunk.rows.start)
            scores(stack.device, chunk.X, weights, bias, b.z)
            given, y, w = chunk.rows, chunk.y, self.rows.r[chunk.rows]
            part = self._sums(given, b.z, y, w, of_all, of_named)
            if metrics.named_predictions:
                xp.copyto(b.error, b.z)
                stack.model.activation(xp, b.error, b.error, b.scratch)
                part |= self._sums(given, b.error, y, w, of_named_predictions)
            all_scores = np.array(stack.device.to_host(b.z)) if wanted else None
            part["loss"] = self._losses(chunk, b)
            yield part, all_scores

    def _losses(self, chunk: Chunk, b: Buffers) -> Array:
        """Weighted sums (K,) of the losses of scores in z, which are overwritten."""
        if self._errors is None:
            device = self.stack.device
            dz = error(self.stack.model, device.xp, b.z, chunk.y, b.error, b.loss, b.scratch)
            leave_out(device.xp, chunk.unused, b.error, dz, b.loss)
            weighted_sums(device, chunk.r, b.loss, b.ones, b.total)
            return b.total[0]
        found = np.zeros((6, b.z.shape[2]), b.z.dtype)
        self._errors.begin(self._none, found)
        self._errors.run(chunk.rows, b.z, self._slopes)
        return found[1]

    def _of_predictions(
        self, state: AnyState, should_stop: ShouldStop
    ) -> Iterator[tuple[dict[str, Array], Numbers | None]]:
        """The same from ŷ beside the targets, in float64: their difference may be small.

        Scores are in the precision of the weights. A few rows at a time stay in the cache. What is
        all of squares is compiled.
        """
        if self._held_sums is not None:
            total = self._held_sums(state.weights, state.bias)
            yield {"squares": total, "loss": 0.5 * total.sum(axis=0)}, None
            return
        stack, (true, w) = self.stack, self._wide
        xp, buffers, N = stack.device.xp, self._wide_buffers, len(self.held.rows)
        metrics = stack.model.metrics
        (weights, bias), size = self._of_rows(state), len(buffers.z)
        narrow = buffers.z if weights.dtype == buffers.z.dtype else self._narrow
        of_all, of_named, _ = self._sums_of
        alike = len(self.groups) == 1 and self.groups[0].rows is None and not self.groups[0].parts
        squares = squares_of(xp, stack.model, weights) if alike else None
        target = self.rows.target
        offset = xp.ascontiguousarray(bias)
        for start in _asked(range(0, N, size), should_stop):
            part = slice(start, min(start + size, N))
            b, z = buffers.first(part.stop - start), narrow[: part.stop - start]
            X = xp.asarray(self.held.rows.X[part], dtype=weights.dtype)
            found: dict[str, Array] = {}
            y = true[part]  # (b, C, T)
            if alike:
                of = self.groups[0].target
                y = y[:, :, of : of + 1]
            elif target is not None:
                y = xp.take(y, target, axis=2)
            if squares is not None:
                stack.device.matmul(X, flat(weights), out=flat(z))
                total = squares(z, offset, y, w[part][:, 0])
                found = {"squares": total, "loss": 0.5 * total.sum(axis=0)}
                if not metrics.named:
                    yield found, None
                    continue
                z += bias
            else:
                scores(stack.device, X, weights, bias, z)
            kept = np.array(stack.device.to_host(z)) if metrics.whole else None
            if narrow is not buffers.z:
                xp.copyto(b.z, z)
            stack.model.activation(xp, b.z, b.error, b.scratch)
            given = part, b.error, y, w[part]
            found |= self._sums(*given, of_named)
            if squares is None:
                found |= self._sums(*given, of_all)
                found["loss"] = self._wide_losses(b, y, w[part])
            yield found, kept

    def _wide_losses(self, b: Buffers, y: Array, w: Array) -> Array:
        """Weighted sums (K,) of losses, of scores and ŷ in buffers; y (b, C, 1|K), w (b, V)."""
        xp, rows, model = self.stack.device.xp, self.rows, self.stack.model
        b.error -= y
        model.loss(xp, b.z, y, b.error, b.loss, b.scratch)
        if rows.share is None and not rows.selects:
            return w[:, 0] @ b.loss
        w = w if rows.share is None else xp.take(w, rows.share, axis=1)
        return xp.where(w == 0, 0.0, w * b.loss).sum(axis=0)

    def _of_rows(self, state: AnyState) -> tuple[Array, Array]:
        """Weights (D, C, K) and bias (C, K) for the features that the rows have."""
        weights, bias, scaling = state.weights, state.bias, self.stack.rows.scaling
        if scaling is None:
            return weights, bias
        return scaling.widened(self.stack.device.xp, weights.dtype).of_held(weights, bias)

    @cached_property
    def _wide(self) -> tuple[Array, Array]:
        """Targets (N, C, T) and weights (N, V) on the device in float64."""
        y, w = self.held.wide
        if self.rows is self.held.rows:
            return y, w[:, None]
        return y, self.stack.device.to_device(self.rows.weights_on_host().T, np.float64)

    @cached_property
    def _wide_buffers(self) -> Buffers:
        """For as many rows as stay in the cache, of which features and scores are arrays."""
        features, outputs, columns = self.stack.shape
        scores_a_row = outputs * columns
        wide, most = (self.stack.device.at_once(8 * n) // 8 for n in (_WIDE, _MOST))
        rows = max(_FEWEST_ROWS, wide // max(features, scores_a_row))
        rows = max(1, min(rows, most // scores_a_row, len(self.held.rows)))
        return Buffers(self.stack.device.xp, rows, outputs, columns, np.float64)

    @cached_property
    def _narrow(self) -> Array:
        """Room for the same scores in the stack's precision."""
        return self.stack.device.xp.empty(self._wide_buffers.z.shape, self.stack.dtype)
