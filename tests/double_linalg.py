"""Products and cupy.linalg of the double of CuPy (tests/double.py), and the copies they hide."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from double_costs import SOLVED_TOGETHER, is_contiguous

if TYPE_CHECKING:
    from double import Cupy
    from double_array import ndarray


class Linalg:
    """cupy.linalg: of a matrix that is singular or not finite there comes NaN, and no error."""

    def __init__(self, cupy: Cupy) -> None:
        self._cupy = cupy

    def _done(self, function: Any, *arrays: Any, rows_last: bool = True, **keywords: Any) -> Any:
        """Call NumPy for each matrix, whose results lie column by column, as cuSOLVER has them."""
        held = [self._cupy._held(array) for array in arrays]
        batch = held[0].shape[:-2]
        found = [
            _or_nan(function, [one[at] for one in held], keywords) for at in np.ndindex(*batch)
        ]
        results = []
        for each in zip(*found, strict=True) if found else ():
            whole = np.stack(each).reshape(*batch, *each[0].shape)
            results.append(_by_columns(whole) if rows_last and each[0].ndim == 2 else whole)
        return tuple(self._cupy._made("factor", one, *held) for one in results)

    def eigh(self, a: Any, UPLO: str = "L") -> Any:
        return self._done(np.linalg.eigh, a, UPLO=UPLO)

    def eigvalsh(self, a: Any, UPLO: str = "L") -> Any:
        return self._done(lambda one: (np.linalg.eigvalsh(one, UPLO),), a)[0]

    def qr(self, a: Any, mode: str = "reduced") -> Any:
        found = self._done(np.linalg.qr, a, mode=mode)
        return found if len(found) > 1 else found[0]

    def svd(self, a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
        found = self._done(np.linalg.svd, a, full_matrices=full_matrices, compute_uv=compute_uv)
        return found if len(found) > 1 else found[0]

    def solve(self, a: Any, b: Any) -> Any:
        if a.shape[:-1] != (b.shape if b.ndim == 1 else b.shape[:-1]):  # no vectors in a batch
            raise ValueError("a must have (..., M, M) shape and b must have (..., M, K)")
        one_by_one = a.ndim > 2 and a.shape[-1] > SOLVED_TOGETHER
        for _ in range(prod(a.shape[:-2]) if one_by_one else 1):
            self._cupy.counts.launch("solve")
            self._cupy.counts.allocations += 4  # copies of both sides, pivots, what went wrong
        return self._done(np.linalg.solve, a, b, rows_last=a.ndim == 2)[0]

    def cholesky(self, a: Any) -> Any:
        return self._done(np.linalg.cholesky, a, rows_last=False)[0]


def _or_nan(function: Any, matrices: list[np.ndarray], keywords: dict[str, Any]) -> tuple[Any, ...]:
    """What NumPy finds; where it raises, NaN of the shapes that it would have."""
    try:
        found = function(*matrices, **keywords)
    except np.linalg.LinAlgError:
        shapes = function(*(np.eye(*one.shape, dtype=one.dtype) for one in matrices), **keywords)
        found = (
            tuple(np.full_like(one, np.nan) for one in shapes)
            if isinstance(shapes, tuple)
            else np.full_like(shapes, np.nan)
        )
    return tuple(found) if isinstance(found, tuple) else (found,)


def _by_columns(matrices: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(matrices.swapaxes(-2, -1)).swapaxes(-2, -1)


def matmul(cupy: Cupy, a: np.ndarray, b: np.ndarray, out: ndarray | None) -> ndarray:
    """A product of matrices or of batches of them."""
    dtype, several = np.result_type(a, b), max(a.ndim, b.ndim) > 2
    for one in (a, b):  # cuBLAS takes rows or columns in order; CuPy's batches take rows alone
        lies = one.flags.c_contiguous if several else is_contiguous(one)
        if not lies or one.dtype != dtype:
            cupy._made("elementwise", one.astype(dtype), one)
    if several and a.shape[:-2] != b.shape[:-2]:
        for _ in range(3):  # a batch is broadcast by the addresses of its matrices
            cupy._made("elementwise", np.zeros(max(prod(a.shape[:-2]), prod(b.shape[:-2]))))
    found = np.matmul(a, b)
    if found.size == 1 and a.size and not several:
        _inner(cupy, a, b, found)
    else:
        cupy.counts.launch("product", a, b, found)
    if out is None:
        return cupy._new(found)
    target = cupy._target(out, found, [a, b])
    if not (target.flags.c_contiguous and target.dtype == dtype):
        cupy._made("elementwise", found, found)
    target[...] = found
    return out


def _inner(cupy: Cupy, a: np.ndarray, b: np.ndarray, found: np.ndarray) -> None:
    """Count a product that is one number, which CuPy does without cuBLAS."""
    each = cupy._made("elementwise", a.ravel() * b.ravel(), a, b)
    total = cupy._new(np.empty((), found.dtype))
    cupy._new(np.empty(0))  # a workspace
    cupy.counts.launch("whole reduction", each._held, total._held)
    cupy.counts.launch("elementwise", total._held, found)


def tensordot(a: ndarray, b: ndarray, axes: int) -> ndarray:
    """The last axes of `a` by the first of `b`: one product, of copies where they do not lie so."""
    n, m, k = a.shape[: a.ndim - axes], b.shape[axes:], prod(b.shape[:axes])
    return (a.reshape(prod(n), k) @ b.reshape(k, prod(m))).reshape([*n, *m])


def einsum(cupy: Cupy, subscripts: str, arrays: list[ndarray]) -> ndarray:
    """Sums, then products of two, the last first; axes are brought in order by copies.

    Axes of length 1, which CuPy drops before, stay; no letter may occur twice in an operand.
    """
    inputs, output = subscripts.split("->")
    names = inputs.split(",")
    assert all(
        len(set(name)) == len(name) == one.ndim for name, one in zip(names, arrays, strict=True)
    )
    for i, array in enumerate(arrays):
        others = set(output).union(*(name for j, name in enumerate(names) if j != i))
        alone = tuple(at for at, letter in enumerate(names[i]) if letter not in others)
        arrays[i] = array.sum(axis=alone) if alone else array
        names[i] = "".join(letter for letter in names[i] if letter in others)
    while len(arrays) > 1:
        a, b = (arrays.pop(), names.pop()), (arrays.pop(), names.pop())
        array, name = _contracted(cupy, a, b, "".join([output, *names]))
        arrays.append(array)
        names.append(name)
    return arrays[0].transpose([names[0].index(letter) for letter in output])


Named = tuple["ndarray", str]


def _contracted(cupy: Cupy, a: Named, b: Named, others: str) -> Named:
    """One product of einsum and its letters; `others` has the output's and what is left's."""
    shared = set(a[1]) & set(b[1])
    batch, summed = sorted(shared & set(others)), sorted(shared - set(others))
    left, right = sorted(set(a[1]) - shared), sorted(set(b[1]) - shared)
    name = "".join([*batch, *left, *right])
    if not summed:
        name = others if len(name) == len(others) else name
        return cupy.multiply(_spread(*a, name), _spread(*b, name)), name
    x = _flat(*a, [batch, left, summed])
    y = _flat(*b, [batch, summed, right])
    sizes = dict(zip(a[1], a[0].shape, strict=True)) | dict(zip(b[1], b[0].shape, strict=True))
    return (x @ y).reshape([sizes[letter] for letter in name]), name


def _spread(array: ndarray, own: str, name: str) -> ndarray:
    """A view with an axis for each letter, of length 1 where the array has none."""
    more = [letter for letter in name if letter not in own]
    own = "".join([*own, *more])
    shape = [*array.shape, *(1 for _ in more)]
    return array.reshape(shape).transpose([own.index(letter) for letter in name])


def _flat(array: ndarray, own: str, groups: list[list[str]]) -> ndarray:
    """The array with one axis for each group of letters: a copy where they do not lie so."""
    sizes = dict(zip(own, array.shape, strict=True))
    turned = array.transpose([own.index(letter) for group in groups for letter in group])
    return turned.reshape([prod(sizes[letter] for letter in group) for group in groups])
