"""Directions −H·g of smooth steps: L-BFGS, Newton's method, or a closed form.

    exact    H = 1/(λ + l2) in the basis of `trainer.solvers.basis`: a squared loss is done in one
    lbfgs    H from the last pairs of steps, upon H₀ = 1/(γ·λ + l2) in the same basis
    newton   H the inverse of the Hessian, a batch of (P, P) a round

With l1, L-BFGS is OWL-QN's (Andrew & Gao 2007); by second derivatives see
`trainer.solvers.prox_newton`.

Shapes: r directions of the basis, P = r + 1 with a bias, C outputs, K columns, m pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.solvers.compiled_lbfgs import compiled_lbfgs
from trainer.solvers.hessians import Hessians
from trainer.solvers.kernel_rounds import kernel_rounds
from trainer.solvers.lbfgs import direct, dot
from trainer.solvers.orthants import common_shift, orthant, project
from trainer.solvers.problem import EPS, Problem
from trainer.solvers.progress import SolverState
from trainer.solvers.slopes import OF_PAIRS, Tried, of_pairs, of_points

if TYPE_CHECKING:
    from trainer.solvers.own_hessians import AnyHessians

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
_BLOCK = 1 << 15  # numbers of directions that are made at a time


class Directions:
    """The directions of K columns.

    A state has the pairs: "s" and "y" (m, P, C, K), "rho" (m, K).
    """

    def __init__(self, problem: Problem, hessians: AnyHessians, pairs: int, free: Array) -> None:
        """Say whose directions.

        Args:
            problem: the columns.
            hessians: their second derivatives, for Newton's method.
            pairs: m; 0 for none.
            free: (P, C, K), overwritten by every direction.
        """
        self.problem, self.hessians, self.pairs, self._free = problem, hessians, pairs, free
        self._twin = compiled_lbfgs(problem.device.xp, pairs)
        self._kernels = kernel_rounds(problem, pairs, self._spectrum)

    # --- quasi-Newton ---

    def try_points(self, state: SolverState, length: Numbers, within: Flags, tried: Tried) -> None:
        """Go along the directions, with l1 each within its orthant.

        Args:
            state: the columns.
            length: (K,) of the steps.
            within: (K,) columns whose step ends where it leaves the orthant.
            tried: its points and steps are written.
        """
        problem, device, a = self.problem, self.problem.device, state.arrays
        if self._kernels is not None:
            self._kernels.try_points(a, length, within, tried)
            return
        xp, trial = device.xp, tried.point
        xp.multiply(device.to_device(length), a["d"], out=trial)
        trial += a["w"]
        if problem.sparse:
            stay = device.to_device(within)
            inner, weights = trial[: problem.inner], a["w"][: problem.inner]
            signs = orthant(xp, weights, a["g"][: problem.inner], problem.l1)
            inner[...] = xp.where(stay, project(xp, inner, signs), inner)
        xp.subtract(trial, a["w"], out=tried.step)

    def slopes(self, state: SolverState, tried: Tried) -> Array:
        """What a round decides on of the points that it tries: the first of `SLOPES`, (n, K).

        Args:
            state: before the step.
            tried: the points.
        """
        a = state.arrays
        if self._kernels is not None:
            return self._kernels.point_sums(a, tried)
        problem, xp, g = self.problem, self.problem.device.xp, a["g"]
        found = of_points(problem, a["w"], g, tried)
        if self.pairs and self._twin is None:
            xp.subtract(tried.gradient, g, out=self._free)
            found += of_pairs(problem, self._spectrum, tried.step, self._free)
        return xp.stack(found)

    def take(
        self,
        state: SolverState,
        takes: Flags,
        moved: Flags,
        tried: Tried,
        slopes: Mapping[str, Numbers],
    ) -> None:
        """Move columns to the points that they take; write the pairs of this round, and γ.

        Args:
            state: before the step.
            takes: (K,) columns that take their points.
            moved: (K,) those of them with a pair; others have zeros.
            tried: the points.
            slopes: what `slopes` has found.
        """
        device, a = self.problem.device, state.arrays
        slot = state.step % max(self.pairs, 1)
        if self._kernels is not None:
            rho = self._curved(state, moved, slopes) if self.pairs else np.zeros(len(moved))
            self._kernels.take(a, slot, takes, moved, rho, tried)
            return
        where = device.to_device(takes)
        if self.pairs:
            self._remember(state, moved, slot, tried, slopes)
        device.xp.copyto(a["w"], tried.point, where=where)
        device.xp.copyto(a["g"], tried.gradient, where=where)

    def _remember(
        self,
        state: SolverState,
        moved: Flags,
        slot: int,
        tried: Tried,
        slopes: Mapping[str, Numbers],
    ) -> None:
        """Write a pair to its slot, and what it says."""
        problem, device, a = self.problem, self.problem.device, state.arrays
        s, y, free, xp = a["s"][slot], a["y"][slot], self._free, device.xp
        if self._twin is not None:
            steps = tried.step, a["g"], tried.gradient
            l2, spectrum = problem.l2, self._spectrum
            found = self._twin.pair(problem.inner, moved, l2, spectrum, steps, s, y)
            slopes = dict(zip(OF_PAIRS, found, strict=True))
        else:
            mask = device.to_device(moved)
            s[...] = y[...] = 0
            xp.copyto(s, tried.step, where=mask)
            xp.subtract(tried.gradient, a["g"], out=free)
            xp.copyto(y, free, where=mask)
        a["rho"][slot] = device.to_device(self._curved(state, moved, slopes))

    def _curved(self, state: SolverState, moved: Flags, of: Mapping[str, Numbers]) -> Numbers:
        """1/(sᵀy) of the columns' new pairs, 0 where one does not count; and their γ."""
        counts = moved & (of["sy"] > EPS * np.sqrt(of["ss"] * of["yy"]))
        bends = counts & (of["sv"] > 0)
        gamma = np.where(bends, of["scaled"] / np.where(of["sv"] > 0, of["sv"], 1), 0.0)
        usable = np.isfinite(gamma) & (gamma > 0)
        state.progress.gamma = np.where(usable, gamma, state.progress.gamma)
        rho: Numbers = np.where(counts, 1 / np.where(counts, of["sy"], 1), 0.0)
        return rho

    def quasi_newton(self, state: SolverState, which: Flags, free: Array, new: Array) -> None:
        """−H·g of some columns by their last pairs and what the basis knows, into `new`.

        Args:
            state: the columns.
            which: (K,).
            free: (P, C, K), overwritten.
            new: (P, C, K).
        """
        problem, a, n = self.problem, state.arrays, state.progress
        xp, device = problem.device.xp, problem.device
        count = min(self.pairs, state.step - 1)
        if problem.sparse:
            n.within[which] = True
        if self._kernels is not None:
            newest = state.step % max(self.pairs, 1)
            self._kernels.direct(a, newest, count, n.gamma, which, (free, new))
            return
        if not self.pairs and not problem.sparse:
            self._by_spectrum(a["g"], n.gamma, device.to_device(which), new)
            return
        chosen, scale = device.to_device(which), self._scale(n.gamma)
        found, steepest = free, problem.steepest(a["w"], a["g"])
        xp.copyto(found, steepest)
        order = [(state.step - i) % self.pairs for i in range(count)]
        if self._twin is not None:
            self._twin.direct(found, scale, a["s"], a["y"], a["rho"], order)
        else:
            direct(xp, found, scale, a["s"], a["y"], a["rho"], order, self._free)
        if problem.sparse:
            found = self._aligned(found, steepest)
        if self.pairs:
            upward = chosen & ~(dot(xp, found, steepest) < 0)
            xp.multiply(steepest, -scale, out=self._free)
            xp.copyto(found, self._free, where=upward)
            a["rho"] *= ~upward
        xp.copyto(new, found, where=chosen)

    def _by_spectrum(self, gradient: Array, gamma: Numbers, which: Array, new: Array) -> None:
        """−H₀·g of some columns into `new`, as many at a time as stay in the cache."""
        xp, K = self.problem.device.xp, len(gamma)
        size = max(1, self.problem.device.at_once(8 * _BLOCK) // (8 * gradient[..., 0].size))
        for start in range(0, K, size):
            at = slice(start, start + size)
            found = gradient[:, :, at] * self._scale(gamma, at)
            xp.copyto(new[:, :, at], xp.negative(found, out=found), where=which[at])

    def plain(self, state: SolverState, which: Flags, steepest: Array, curvature: Numbers) -> None:
        """Give some columns −H₀·g of the loss's largest curvature (K,); no pair counts."""
        problem, a, n = self.problem, state.arrays, state.progress
        xp, mask = problem.device.xp, problem.device.to_device(which)
        scale = self._scale(curvature)
        xp.copyto(a["d"], -steepest * scale, where=mask)
        a["rho"] *= ~mask
        n.plain[which] = n.within[which] = True
        n.length[which], n.tries[which] = 1, 0

    @property
    def logs_slopes(self) -> bool:
        """Whether `slopes` has all of `SLOPES`."""
        return self._kernels is not None

    @cached_property
    def _spectrum(self) -> Array:
        """(P,) λ of the weights, and 1 of the bias; nowhere 0."""
        problem, xp = self.problem, self.problem.device.xp
        spectrum = problem.basis.spectrum
        # a closed form takes them as they are; a guess had better not go far along the least
        guess = EPS if self.pairs else 0.0
        least = guess * spectrum.max() if len(spectrum) else 0.0
        spectrum = xp.maximum(spectrum, least + np.finfo(np.float64).tiny)
        return xp.concatenate([spectrum, xp.ones(1)]) if problem.bias else spectrum

    def _scale(self, gamma: Numbers, some: slice = slice(None)) -> Array:
        """H₀ (P, 1, K) = 1/(γ·λ + l2) of some columns, of the bias 1/γ."""
        problem = self.problem
        curvature = self._spectrum[:, None] * problem.device.to_device(gamma[some])  # (P, K)
        curvature[: problem.inner] += problem.l2[some]
        return (1 / curvature)[:, None, :]

    def _aligned(self, new: Array, steepest: Array) -> Array:
        """A direction that is downhill in every weight: elsewhere 0 (Andrew & Gao 2007, §3.2)."""
        r = self.problem.inner
        new[:r] = self.problem.device.xp.where(new[:r] * steepest[:r] < 0, new[:r], 0.0)
        return new

    def fix_gauge(self, state: SolverState, own: Flags, new: Array) -> None:
        """`fix_gauge` of directions `new` (P, C, K), of which `own` (K,) are minimisers'."""
        problem, a = self.problem, state.arrays
        by_own_rules = problem.sparse and own.any()
        if self._kernels is None or not problem.model.coupled or by_own_rules:
            fix_gauge(problem, a["w"], own, new)
        else:
            self._kernels.fix_gauge(a, new)

    # --- Newton's method ---

    def newton(
        self,
        state: SolverState,
        which: Flags,
        steepest: Array,
        new: Array,
        should_stop: Callable[[], object],
    ) -> None:
        """−H⁻¹·g of some columns, a few at a time, into `new`; the rest as `quasi_newton`.

        Raises:
            Interrupted: `should_stop()`.
        """
        xp, w = self.problem.device.xp, state.arrays["w"]
        for hessians, columns in self._groups(which):
            part = xp.take(w, columns, axis=-1)  # (P, C, k)
            g, l2 = xp.take(steepest, columns, axis=-1), xp.take(self.problem.l2, columns)
            new[..., columns] = hessians.step(part, g, l2, should_stop)

    def _groups(self, which: Flags) -> Iterator[tuple[Hessians, Array]]:
        """Column numbers, as many at a time as Hessians have room for, on the device."""
        for hessians, alike in self.hessians.alike(which):
            every, size = np.flatnonzero(alike), hessians.at_once()
            for first in range(0, len(every), size):
                yield hessians, self.problem.device.to_device(every[first : first + size])


def fix_gauge(problem: Problem, w: Array, own: Flags, new: Array) -> None:
    """Take out of directions `new` (P, C, K) what changes no output of softmax.

    All biases, or all weights of a feature, may move alike (the gauge freedom of softmax). Only l2
    tells such points apart, whose least they have where their sum is 0; with l1 it is some of them.

    Args:
        problem: the columns.
        w: (P, C, K) where they are.
        own: (K,) columns whose direction is a minimiser's, with l1.
        new: (P, C, K).
    """
    if not problem.model.coupled:
        return
    xp, r, C = problem.device.xp, problem.inner, problem.outputs
    if problem.bias:
        new[r] -= new[r].sum(axis=0) / C
    if not problem.sparse:
        sums = xp.where(problem.l2 > 0, w[:r].sum(axis=1, keepdims=True), 0.0)
        new[:r] -= (new[:r].sum(axis=1, keepdims=True) + sums) / C
    elif own.any():
        free = problem.device.to_device(own & (problem.host_l2 == 0))
        new[:r] -= xp.where(free, common_shift(xp, w[:r] + new[:r], problem.l1), 0.0)
