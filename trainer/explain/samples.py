"""What the page draws: the model table's own functions, read at regular scores.

The page knows no formula. It reads these tables, and between two samples it goes straight.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.model import MODELS, Model, Scratch
from trainer.model.step import error

Numbers = np.ndarray[Any, np.dtype[np.float64]]

_PACKED_FROM = 5000  # samples


@dataclass(frozen=True)
class Picture:
    """One picture of the page.

    Attributes:
        model, loss: the row of the model table.
        outputs: the names of the C outputs; one without a name where C is 1.
        lo, step, count: each score takes the values lo + i·step, i < count.
        targets: y's to choose from, by the word on the button; each of length C.
        chosen: the word chosen at first.
        scores: where the C sliders stand at first.
    """

    model: str
    loss: str
    outputs: tuple[str, ...]
    lo: float
    step: float
    count: int
    targets: Mapping[str, tuple[float, ...]]
    chosen: str
    scores: tuple[float, ...]

    def grid(self) -> Numbers:
        """Every point of the grid of scores (count^C, C), the last score running fastest."""
        axis = self.lo + self.step * np.arange(self.count)
        axes = np.meshgrid(*[axis] * len(self.outputs), indexing="ij")
        return np.stack([a.ravel() for a in axes], axis=1)


_BINARY = {"0": (0.0,), "1": (1.0,)}
_CLASSES = {"A": (1.0, 0.0, 0.0), "B": (0.0, 1.0, 0.0), "C": (0.0, 0.0, 1.0)}
PICTURES = {
    "linear": Picture(
        "linear", "auto", ("",), -3, 0.05, 121,
        {"−1": (-1.0,), "0": (0.0,), "1": (1.0,)}, "1", (-1.0,),
    ),
    "logistic": Picture("logistic", "auto", ("",), -6, 0.05, 241, _BINARY, "1", (-1.5,)),
    "softmax": Picture(
        "softmax", "auto", ("A", "B", "C"), -3, 0.25, 25, _CLASSES, "A", (-0.5, 1.0, -1.5)
    ),
    "plateau": Picture("logistic", "squared_error", ("",), -6, 0.05, 241, _BINARY, "1", (-4.5,)),
}  # fmt: skip


@dataclass(frozen=True)
class Samples:
    """The model's functions at B scores.

    Attributes:
        prediction: ŷ (B, C).
        error: ŷ − y (B, C).
        loss: L (B,).
        dz: dL/dz (B, C); None where the model hands back ŷ − y itself, the very array.
    """

    prediction: Numbers
    error: Numbers
    loss: Numbers
    dz: Numbers | None


def sample(model: Model, scores: Numbers, target: Sequence[float]) -> Samples:
    """Run the model's activation, loss and dL/dz, in float64.

    Args:
        model: a row of the model table.
        scores: z (B, C); left as they are.
        target: y (C,), the same for all B.
    """
    B, C = scores.shape
    y = np.broadcast_to(np.reshape(target, (1, C, 1)), (B, C, 1)).astype(np.float64)
    scratch = Scratch.of(np, B, C)
    prediction, wrong, loss = np.empty((B, C, 1)), np.empty((B, C, 1)), np.empty((B, 1))
    model.activation(np, scores[:, :, None].copy(), prediction, scratch)
    dz = error(model, np, scores[:, :, None].copy(), y, wrong, loss, scratch)
    own = None if dz is wrong else dz[:, :, 0].copy()
    return Samples(prediction[:, :, 0], wrong[:, :, 0], loss[:, 0], own)


def tables(picture: Picture) -> dict[str, Any]:
    """All that the page needs of a picture, as JSON values.

    `prediction` is a table for each output. `targets` has, for each y, its `loss` and, for each
    output, `dz`; null where dL/dz is ŷ − y. A table runs over the grid as `Picture.grid` does.
    """
    model, grid = MODELS[picture.model, picture.loss], picture.grid()
    targets = []
    for name, y in picture.targets.items():
        found = sample(model, grid, y)
        dz = None if found.dz is None else [pack(column) for column in found.dz.T]
        targets.append({"name": name, "y": list(y), "loss": pack(found.loss), "dz": dz})
    return {
        "outputs": list(picture.outputs),
        "lo": picture.lo,
        "step": picture.step,
        "count": picture.count,
        "scores": list(picture.scores),
        "chosen": list(picture.targets).index(picture.chosen),
        "prediction": [pack(column) for column in found.prediction.T],
        "targets": targets,
    }


def pack(values: Numbers) -> list[float] | dict[str, Any]:
    """A table for the page: numbers of six decimals or, of a large one, base64 of int16.

    The latter count in steps of 1/per_unit, as fine as its largest value lets 16 bits be.
    """
    if len(values) < _PACKED_FROM:
        return [float(value) for value in np.round(values, 6) + 0.0]  # + 0.0: no −0
    per_unit = int(np.iinfo(np.int16).max / np.abs(values).max())
    whole = np.rint(values * per_unit).astype("<i2")
    return {"per_unit": per_unit, "int16": base64.b64encode(whole.tobytes()).decode()}
