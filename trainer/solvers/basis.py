"""Principal axes of the weighted features: one factorisation serves every l2.

With rows weighted by p and centred, X = X_c·Q has the Gram matrix Xᵀdiag(p)X = diag(λ), so that
the Hessian of a squared loss with penalty l2 is diag(λ + l2) for every l2 at once (Hoerl & Kennard
1970; the trick of RidgeCV and of big_vision's few-shot probe), and a good guess of any other
loss's. Q is orthonormal: ‖W‖² and all gradient norms are what they were. Directions without any
rows in them (constant or dependent features, fewer rows than features) are left out: W stays 0
there, which is the optimum for l2 > 0 and the one of least norm for l2 = 0.

Shapes: N rows, D features, r <= D directions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from trainer.device import Device


Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
MOST_DIRECTIONS = 2048  # a factorisation of more costs more than it saves
_EPS = float(np.finfo(np.float64).eps)
_CONSTANT = 16 * _EPS  # of a feature's size
_WELL_CONDITIONED = 1e-10  # of λmin/λmax: below it XᵀX has lost what X knows
SAFE = 1e-7  # of the same with l2: above it what XᵀX has lost is not missed
TALL = 4  # rows a feature: from then on weights are quicker to rotate than rows
CHUNK = 1 << 17  # numbers of the rows that stay in the cache


class Basis(NamedTuple):
    """New coordinates for weights (D, …): W = directions·W', b = b' − mean·W.

    Attributes:
        mean: (D,) the weighted mean that X is taken from; zeros without a bias.
        directions: (D, r) orthonormal columns, or None for the features themselves.
        spectrum: (r,) Σ_i p_i·x_ij² in these coordinates.
        dropped: how many directions have no rows in them.
        rotated: whether the rows X are stored as X·directions. A tall X is stored centred only, as
            rotating weights and gradients at every evaluation takes less than rotating its rows.
        whole: whether XᵀX is diagonal in these coordinates. It is not where directions of little
            spread were left mixed, or where some of the rows told the coordinates.
        centred: whether the rows X are stored without their mean.
        scale: (D,) what features are multiplied by, once their mean is taken out; None: nothing.
        truth: of rows not turned whose XᵀX is told whole: its eigenvalues (r,) as they were found,
            and ‖XᵀX·Q − Q·diag(λ)‖, by which they are off; else None.
        has_mean: whether a mean is taken out.
    """

    mean: Array
    directions: Array | None
    spectrum: Array
    dropped: int
    rotated: bool = True
    whole: bool = True
    centred: bool = True
    scale: Array | None = None
    truth: tuple[Array, Array] | None = None
    has_mean: bool = True

    @property
    def is_own(self) -> bool:
        """Whether each column has coordinates of its own."""
        return False

    @property
    def spread(self) -> Array:
        """The sum of the spectrum."""
        return self.spectrum.sum()

    @property
    def means(self) -> Array:
        """(D, 1, 1) the mean."""
        return self.mean[:, None, None]

    def take(self, columns: Any, device: Device) -> Basis:
        """That of some of the columns, which is theirs all."""
        return self

    def sizes(self, xp: Any) -> Array:
        """(D,) the roots of the features' weighted mean squares about `mean`."""
        if self.directions is None:
            return xp.sqrt(self.spectrum)
        return xp.sqrt((self.directions * self.directions) @ self.spectrum)

    def weights(self, xp: Any, inner: Array) -> Array:
        """(D, C, K) weights of inner ones (r, C, K)."""
        if self.directions is None:
            return inner.copy()
        flat = inner.reshape(inner.shape[0], inner.shape[1] * inner.shape[2])
        return (self.directions @ flat).reshape(-1, *inner.shape[1:])

    def inner(self, xp: Any, weights: Array) -> Array:
        """(r, C, K) of weights (D, C, K): what of them lies in the directions."""
        if self.directions is None:
            return weights.copy()
        flat = weights.reshape(weights.shape[0], -1)
        return (self.directions.T @ flat).reshape(len(self.spectrum), *weights.shape[1:])

    def about_mean(self, X: Array) -> Array:
        """Stored rows (n, D) without their mean."""
        if self.scale is not None:
            return (X - self.mean) * self.scale
        return X if self.centred else X - self.mean

    def of_rows(self, xp: Any, inner: Array) -> Array:
        """Weights of rows as they are stored, of inner ones (r, C, K)."""
        weights = inner if self.rotated else self.weights(xp, inner)
        return weights if self.scale is None else weights * self.scale[:, None, None]

    def stored_shift(self, xp: Any, stored: Array) -> Array:
        """mean·W (C, K) of weights of rows that are stored with their mean."""
        return self.shift(xp, stored)

    def largest_shift(self, xp: Any, weights: Array) -> Array:
        """(C, K) how large the terms of shifts are, of |weights| (D, C, K)."""
        flat = weights.reshape(len(weights), -1)
        return (xp.absolute(self.mean)[None] @ flat).reshape(weights.shape[1:])

    def shift(self, xp: Any, weights: Array) -> Array:
        """mean·W (C, K): what the bias of the centred rows is larger by than the bias."""
        flat = weights.reshape(weights.shape[0], -1)
        return (self.mean[None, :] @ flat).reshape(weights.shape[1:])


class OwnBasis(NamedTuple):
    """The same of columns whose rows or statistics differ: `trainer.solvers.own_basis` finds it.

    Their weights W are those of (x − m)/σ.

    Attributes:
        offset: (D, 1, K) m.
        inverse: (D, 1, K) 1/σ, and 0 where a feature is constant in a column's rows.
        mean: (D, 1, K) of the columns' own features: (m − μ)/σ.
        own_spread: (K,) Σ_i p_i·‖(x_i − m)/σ‖².
        own_sizes: (D, K) the roots of the features' weighted mean squares.
        which: (K,) which columns have the same of all of these, by number, on the host.
        directions: (D, r) orthonormal columns, or None for the features themselves.
        spectrum: (r,) what is guessed of the Gram matrix along them.
    """

    offset: Array
    inverse: Array
    mean: Array
    own_spread: Array
    own_sizes: Array
    which: Indices
    directions: Array | None
    spectrum: Array
    dropped: int = 0
    rotated: bool = False
    whole: bool = False
    centred: bool = False
    is_own: bool = True

    def take(self, columns: Any, device: Device) -> OwnBasis:
        """That of some of the columns."""
        at = np.arange(len(self.which))[columns]
        there = device.to_device(at)
        names = "offset", "inverse", "mean", "own_spread", "own_sizes"
        own = {name: device.xp.take(getattr(self, name), there, axis=-1) for name in names}
        return self._replace(**own, which=self.which[at])

    @property
    def spread(self) -> Array:
        """(K,) the sum of the true spectrum."""
        return self.own_spread

    @property
    def means(self) -> Array:
        """(D, 1, K) the mean that a column's own features are taken from."""
        return self.mean

    def sizes(self, xp: Any) -> Array:
        """(D,) the roots of the features' weighted mean squares about their means, of column 0."""
        return self.own_sizes[:, 0]

    def weights(self, xp: Any, inner: Array) -> Array:
        """(D, C, K) weights of inner ones (r, C, K)."""
        return Basis.weights(self, xp, inner)  # type: ignore[arg-type]

    def inner(self, xp: Any, weights: Array) -> Array:
        """(r, C, K) of weights (D, C, K)."""
        return Basis.inner(self, xp, weights)  # type: ignore[arg-type]

    def shift(self, xp: Any, weights: Array) -> Array:
        """mean·W (C, K): what the bias of the centred rows is larger by than the bias."""
        return (self.mean * weights).sum(axis=0)

    def largest_shift(self, xp: Any, weights: Array) -> Array:
        """(C, K) how large the terms of shifts are, of |weights| (D, C, K)."""
        size = xp.absolute(self.mean) + xp.absolute(self.offset) * self.inverse
        return (size * weights).sum(axis=0)

    def of_rows(self, xp: Any, inner: Array) -> Array:
        """Weights (D, C, K) of the shared rows as they are stored."""
        return self.weights(xp, inner) * self.inverse

    def stored_shift(self, xp: Any, stored: Array) -> Array:
        """m·W (C, K) of weights of stored rows."""
        return (self.offset * stored).sum(axis=0)

    def turn_gradient(self, gradient: Array, of_bias: Array) -> None:
        """Turn a gradient (D, C, K) by weights of stored rows into the columns' own, in place."""
        gradient -= self.offset * of_bias
        gradient *= self.inverse

    def of_one(self, column: int) -> Basis:
        """The basis of a column, which turns shared rows into its own."""
        mean, inverse = self.offset[:, 0, column], self.inverse[:, 0, column]
        turned = self.directions is not None
        return Basis(
            mean, self.directions, self.spectrum, 0, not turned, False, centred=False, scale=inverse
        )


def uncorrelated(
    device: Device,
    X: Array,
    p: Array,
    bias: bool,
    exact: bool = False,
    least: float = 0.0,
    most: int = MOST_DIRECTIONS,
) -> tuple[Basis, Array]:
    """Find coordinates without correlation, and turn rows into them unless X is tall.

    Args:
        device: where the rows are.
        X: (N, D) of float64; overwritten.
        p: (N,) row weights that sum to 1.
        bias: whether there is a bias, which takes up the mean.
        exact: whether λ must be the whole truth at any cost, also where XᵀX has lost it. Without,
            directions of little spread may be mixed, as a guess of a Hessian may have them.
        least: the smallest l2 there is. Spreads far below it make no difference.
        most: directions from which on the features stay as they are, unless `exact`.

    Returns:
        The basis and the rows in it (N, r), or (N, D) where it says that they are not.
    """
    xp, mean = device.xp, _centre(device.xp, X, p, bias)
    n, D = X.shape
    if min(n, D) > most and not exact:
        return Basis(mean, None, _spectrum(device, X, p), 0), X
    if n > D:
        gram = device.gram(X, p)
        spectrum, directions = xp.linalg.eigh(gram)  # the smallest first
        known = device.to_host(spectrum)  # device -> host
        if n >= TALL * D and known[0] + least > SAFE * known[-1]:
            # a curvature that bounds divide by had better be too small
            less = xp.maximum(spectrum - D * _EPS * known[-1], 0)
            truth = None
            if exact:
                off = device.product(gram, directions) - directions * spectrum
                truth = spectrum, xp.sqrt((off * off).sum())
            return Basis(mean, directions, less, 0, False, truth=truth, has_mean=bias), X
    else:
        directions = _by_singular_values(xp, X, p)
    rotated, spectrum, told = _turned(device, X, p, mean, directions)
    mixed = n > D and _ill_conditioned(n, told["spectrum"])
    if mixed and exact:
        directions = _by_singular_values(xp, X, p)
        rotated, spectrum, told = _turned(device, X, p, mean, directions)
    largest = told["spectrum"].max(initial=0.0)
    # rows far from 0 were rounded before they were centred: what that leaves is no direction
    least_spread = np.maximum((max(n, D) * _EPS) ** 2 * largest, told["offsets"] * (4 * _EPS) ** 2)
    kept = np.flatnonzero(told["spectrum"] > least_spread)  # those with rows in them
    if len(kept) < len(spectrum):
        which = device.to_device(kept)
        rotated, spectrum = xp.take(rotated, which, axis=1), xp.take(spectrum, which)
        directions = xp.take(directions, which, axis=1)
    whole = exact or not mixed
    return Basis(mean, directions, spectrum, D - len(kept), whole=whole), rotated


def _turned(
    device: Device, X: Array, p: Array, mean: Array, directions: Array
) -> tuple[Array, Array, dict[str, Numbers]]:
    """Rows along directions (D, r), their spectrum, and on the host it and the means' squares."""
    rotated = device.product(X, directions)  # (N, r)
    spectrum = _spectrum(device, rotated, p)
    offsets = ((directions * mean[:, None]) ** 2).sum(axis=0)  # (r,)
    return rotated, spectrum, device.fetch({"spectrum": spectrum, "offsets": offsets})


def identity(device: Device, X: Array, p: Array, bias: bool) -> tuple[Basis, Array]:
    """The features themselves, centred: for penalties that depend on the coordinates, as l1 does.

    Args and returns as `uncorrelated`, r = D.
    """
    mean = _centre(device.xp, X, p, bias)
    return Basis(mean, None, _spectrum(device, X, p), 0), X


def _centre(xp: Any, X: Array, p: Array, bias: bool) -> Array:
    """Subtract the weighted mean in place; what rounding leaves of a constant becomes 0."""
    if not bias:
        return xp.zeros(X.shape[1])
    largest, smallest = X.max(axis=0), X.min(axis=0)  # (D,)
    size = xp.maximum(xp.absolute(largest), xp.absolute(smallest))
    mean = p @ X
    X -= mean
    rest = p @ X  # of a mean large beside its deviations
    X -= rest
    constant = largest - smallest <= _CONSTANT * size
    if bool(constant.any()):
        xp.copyto(X, 0.0, where=constant)
    return mean + rest


def _spectrum(device: Device, X: Array, p: Array) -> Array:
    """Σ p·x² (r,) of rows (n, r), some of them at a time: all squares are as large as X."""
    total = device.xp.zeros(X.shape[1])
    size = max(1, device.at_once(8 * CHUNK) // (8 * max(1, X.shape[1])))
    for start in range(0, len(X), size):
        x = X[start : start + size]
        total += p[start : start + size] @ (x * x)
    return total


def _ill_conditioned(n: int, spectrum: Numbers) -> bool:
    """Whether some direction's spread is too small for XᵀX to have told it, and not none."""
    largest = spectrum.max()
    least = (n * _EPS) ** 2 * largest
    return bool(((spectrum > least) & (spectrum < _WELL_CONDITIONED * largest)).any())


def _by_singular_values(xp: Any, X: Array, p: Array) -> Array:
    """(D, min(N, D)) the right singular vectors of weighted rows, by way of a triangle."""
    root = X * xp.sqrt(p)[:, None]  # (N, D)
    if len(root) > root.shape[1]:
        return xp.linalg.svd(xp.linalg.qr(root, mode="r"))[2].T
    left, triangle = xp.linalg.qr(root.T)  # (D, N) · (N, N)
    return left @ xp.linalg.svd(triangle)[0]
