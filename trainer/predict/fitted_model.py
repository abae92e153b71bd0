"""A fitted model: predicts on raw rows, and is two files in a run folder.

model.safetensors has `weights` (D, C), `bias` (C,), `feature_mean` and `feature_scale` (D,);
model.json all the rest, with the sha256 of the former: a flipped bit would load without a word.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.catalog import LOSSES, MODELS, OWN_LOSS
from trainer.data.encode.encoder import Encoder
from trainer.data.frame import Frame, chunks
from trainer.data.rows import Array, FloatArray
from trainer.data.sources.registry import features_frame
from trainer.errors import RunFolderError, UserError
from trainer.text.atomic import write_atomic
from trainer.text.printable import error_text, show_path

ARRAYS = "model.safetensors"
FIELDS = "model.json"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class FittedModel:
    """A trained model and the encoder of its rows.

    z = ((x − mean) / scale) · weights + bias, x the encoded row, of length 1 first under `unit`.
    """

    model: str
    """A row of the catalog."""
    weights: FloatArray
    """(D, C), on scaled features."""
    bias: FloatArray
    """(C,)."""
    encoder: Encoder
    loss: str = OWN_LOSS
    """Its name, as the spec had it."""
    loss_parameters: Mapping[str, float] = field(default_factory=dict)
    """The loss's own parameters by name; most have none."""

    def scores(self, X: Any) -> NDArray[np.float64]:
        """Scores z of raw rows, (N, C); of a linear model in the target's own units.

        Args:
            X: raw features: an array (N, columns), or a table whose columns are found by name.

        Raises:
            DataError: columns or values that do not fit.
        """
        return self.scores_and_unseen(X)[0]

    def scores_and_unseen(self, X: Any) -> tuple[NDArray[np.float64], dict[str, int]]:
        """`scores`, and {text column: rows whose category the training rows did not have}."""
        frame = X if isinstance(X, Frame) else features_frame(X, self.encoder.like, "X")
        z = np.empty((frame.rows, self.weights.shape[1]))
        unseen: dict[str, int] = {}
        for part in chunks(frame.rows, len(self.encoder.features)):
            rows = np.arange(part.start, part.stop)
            encoded = self.encoder.transform(frame, self.weights.dtype, rows)
            z[part] = encoded.X @ self.weights + self.bias
            for name, count in encoded.unseen.items():
                unseen[name] = unseen.get(name, 0) + count
        z *= self.encoder.target_scale
        z += self.encoder.target_mean
        return z, unseen

    def predict(self, X: Any) -> Array:
        """Predictions of raw rows, in the user's words and units.

        Returns:
            linear: (N,) float64, (N, C) of several targets. Labels: (N,) of `classes_`. Several
            labels a row: (N, C) int64 of 0 and 1.

        Raises:
            DataError: columns or values that do not fit.
        """
        return self.decide(self.scores(X))

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities of raw rows: a column a class; of several labels a row, that each is 1.

        Returns:
            (N, 2) of a logistic model with one label, else (N, C).

        Raises:
            DataError: columns or values that do not fit.
            UserError: a linear model, which has none.
        """
        return self.probabilities(self.scores(X))

    def decide(self, z: NDArray[np.float64]) -> Array:
        """Predictions of scores (N, C) that `scores` gave."""
        kind = self.encoder.target.kind
        if kind == "numbers":
            predicted = self._activated(z)
            return predicted[:, 0] if z.shape[1] == 1 else predicted
        if kind == "multilabel":
            return (z > 0).astype(np.int64)
        codes = z.argmax(axis=1) if z.shape[1] > 1 else (z[:, 0] > 0).astype(np.int64)
        classes = self.classes_
        assert classes is not None
        result: Array = classes[codes]
        return result

    def probabilities(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of scores (N, C) that `scores` gave."""
        if not MODELS[self.model].has_classes:
            raise UserError(
                f"a {self.model} model has no probabilities; predict or scores gives its numbers"
            )
        p = self._activated(z)
        if self.encoder.target.kind == "labels" and z.shape[1] == 1:
            return np.hstack([1 - p, p])
        return p

    def _activated(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """ŷ of scores (N, C)."""
        from trainer.model.models import MODELS as ROWS
        from trainer.model.models import Scratch

        z3 = z[:, :, None].copy()  # (N, C, 1): the activation overwrites its argument
        predicted = np.empty_like(z3)
        with np.errstate(over="ignore"):
            row = ROWS[self.model, self.loss]
            row.activation(np, z3, predicted, Scratch.of(np, *z.shape))
        return predicted[:, :, 0]

    @property
    def coef_(self) -> NDArray[np.float64]:
        """(C, D) on raw features (`features_`): scores are X · coef_.T + intercept_.

        Under `scale: unit` X stands for rows already brought to length 1.
        """
        weights = self.weights.astype(np.float64) / self.encoder.scale[:, None]
        weights *= self.encoder.target_scale
        return weights.T.copy()

    @property
    def intercept_(self) -> NDArray[np.float64]:
        """(C,) on raw features."""
        shift = (self.encoder.mean / self.encoder.scale) @ self.weights.astype(np.float64)
        intercept: NDArray[np.float64] = self.bias.astype(np.float64) - shift
        return intercept * self.encoder.target_scale + self.encoder.target_mean

    @property
    def classes_(self) -> Array | None:
        """Sorted labels as written; None of a linear model and of several labels a row."""
        classes = self.encoder.classes
        return None if classes is None else np.asarray(classes)

    @property
    def features_(self) -> tuple[str, ...]:
        """Names of the D features, in the order of the weights' rows."""
        return self.encoder.features

    @property
    def probability_names(self) -> tuple[str, ...]:
        """Names of `predict_proba`'s columns: classes, or targets of several labels a row."""
        from trainer.text.labels import label_text

        if self.encoder.classes is None:
            return self.encoder.outputs
        return tuple(label_text(label) for label in self.encoder.classes)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write both files into an existing folder, each whole.

        Raises:
            DiskError: the disk refused.
        """
        from safetensors.numpy import save

        arrays = save(
            {
                "weights": np.ascontiguousarray(self.weights),
                "bias": np.ascontiguousarray(self.bias),
                "feature_mean": self.encoder.mean,
                "feature_scale": self.encoder.scale,
            }
        )
        fields = {
            "format_version": FORMAT_VERSION,
            "model": self.model,
            "loss": self.loss,
            **({"loss_parameters": dict(self.loss_parameters)} if self.loss_parameters else {}),
            "sha256": hashlib.sha256(arrays).hexdigest(),
            **self.encoder.to_json(),
        }
        write_atomic(Path(folder) / ARRAYS, arrays)
        text = json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False)
        write_atomic(Path(folder) / FIELDS, (text + "\n").encode())

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> FittedModel:
        """Read both files.

        Raises:
            RunFolderError: one is missing, damaged, of another format or not of the other.
        """
        path = Path(os.path.abspath(folder))
        fields = _fields(path / FIELDS)
        arrays = _arrays(path / ARRAYS, fields.get("sha256"))
        try:
            weights, bias = arrays["weights"], arrays["bias"]
            model, loss = fields["model"], fields["loss"]
            written = fields.get("loss_parameters", {})
            parameters = {name: float(value) for name, value in written.items()}
            if (model, loss) not in LOSSES or {*parameters} != {*LOSSES[model, loss].parameters}:
                raise ValueError("its loss is none")
            encoder = Encoder.from_json(
                fields, model, arrays["feature_mean"], arrays["feature_scale"]
            )
            D, C = weights.shape
            shapes = (bias.shape, encoder.mean.shape, encoder.scale.shape)
            fits = shapes == ((C,), (D,), (D,)) and len(encoder.features) == D
            if not fits or encoder.target_mean.shape != (C,):
                raise ValueError("shapes differ")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _damaged(path / FIELDS, error) from None
        return cls(model, weights, bias, encoder, loss, parameters)


def _fields(path: Path) -> Mapping[str, Any]:
    try:
        fields = json.loads(_read(path).decode())
        version = fields["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, error) from None
    if version != FORMAT_VERSION:
        raise RunFolderError(
            f"{show_path(path)}: has format version {version}; this release reads {FORMAT_VERSION}:"
            " use the release that wrote it"
        )
    assert isinstance(fields, dict)
    return fields


def _arrays(path: Path, sha256: Any) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = _read(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise RunFolderError(
            f"{show_path(path)}: its bytes are not those {FIELDS} was written with (sha256); copy"
            " both files from the run again"
        )
    try:
        arrays: dict[str, Array] = load(data)
    except (SafetensorError, ValueError) as error:
        raise _damaged(path, error) from None
    return arrays


def _read(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():  # a device or a pipe might never end
            raise OSError(errno.EINVAL, "is no regular file")
        return path.read_bytes()
    except OSError as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise RunFolderError(
            f"{show_path(path)}: {why}; a folder with the model of a finished run is right"
        ) from None


def _damaged(path: Path, error: Exception) -> RunFolderError:
    return RunFolderError(
        f"{show_path(path)}: is damaged ({error_text(error)}); copy it from the run again"
    )


def load_model(folder: str | os.PathLike[str]) -> FittedModel:
    """Load the model of a run folder.

    Raises:
        RunFolderError: there is none, or it is damaged.
    """
    return FittedModel.load(folder)
