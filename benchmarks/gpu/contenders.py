"""Our own contender in the process of a peer's kind, on the GPU or on the double of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.gpu.bench import open_device
from benchmarks.shared.problems import Array, Problem
from trainer.train.stack import Stack


class Ours:
    """K columns in one stack on the device.

    Args:
        problem: the rows.
        K: columns.
        log: what becomes of every step's numbers, as `benchmarks.sgd.ours.Stacked` has it.
        tf32: whether products are in TF32.
    """

    def __init__(self, problem: Problem, K: int, log: str = "returned", tf32: bool = False) -> None:
        open_device()  # before `choose` is imported by name: a rehearsal has the double there
        from benchmarks.sgd.ours import Stacked

        self._stacked: Any = Stacked(problem, K, log=log, device="gpu")
        if tf32:
            one = self._stacked.stack
            more: dict[str, Any] = {"tf32": True}
            settings = replace(one.settings, **more)
            self._stacked.stack = Stack(one.device, one.model, one.rows, one.shape[1], settings)

    def run(self) -> Array:
        """Train all from zero; return the weights (D, C, K)."""
        found: Array = self._stacked.run()
        return found


class CuMl:
    """cuML's logistic regression of one penalty to its optimum, by its L-BFGS.

    Args:
        data: X (N, D) and y (N,) of 0 and 1, float32, on the host.
        C: the inverse of the penalty, of the sum of the rows' losses.
    """

    def __init__(self, data: tuple[Array, Array], C: float) -> None:
        import cupy
        from cuml.linear_model import LogisticRegression

        self._X, self._y = (cupy.asarray(one) for one in data)
        self._cupy, self._made = cupy, LogisticRegression
        self._settings = {"C": C, "tol": 1e-6, "max_iter": 1000, "output_type": "numpy"}

    def run(self) -> Array:
        """Fit; return the weights (D,)."""
        model = self._made(**self._settings).fit(self._X, self._y)
        self._cupy.cuda.runtime.deviceSynchronize()
        found: Array = model.coef_.reshape(-1)
        return found
