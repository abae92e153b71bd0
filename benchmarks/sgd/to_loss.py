"""The two that are trained to a validation loss: epoch by epoch, or for so many epochs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.sgd.loss import Curves, Held
from benchmarks.sgd.ours import Stacked
from benchmarks.shared.problems import Array

RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
SGD_RATES = ("optimal", 0.001, 0.003, 0.01, 0.03)
L2 = 1e-5


class Ours:
    """One column of a stack, every step logged."""

    def __init__(self, held: Held) -> None:
        self.held = held

    def curves(self, epochs: int) -> Curves:
        """Validation losses of each learning rate."""
        return {rate: self._curve(rate, epochs) for rate in RATES}

    def _curve(self, rate: float, epochs: int) -> list[float]:
        steps, losses = self.held.train.steps, []
        fit = Stacked(replace(self.held.train, steps=epochs * steps), 1, pair=(rate, L2))
        state = fit.stack.start(*fit.zeros)
        for end in range(steps, epochs * steps + 1, steps):
            while state.step < end:
                fit.stack.advance(state, end)
            losses.append(self._loss(state.weights[..., 0], state.bias[..., 0]))
        return losses

    def _loss(self, W: Array, b: Array) -> float:
        z, y = self.held.X @ W + b, self.held.y
        if z.shape[1] == 1:
            return float(np.mean(np.logaddexp(0, (1 - 2 * y) * z[:, 0])))
        z = z - z.max(axis=1, keepdims=True)
        own = np.take_along_axis(z, y[:, None], axis=1)[:, 0]
        return float(np.mean(np.log(np.exp(z).sum(axis=1)) - own))

    def run(self, rate: float, epochs: int) -> None:
        """Build the stack and train so many epochs."""
        train = replace(self.held.train, steps=epochs * self.held.train.steps)
        Stacked(train, 1, pair=(rate, L2)).run()


class Sgd:
    """SGDClassifier, which is one-vs-rest."""

    def __init__(self, held: Held) -> None:
        self.held = held
        self._model("optimal", 1)  # imports

    def _model(self, rate: float | str, epochs: int) -> Any:
        from sklearn.linear_model import SGDClassifier

        constant = {} if rate == "optimal" else {"learning_rate": "constant", "eta0": rate}
        return SGDClassifier(
            loss="log_loss", alpha=L2, max_iter=epochs, tol=None, random_state=0, **constant
        )

    def curves(self, epochs: int) -> Curves:
        """Validation losses of each learning rate."""
        from sklearn.metrics import log_loss

        train, found = self.held.train, Curves()
        classes = np.unique(train.y)
        for rate in SGD_RATES:
            model, losses = self._model(rate, 1), []
            for _ in range(epochs):
                model.partial_fit(train.X, train.y, classes=classes)
                given = model.predict_proba(self.held.X).astype(float)
                given /= given.sum(axis=1, keepdims=True)
                losses.append(float(log_loss(self.held.y, given, labels=classes)))
            found[rate] = losses
        return found

    def run(self, rate: float | str, epochs: int) -> None:
        """Train so many epochs."""
        self._model(rate, epochs).fit(self.held.train.X, self.held.train.y)
