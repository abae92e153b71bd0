"""A stack that goes to the optimum: by L-BFGS, Newton or in closed form, each column at its pace.

A round evaluates J and its gradient once for all columns, each at its own trial point. A column
whose point is good enough takes it and gets a new direction; any other shortens its step and tries
again in the next round. So a column waits for no other and knows of no other; one that has
converged is frozen. What is decided, a number or two a column, is decided on the host: one fetch
follows each pass over the rows.

The methods differ in nothing but the direction −H·g:
    exact    H = 1/(λ + l2) in the basis of `trainer.solvers.basis`: a squared loss is done in one
    lbfgs    H from the last pairs of steps, upon H₀ = 1/(γ·λ + l2) in the same basis
    newton   H the inverse of the Hessian, a batch of (P, P) a round

Shapes: r directions of the basis, P = r + 1 with a bias, C outputs, K columns, m pairs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from trainer.device import Device
from trainer.model import Model
from trainer.solvers.basis import Basis
from trainer.solvers.certificates import EPS, FLAT, certify
from trainer.solvers.choose import Method, Size, hessian_order
from trainer.solvers.hessians import Hessians, Interrupted, hessian_bytes
from trainer.solvers.lbfgs import direct, dot
from trainer.solvers.objective import FEWEST_ROWS, MOST_CACHED, Objective, RotatedRows
from trainer.solvers.orthants import common_shift, orthant, project, pseudo_gradient
from trainer.solvers.outcomes import ending
from trainer.solvers.prox_newton import prox_newton_steps
from trainer.train.batches import FullBatch, RowSet
from trainer.train.outcomes import Outcome
from trainer.train.stack import Buffers, Records, Snapshot
from trainer.train.state import State
from trainer.train.step_record import StepRecorder

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
_DECREASE = 1e-4  # Armijo's share of the slope's promise (Nocedal & Wright 2006, §3.1)
_STEEP = (
    0.9  # of the slope, that a flat step's end may have (Hager & Zhang 2005, approximate Wolfe)
)
_SHORTEST, _LONGEST = 0.1, 0.5  # of the last trial step
FACTS = ("iterations", "evaluations", "gradient_max", "gap")
_TRIES = 40  # of a step in a row
_STALLED = 12  # iterations in a row without a decrease of J or of the gradient
_CROWDED = 0.75


@dataclass(frozen=True)
class SolverSettings:
    """What K columns share, and (K,) arrays of what they do not.

    Attributes:
        method: how directions are made.
        max_iter: (K,) most iterations.
        tol: (K,) bound of max |dJ/dW|, the bias included.
        l2, l1: (K,) penalties of the objective.
        bias: whether there is one.
        log_every: iterations between full records of the step log.
        loss: by name, each (K,): the loss's own parameters.
    """

    method: Method
    max_iter: Numbers
    tol: Numbers
    l2: Numbers
    l1: Numbers
    bias: bool
    log_every: int = 1
    loss: Mapping[str, Numbers] = field(default_factory=dict)

    def take(self, columns: Any) -> SolverSettings:
        """The settings of some of the columns."""
        names = ("max_iter", "tol", "l2", "l1")
        loss = {name: value[columns] for name, value in self.loss.items()}
        taken = {name: getattr(self, name)[columns] for name in names}
        return replace(self, loss=loss, **taken)


class SolverStack:
    """K columns over one set of training rows, each on its way to its optimum."""

    steps_per_epoch = 1

    def __init__(
        self,
        device: Device,
        model: Model,
        rows: RowSet,
        rotated: RotatedRows,
        outputs: int,
        settings: SolverSettings,
        hessians: Hessians | None = None,
    ) -> None:
        self.device, self.rows, self.settings = device, rows, settings
        self._model = model  # of any columns; with the parameters of these:
        self.model = model.with_parameters(
            {name: device.to_device(value) for name, value in settings.loss.items()}
        )
        self.rotated, self.columns = rotated, len(settings.l2)
        self.shape = (int(rows.X.shape[1]), outputs, self.columns)  # D, C, K
        self.dtype = rows.X.dtype
        self.objective = Objective(device, self.model, rotated, outputs, settings.bias, settings.l2)
        self.hessians = hessians or Hessians(device, model, rotated, outputs, settings.bias)
        self.batches = FullBatch(device, rows, min(len(rows), self.objective.chunk_rows))
        self.budget = np.full(self.columns, float(1 << 60))  # of rounds: iterations are counted
        self.l1 = device.to_device(settings.l1)
        self.sparse = bool(np.any(settings.l1 > 0))
        # of the point that is tried; the step to it, which once remembered is free for a direction
        # of L-BFGS; new directions; and what is free at any time
        shape = self.objective.shape
        self._gradient, self._trial = device.xp.empty(shape), device.xp.empty(shape)
        self._step, self._new = device.xp.empty(shape), device.xp.empty(shape)
        self._free = device.xp.empty(shape)
        self.should_stop: Callable[[], object] = lambda: False
        self._buffers: Buffers | None = None
        self._views: dict[int, Buffers] = {}

    @property
    def basis(self) -> Basis:
        """The coordinates of w."""
        return self.rotated.basis

    @property
    def chunk_rows(self) -> int:
        """Rows of a chunk at evaluations."""
        return self.objective.chunk_rows

    def buffers(self, rows: int) -> Buffers:
        """Buffers for a chunk of held rows."""
        if self._buffers is None:
            _, outputs, columns = self.shape
            self._buffers = Buffers(self.device.xp, self.chunk_rows, outputs, columns, self.dtype)
        if rows not in self._views:
            self._views[rows] = self._buffers.first(rows)
        return self._views[rows]

    def take(self, columns: Any) -> SolverStack:
        """A stack of some of the columns, on the same rows."""
        settings = self.settings.take(columns)
        return SolverStack(
            self.device,
            self._model,
            self.rows,
            self.rotated,
            self.shape[1],
            settings,
            self.hessians,
        )

    def of(self, state: State, where: Indices) -> tuple[SolverStack, State]:
        """Some columns by their numbers, as a stack of their own: points and slopes, copied."""
        xp, columns = self.device.xp, self.device.to_device(where)
        arrays = {name: xp.take(state.arrays[name], columns, axis=-1) for name in ("w", "g")}
        numbers = {name: value[where] for name, value in state.numbers.items()}
        return self.take(where), State(state.step, arrays, numbers=numbers)

    # --- state ---

    def start(self, weights: Array, bias: Array) -> State:
        """State before the first evaluation, at weights (D, C, K) and bias (C, K) of the host."""
        xp, device, o = self.device.xp, self.device, self.objective
        given = device.to_device(weights, np.float64)
        inner = self.basis.inner(xp, given)  # (r, C, K)
        w = xp.zeros(o.shape)
        w[: o.inner] = inner
        if o.bias:
            w[o.inner] = device.to_device(bias, np.float64)
            w[o.inner] += self.basis.shift(xp, given)
        if self.model.coupled:  # moved alike they change no output, but cost scores their digits
            r = o.inner
            w[:r] -= xp.where((o.l2 > 0) & (self.l1 > 0), 0.0, common_shift(xp, w[:r], self.l1))
            w[r:] -= w[r:].sum(axis=1, keepdims=True) / self.shape[1]
        K, m = self.columns, self.settings.method.pairs
        state = State(0, live=np.ones(K, bool))
        state.arrays = {
            "w": w,
            "g": xp.zeros(o.shape),
            "d": xp.zeros(o.shape),
            "s": xp.zeros((m, *o.shape)),
            "y": xp.zeros((m, *o.shape)),
            "rho": xp.zeros((m, K)),
        }
        state.numbers = {
            "value": np.full(K, np.inf),  # J, of which the start's is below
            "slope": np.zeros(K),  # d·(dJ/dw), the one-sided derivative along the step
            "length": np.zeros(K),  # of the step that is tried
            "gamma": np.full(K, self.model.curvature),
            "iterations": np.zeros(K),
            "evaluations": np.zeros(K),
            "tries": np.zeros(K),
            "stalled": np.zeros(K),
            "smallest": np.full(K, np.inf),  # ‖dJ/dw‖ so far
            "loss": np.full(K, np.nan),
            "data": np.full(K, np.nan),  # the data term of J: with class weights
            "gap": np.full(K, np.nan),
            "gradient_max": np.full(K, np.inf),
            "within": np.ones(K),  # with l1: whether the step must stay within its orthant
            "used": np.zeros(K),  # the length of the step taken last
            "plain": np.zeros(K),  # whether the step is one against the slope
            "lost": np.zeros(K),  # 1: no step decreases J, 2: not finite from the start
        }
        at_zeros = ~(np.any(weights, axis=(0, 1)) | np.any(bias, axis=0))
        state.numbers["at_zeros"] = at_zeros.astype(float)
        self._write(state)
        return state

    def _write(self, state: State) -> None:
        """Weights and bias (D, C, K), (C, K) of the features as they are."""
        xp, o, w = self.device.xp, self.objective, state.arrays["w"]
        weights = self.basis.weights(xp, w[: o.inner])
        state.arrays["weights"] = weights
        zero = xp.zeros(self.shape[1:])
        bias = w[o.inner] - self.basis.shift(xp, weights) if o.bias else zero
        state.arrays["bias"] = bias

    # --- rounds ---

    def advance(
        self,
        state: State,
        until: int,
        snapshots: Callable[[int], Snapshot | None] = lambda step: None,
        should_stop: Callable[[], object] = lambda: False,
    ) -> Records:
        """Go on until every column is settled, or enough of them to leave; or `should_stop()`."""
        first, records, taken = state.step + 1, [], []
        self.should_stop = should_stop
        enough = _CROWDED * state.live.sum()
        with np.errstate(all="ignore"):
            while True:
                state.step += 1
                record, counts = self._round(state)
                records.append(record)
                taken.append(counts)
                alive = (state.live & ~self.settled(state)).sum()
                if alive == 0 or alive < enough or state.step >= until or should_stop():
                    break
            self._write(state)
        step = np.arange(first, state.step + 1, dtype=np.int64)
        values = {name: np.array([one[name] for one in records]) for name in records[0]}
        return Records(step, step.astype(np.int32), values, np.array(taken))

    def settled(self, state: State) -> Flags:
        """(K,) columns that have come to an end of their own."""
        n = state.numbers
        converged = n["gradient_max"] <= self.settings.tol
        over = n["iterations"] >= self.settings.max_iter
        flags: Flags = (n["evaluations"] > 0) & (converged | over | (n["lost"] > 0))
        return flags

    def _round(self, state: State) -> tuple[dict[str, Numbers], Flags]:
        """One evaluation of every column: what it logs (K,), and which columns took their point."""
        xp, device, o, n, a = (
            self.device.xp, self.device, self.objective, state.numbers, state.arrays
        )  # fmt: skip
        moving = state.live & ~self.settled(state)
        length = device.to_device(np.where(moving, n["length"], 0.0))
        trial, step = self._trial, self._step
        xp.multiply(length, a["d"], out=trial)
        trial += a["w"]
        if self.sparse:
            signs = orthant(xp, a["w"][: o.inner], a["g"][: o.inner], self.l1)
            within = device.to_device((n["evaluations"] > 0) & (n["within"] > 0))
            kept = xp.where(within, project(xp, trial[: o.inner], signs), trial[: o.inner])
            trial[: o.inner] = kept
        full = state.step % self.settings.log_every == 0
        sums = self._evaluate(state, trial, full)
        xp.subtract(trial, a["w"], out=step)
        after = self._steepest(trial, self._gradient)
        extra = [
            sums[0] + self.penalty(trial),
            dot(xp, a["g"], step) + self._l1_norm(trial) - self._l1_norm(a["w"]),
            dot(xp, self._steepest(a["w"], a["g"]), step),
            dot(xp, after, step),
            dot(xp, after, after),
        ]
        found = device.to_host(xp.concatenate([xp.stack(extra), sums]))  # device -> host
        value, promised, begin, end, squares, logged = *found[:5], found[5:]
        n["evaluations"] += moving
        takes = moving & self._good(n, value, promised, begin, end)
        self._refuse(state, moving & ~takes, value, promised)
        self._take(state, takes, value, np.sqrt(squares))
        n["loss"][takes], n["data"][takes] = logged[1][takes], logged[0][takes]
        size = len(self.rows) * self.shape[1]
        values = StepRecorder.values(logged[None, 1:], np.array([[size]]))
        record = {name: value[0] for name, value in values.items()}
        record["lr"] = np.where(takes, np.where(n["iterations"] > 0, n["used"], 0.0), 0.0)
        record["loss"] = n["loss"].copy()
        return record, takes

    def _evaluate(self, state: State, trial: Array, full: bool) -> Array:
        """Sums (6, K) of `Objective.value`; the gradient of J beside them."""
        zero = state.numbers["at_zeros"] > 0
        if state.step > 1 or not zero.any() or self.settings.loss:
            return self.objective.value(trial, self._gradient, full)
        # columns at zeros are one point, where no penalty is felt: a pass of one tells of them all,
        # but for losses with parameters
        xp = self.device.xp
        sums, gradient = self.at_zeros(full)
        sums = sums + xp.zeros(self.columns)  # (6, K)
        if zero.all():
            self._gradient[...] = gradient
            return sums
        mask = self.device.to_device(zero)
        sums = xp.where(mask, sums, self.objective.value(trial, self._gradient, full))
        xp.copyto(self._gradient, gradient, where=mask)
        return sums

    def at_zeros(self, full: bool) -> tuple[Array, Array]:
        """`Objective.value` (6, 1) where all parameters are 0, and dJ/dw (P, C, 1)."""
        xp, l2 = self.device.xp, self.settings.l2[:1]
        one = Objective(
            self.device, self.model, self.rotated, self.shape[1], self.settings.bias, l2
        )
        gradient = xp.zeros(one.shape)
        return one.value(xp.zeros(one.shape), gradient, full), gradient

    def penalty(self, w: Array) -> Array:
        """l2/2·‖W‖² + l1·‖W‖₁ (K,)."""
        return self.objective.penalty(w) + self._l1_norm(w)

    def _l1_norm(self, w: Array) -> Array | float:
        """l1·‖W‖₁ (K,)."""
        if not self.sparse:
            return 0.0
        xp, r = self.device.xp, self.objective.inner
        return self.l1 * xp.absolute(w[:r]).sum(axis=(0, 1))

    def _steepest(self, w: Array, g: Array) -> Array:
        """dJ/dw, with l1 its subgradient of least norm."""
        if not self.sparse:
            return g
        xp, r = self.device.xp, self.objective.inner
        inner = pseudo_gradient(xp, w[:r], g[:r], self.l1)
        return xp.concatenate([inner, g[r:]])

    def _good(
        self,
        n: dict[str, Numbers],
        value: Numbers,
        promised: Numbers,
        begin: Numbers,
        end: Numbers,
    ) -> Flags:
        """(K,) whether a point is far enough below: Armijo's rule, by slopes where J is flat.

        Where J changes by rounding alone its slopes along the step still tell: `begin` must fall,
        and `end` be flatter.
        """
        first = n["evaluations"] == 1
        falls = (value <= n["value"] + _DECREASE * promised) & (promised < 0)
        flat = np.abs(value - n["value"]) <= FLAT * np.abs(n["value"])
        level = flat & (np.abs(end) <= _STEEP * np.abs(begin)) & (begin < 0)
        good: Flags = np.isfinite(value) & (first | falls | level)
        return good

    def _refuse(self, state: State, refused: Flags, value: Numbers, promised: Numbers) -> None:
        """Shorten steps: to the least of the parabola through both ends, within limits.

        Where none is short enough the slope itself is followed, before a column is given up.
        """
        n = state.numbers
        rise = value - n["value"] - promised
        best = np.where(np.isfinite(rise) & (rise > 0), -promised / (2 * rise), _SHORTEST)
        factor = np.clip(best, _SHORTEST, _LONGEST)
        n["length"][refused] *= factor[refused]
        n["tries"][refused] += 1
        over = refused & (n["tries"] > _TRIES)
        plain = over & (n["plain"] == 0)
        lost = (over & ~plain) | (refused & (n["evaluations"] == 1))
        n["lost"][lost] = np.where(n["evaluations"] == 1, 2.0, 1.0)[lost]
        if plain.any():
            self._aim_plainly(state, plain)

    def _take(self, state: State, takes: Flags, value: Numbers, norm: Numbers) -> None:
        """Move the columns to their trial points; remember the pairs; find new directions."""
        xp, device, a, n = self.device.xp, self.device, state.arrays, state.numbers
        mask = device.to_device(takes)
        moved = takes & (n["evaluations"] > 1)
        self._remember(state, moved)
        xp.copyto(a["w"], self._trial, where=mask)
        xp.copyto(a["g"], self._gradient, where=mask)
        n["iterations"] += moved
        n["used"] = n["length"].copy()
        drop = n["value"] - value
        better = (drop > FLAT * np.abs(value)) | (norm < 0.9 * n["smallest"])
        n["stalled"] = np.where(takes, np.where(better, 0, n["stalled"] + 1), n["stalled"])
        n["lost"][takes & (n["stalled"] >= _STALLED)] = 1
        n["smallest"][takes] = np.minimum(n["smallest"], norm)[takes]
        n["value"][takes] = value[takes]
        n["tries"][takes] = 0
        n["plain"][takes & (drop > FLAT * np.abs(value))] = 0  # at the floor of J once is enough
        n["length"][takes] = 1
        self._check(state, takes, norm)
        going = takes & ~self.settled(state)
        if going.any():
            with contextlib.suppress(Interrupted):  # then no direction is followed any more
                self._aim(state, going)

    def _check(self, state: State, takes: Flags, norm: Numbers) -> None:
        """Read max |dJ/dw| of the features as they are, where it may be below tol."""
        features, outputs, _ = self.shape
        close = takes & (norm <= self.settings.tol * np.sqrt((features + 1) * outputs))
        state.numbers["gradient_max"][takes] = norm[takes]  # `certify` has the last word
        if close.any():
            found = self.device.to_host(self.largest(state))
            state.numbers["gradient_max"][close] = found[close]

    def largest(self, state: State) -> Array:
        """(K,) max |dJ/dW| and |dJ/db| of the features as they are, with l1 of the subgradient."""
        xp, o, w, g = self.device.xp, self.objective, state.arrays["w"], state.arrays["g"]
        outer = self.basis.weights(xp, g[: o.inner])
        if o.bias:  # of the rows before they were centred
            outer += self.basis.mean[:, None, None] * g[o.inner]
        if self.sparse:
            outer = pseudo_gradient(xp, w[: o.inner], outer, self.l1)
        largest = xp.absolute(outer).max(axis=(0, 1))
        return xp.maximum(largest, xp.absolute(g[o.inner]).max(axis=0)) if o.bias else largest

    # --- directions ---

    def _remember(self, state: State, moved: Flags) -> None:
        """Write the pairs of this round, zeros for columns without one; and γ."""
        m = self.settings.method.pairs
        if not m:
            return
        xp, device, a, o = self.device.xp, self.device, state.arrays, self.objective
        slot = state.step % m
        mask = device.to_device(moved)
        s, y, free = a["s"][slot], a["y"][slot], self._free
        s[...] = y[...] = 0
        xp.copyto(s, self._step, where=mask)
        xp.subtract(self._gradient, a["g"], out=free)
        xp.copyto(y, free, where=mask)
        curved = self._step  # of the data term alone
        xp.multiply(o.l2, s, out=free)
        free[o.inner :] = 0
        xp.subtract(y, free, out=curved)
        xp.divide(curved, self._spectrum()[:, None, None], out=free)
        scaled = dot(xp, curved, free)
        sy, sc, yy = dot(xp, s, y), dot(xp, s, curved), dot(xp, y, y)
        found = device.to_host(xp.stack([sy, sc, scaled, dot(xp, s, s), yy]))  # device -> host
        sy_, sc_, scaled_, ss_, yy_ = found
        counts = moved & (sy_ > EPS * np.sqrt(ss_ * yy_))
        rho = np.where(counts, 1 / np.where(counts, sy_, 1), 0.0)
        gamma = np.where(counts & (sc_ > 0), scaled_ / np.where(sc_ > 0, sc_, 1), 0.0)
        usable = np.isfinite(gamma) & (gamma > 0)
        state.numbers["gamma"] = np.where(usable, gamma, state.numbers["gamma"])
        a["rho"][slot] = device.to_device(rho)

    def _spectrum(self) -> Array:
        """(P,) λ of the weights, and 1 of the bias; nowhere 0."""
        xp, o = self.device.xp, self.objective
        spectrum = self.basis.spectrum
        # a closed form takes them as they are; a guess had better not go far along the least
        guess = EPS if self.settings.method.pairs else 0.0
        least = guess * spectrum.max() if len(spectrum) else 0.0
        spectrum = xp.maximum(spectrum, least + np.finfo(np.float64).tiny)
        return xp.concatenate([spectrum, xp.ones(1)]) if o.bias else spectrum

    def _scale(self, gamma: Numbers) -> Array:
        """H₀ (P, 1, K) = 1/(γ·λ + l2), of the bias 1/γ."""
        curvature = self._spectrum()[:, None] * self.device.to_device(gamma)  # (P, K)
        curvature[: self.objective.inner] += self.objective.l2
        return (1 / curvature)[:, None, :]

    def _aim(self, state: State, takes: Flags) -> None:
        """Give new directions to columns that took their points."""
        xp, device, a, n = self.device.xp, self.device, state.arrays, state.numbers
        method = self.settings.method
        steepest = self._steepest(a["w"], a["g"])
        own = np.zeros_like(takes)
        if method.hessian_from is not None:
            own = takes & (n["iterations"] >= method.hessian_from)
        new = self._new
        new[...] = 0
        if (takes & ~own).any():
            self._quasi_newton(state, takes & ~own, steepest, new)
        if own.any() and self.sparse:
            prox_newton_steps(self, state, own, new)
        elif own.any():
            self._newton(state, own, steepest, new)
        if self.model.coupled and self.objective.bias:  # moved alike, biases change nothing
            new[self.objective.inner] -= new[self.objective.inner].sum(axis=0) / self.shape[1]
        if self.model.coupled and not self.sparse:
            # so do weights moved alike, but for l2, whose least they have where their sum is 0
            r, C = self.objective.inner, self.shape[1]
            sums = xp.where(self.objective.l2 > 0, a["w"][:r].sum(axis=1, keepdims=True), 0.0)
            new[:r] -= (new[:r].sum(axis=1, keepdims=True) + sums) / C
        elif self.model.coupled and own.any():
            r, free = self.objective.inner, device.to_device(own & (self.settings.l2 == 0))
            new[:r] -= xp.where(free, common_shift(xp, a["w"][:r] + new[:r], self.l1), 0.0)
        xp.copyto(a["d"], new, where=device.to_device(takes))

    def _aim_plainly(self, state: State, which: Flags) -> None:
        """Give some columns −H₀·g of the largest curvature that the loss has; no pair counts."""
        xp, a, n = self.device.xp, state.arrays, state.numbers
        steepest, mask = self._steepest(a["w"], a["g"]), self.device.to_device(which)
        scale = self._scale(np.full(self.columns, self.model.curvature))
        xp.copyto(a["d"], -steepest * scale, where=mask)
        a["rho"] *= ~mask
        for name, value in (("plain", 1), ("within", 1), ("length", 1), ("tries", 0)):
            n[name][which] = value

    def _quasi_newton(self, state: State, which: Flags, steepest: Array, new: Array) -> None:
        """−H·g of some columns by their last pairs and what the basis knows, into `new`."""
        xp, device, a, n = self.device.xp, self.device, state.arrays, state.numbers
        scale, pairs = self._scale(n["gamma"]), self.settings.method.pairs
        count = min(pairs, state.step - 1)
        found = self._step
        xp.copyto(found, steepest)
        direct(xp, found, scale, a["s"], a["y"], a["rho"], state.step, count, self._free)
        if self.sparse:
            found = self._aligned(found, steepest)
            n["within"][which] = 1
        if pairs:
            down = device.to_host(dot(xp, found, steepest)) < 0  # device -> host
            upward = device.to_device(which & ~down)
            xp.multiply(steepest, -scale, out=self._free)
            xp.copyto(found, self._free, where=upward)
            a["rho"] *= ~upward
        xp.copyto(new, found, where=device.to_device(which))

    def _groups(self, which: Flags) -> Iterator[Array]:
        """Column numbers, as many at a time as Hessians have room for, on the device."""
        every, size = np.flatnonzero(which), self.hessians.at_once()
        for first in range(0, len(every), size):
            yield self.device.to_device(every[first : first + size])

    def _aligned(self, new: Array, steepest: Array) -> Array:
        """A direction that is downhill in every weight: elsewhere 0 (Andrew & Gao 2007, §3.2)."""
        r = self.objective.inner
        new[:r] = self.device.xp.where(new[:r] * steepest[:r] < 0, new[:r], 0.0)
        return new

    def _newton(self, state: State, which: Flags, steepest: Array, new: Array) -> None:
        """−H⁻¹·g of some columns, a few at a time, into `new`."""
        xp, o, a = self.device.xp, self.objective, state.arrays
        for columns in self._groups(which):
            w = xp.take(a["w"], columns, axis=-1)  # (P, C, k)
            g, l2 = xp.take(steepest, columns, axis=-1), xp.take(o.l2, columns)
            new[..., columns] = self.hessians.step(w, g, l2, self.should_stop)

    # --- ends ---

    def taken(self, state: State) -> Numbers:
        """(K,) iterations of each column."""
        return state.numbers["iterations"]

    def facts(self, state: State, due: Flags) -> dict[str, Numbers]:
        """What is known of the columns that are due, each (K,): see `FACTS`."""
        where = np.flatnonzero(due & (state.numbers["evaluations"] > 0))
        if len(where):
            part, inner = self.of(state, where)
            known = certify(part, inner)
            for name, value in known.items():
                state.numbers[name][where] = value
        return {name: state.numbers[name] for name in FACTS}

    def ending(self, state: State, at: int) -> Outcome:
        """How column `at`, which has settled, has ended."""
        return ending(self, state, at)


def solver_bytes(size: Size, columns: int, model: Model, method: Method, sparse: bool) -> int:
    """Bytes that a stack of so many columns takes, its rows in float64 included.

    Args:
        size: N, D, C.
        columns: K.
        model: the row of the model table.
        method: how directions are made.
        sparse: whether there is l1.
    """
    N, D, C = size
    parameters = (D + 1) * C * columns
    chunk = max(MOST_CACHED, 8 * FEWEST_ROWS * C * columns)
    numbers = parameters * (16 + 2 * method.pairs) + N * D
    hessians = 0
    if method.hessian_from is not None:
        blocks = 1 if model.coupled else C
        hessians = hessian_bytes(hessian_order(model, size, sparse), blocks, columns, sparse)
    return 8 * numbers + 6 * chunk + hessians
