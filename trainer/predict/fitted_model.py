"""A fitted model: predicts on raw rows, and is two files in a run folder.

model.safetensors has `weights` (D, C), `bias` (C,), `feature_mean` and `feature_scale` (D,);
model.json all the rest, with the sha256 of the former: a flipped bit would load without a word.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.catalog import LOSSES, MODELS, OWN_LOSS
from trainer.data.encode.encoder import Encoded, Encoder
from trainer.data.encode.gaps import first_gap, has_gap
from trainer.data.encode.label_pairs import labels_of_codes
from trainer.data.frame import Frame, chunks
from trainer.data.rows import Array, FloatArray
from trainer.data.sources.registry import features_frame
from trainer.errors import DataError, RunFolderError, UserError
from trainer.machine.memory import memory_limit
from trainer.model.arithmetic import default_errstate
from trainer.text.atomic import write_atomic
from trainer.text.numbers import counted
from trainer.text.printable import error_text, show_path
from trainer.text.program import PROGRAM
from trainer.text.regular_file import read_regular
from trainer.text.tensors import arrays_of
from trainer.text.windows import quoted

ARRAYS = "model.safetensors"
FIELDS = "model.json"
MANIFEST = "manifest.json"
FORMAT_VERSION = 1
_LARGEST_MANIFEST = 1 << 24  # bytes
_JSON_SHARE = 32  # bytes that an object of Python may take for one of its text


class RowScores(NamedTuple):
    """What `FittedModel.score_rows` returns."""

    z: NDArray[np.float64]
    """(N, C), in the target's units; NaN in rows that cannot be predicted."""
    predicted: NDArray[np.bool_]
    """(N,): which rows can."""
    first_gap: str
    """Where the first value is that keeps a row from being predicted."""
    unseen: dict[str, int]
    """{text column: rows whose category the training rows did not have}; they encode as zeros."""
    filled: int
    """Missing values that were filled in as in training."""

    @property
    def cautions(self) -> tuple[str, ...]:
        """What a user should know before using the predictions, in clauses."""
        told = [
            f"{counted(n, 'row')} {'has' if n == 1 else 'have'} a {name} that training did not"
            for name, n in self.unseen.items()
        ]
        n = int((~self.predicted).sum())
        if n:
            which = "" if n == 1 else "the first in "
            verb = "has" if n == 1 else "have"
            told.insert(
                0,
                f"{counted(n, 'row')} {verb} no prediction, as a value is missing or infinite:"
                f" {which}{self.first_gap}",
            )
        return tuple(told)


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
    metrics: tuple[str, ...] = ()
    """What is computed of rows with a target, beside what every model of its kind has."""

    @default_errstate
    def scores(self, X: Any) -> NDArray[np.float64]:
        """Scores z of raw rows, (N, C); of a linear model in the target's own units.

        NaN in a row that cannot be predicted, see `predict`. Categories that training did not have
        encode as zeros; a warning counts both.

        Args:
            X: raw features: an array (N, columns), or a table whose columns are found by name, or
                by position where the model was trained on an array.

        Raises:
            DataError: columns or values that do not fit.
        """
        return self._with_warnings(X).z

    def of_target(self, t: int) -> FittedModel:
        """The model of one target, of several that are problems of their own."""
        encoder = replace(self.encoder, target=self.encoder.target.alone(t))
        return replace(self, weights=self.weights[:, [t]], bias=self.bias[[t]], encoder=encoder)

    @default_errstate
    def score_rows(self, frame: Frame) -> RowScores:
        """Scores of a frame whose columns are the model's, and what is to be said of its rows."""
        fill_in, counts = bool(self.encoder.impute), Counter[str]()
        predicted = np.zeros(frame.rows, dtype=bool)
        z = np.full((frame.rows, self.weights.shape[1]), np.nan)
        filled = 0
        for part in chunks(frame.rows, len(self.encoder.features)):
            predicted[part] = ~has_gap(frame, part, fill_in=fill_in)
            rows = part.start + np.flatnonzero(predicted[part])
            encoded = self._encoded(frame, rows)
            z[rows] = encoded.X @ self.weights + self.bias
            filled += encoded.imputed
            counts.update(encoded.unseen)
        z *= self.encoder.target_scale
        z += self.encoder.target_mean
        gap = ""
        if not predicted.all():
            row = int(np.flatnonzero(~predicted)[0])
            gap = first_gap(frame, row, self.encoder.columns, fill_in=fill_in)
        return RowScores(z, predicted, gap, dict(counts), filled)

    def _encoded(self, frame: Frame, rows: Array) -> Encoded:
        """Encoded rows in the weights' precision; in float64 where a number is past its range."""
        try:
            return self.encoder.transform(frame, self.weights.dtype, rows)
        except DataError:
            return self.encoder.transform(frame, np.dtype(np.float64), rows)

    def _with_warnings(self, X: Any) -> RowScores:
        """`score_rows` of what Python passes in; what is to be said of it is a warning."""
        frame = X if isinstance(X, Frame) else features_frame(X, self.encoder.like, "X")
        scored = self.score_rows(frame)
        for remark in (*frame.remarks, *scored.cautions):
            warnings.warn(f"X: {remark}", stacklevel=4)  # at the caller of the public method
        return scored

    @default_errstate
    def predict(self, X: Any) -> Array:
        """Predictions of raw rows, in the user's words and units.

        Returns:
            linear: (N,) float64, (N, C) of several targets. Labels: (N,) of `classes_`. Several
            labels a row: (N, C) int64 of 0 and 1, or the classes of each of separate targets. A row
            that cannot be predicted (a value is infinite, or missing where training filled none
            in) has NaN, for labels None in an array of objects, and a warning counts them.

        Raises:
            DataError: columns or values that do not fit.
        """
        scored = self._with_warnings(X)
        return _blanked(self.decide(scored.z), scored.predicted)

    @default_errstate
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities of raw rows: a column a class; of several labels a row, that each is 1.

        Returns:
            (N, 2) of a logistic model with one label, else (N, C). NaN as in `scores`.

        Raises:
            DataError: columns or values that do not fit.
            UserError: a linear model, which has none.
        """
        return self.probabilities(self._with_warnings(X).z)

    @default_errstate
    def decide(self, z: NDArray[np.float64]) -> Array:
        """Predictions of scores (N, C) that `scores` gave."""
        kind = self.encoder.target.kind
        if kind == "numbers":
            predicted = self._activated(z)
            return predicted[:, 0] if z.shape[1] == 1 else predicted
        if kind == "multilabel":
            codes = (z > 0).astype(np.int64)
            pairs = self.encoder.target.pairs
            return codes if pairs is None else labels_of_codes(codes, pairs)
        codes = z.argmax(axis=1) if z.shape[1] > 1 else (z[:, 0] > 0).astype(np.int64)
        classes = self.classes_
        assert classes is not None
        result: Array = classes[codes]
        return result

    @default_errstate
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
        with np.errstate(over="ignore", invalid="ignore"):  # of a row without a prediction
            row = ROWS[self.model, self.loss]
            row.activation(np, z3, predicted, Scratch.of(np, *z.shape))
        return predicted[:, :, 0]

    @property
    @default_errstate
    def coef_(self) -> NDArray[np.float64]:
        """(C, D) on raw features (`features_`): scores are X · coef_.T + intercept_.

        Under `scale: unit` X stands for rows already brought to length 1.
        """
        weights = self.weights.astype(np.float64) / self.encoder.scale[:, None]
        weights *= self.encoder.target_scale
        return weights.T.copy()

    @property
    @default_errstate
    def intercept_(self) -> NDArray[np.float64]:
        """(C,) on raw features."""
        shift = (self.encoder.mean / self.encoder.scale) @ self.weights.astype(np.float64)
        intercept: NDArray[np.float64] = self.bias.astype(np.float64) - shift
        return intercept * self.encoder.target_scale + self.encoder.target_mean

    @property
    def classes_(self) -> Array | None:
        """Labels as written, of two the positive one second; None of numbers or several a row."""
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
            **({"metrics": list(self.metrics)} if self.metrics else {}),
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
        arrays = _arrays(path / ARRAYS, fields["sha256"])
        model, loss = fields["model"], fields["loss"]
        try:
            parameters = _parameters(fields)
            encoder = Encoder.from_json(
                fields, model, arrays["feature_mean"], arrays["feature_scale"]
            )
            _check_shapes(arrays, encoder)
        except ValueError as error:
            raise _damaged(path / FIELDS, error) from None
        metrics = tuple(fields.get("metrics", ()))
        return cls(model, arrays["weights"], arrays["bias"], encoder, loss, parameters, metrics)


def _blanked(values: Array, predicted: NDArray[np.bool_]) -> Array:
    """Predictions without those of some rows: NaN of numbers, None of labels."""
    if predicted.all():
        return values
    is_labels = values.dtype.kind in "OUb" or (values.ndim == 1 and values.dtype.kind != "f")
    blanked = values.astype(object if is_labels else np.float64)
    blanked[~predicted] = None if is_labels else np.nan
    return blanked


def _fields(path: Path) -> Mapping[str, Any]:
    records = _records()

    data = _read(path, memory_limit() // _JSON_SHARE)
    try:
        version = records.read_record(records.Record, data).get("format_version")
        if isinstance(version, int) and version != FORMAT_VERSION:
            raise RunFolderError(
                f"{show_path(path)}: has format version {version}; this release reads"
                f" {FORMAT_VERSION}: use the release that wrote it"
            )
        found: Mapping[str, Any] = records.read_record(records.ModelRecord, data)
        return found
    except ValueError as error:
        raise _damaged(path, error) from None


def _parameters(fields: Mapping[str, Any]) -> dict[str, float]:
    """The loss's own parameters.

    Raises:
        ValueError: they are not those that it has.
    """
    parameters = {name: float(value) for name, value in fields.get("loss_parameters", {}).items()}
    if {*parameters} != {*LOSSES[fields["model"], fields["loss"]].parameters}:
        raise ValueError("its loss has other parameters")
    return parameters


def _check_shapes(arrays: Mapping[str, Array], encoder: Encoder) -> None:
    """Refuse arrays that are not those of a model with this encoder.

    Raises:
        ValueError: their shapes differ, or a number is none.
    """
    D, C = len(encoder.features), len(encoder.outputs)
    shapes = {"weights": (D, C), "bias": (C,), "feature_mean": (D,), "feature_scale": (D,)}
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape:
            raise ValueError(f"{name} of shape {array.shape} where {shape} is right")
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ValueError(f"{name} has numbers that are not finite, or whole ones")
    if arrays["weights"].dtype != arrays["bias"].dtype:
        raise ValueError("weights and bias are of two precisions")
    if not (arrays["feature_scale"] > 0).all():
        raise ValueError("feature_scale has a number that is not above 0")


_ARRAYS = {"weights", "bias", "feature_mean", "feature_scale"}


def _arrays(path: Path, sha256: Any) -> dict[str, Array]:
    data = _read(path, memory_limit() // 2)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise RunFolderError(
            f"{show_path(path)}: its bytes are not those {FIELDS} was written with (sha256); copy"
            " both files from the run again"
        )
    try:
        arrays = arrays_of(data)
        if missing := _ARRAYS - arrays.keys():
            raise ValueError(f"it has no {min(missing)}")
    except ValueError as error:
        raise _damaged(path, error) from None
    return arrays


def _read(path: Path, most: int) -> bytes:
    try:
        return read_regular(path, most)
    except OSError as error:
        gone = isinstance(error, FileNotFoundError)
        why = "no such file" if gone else error.strerror
        right = "a folder with the model of a finished run is right"
        raise RunFolderError(
            f"{show_path(path)}: {why}; {(gone and _of_its_run(path.parent)) or right}"
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


def _records() -> Any:
    """The module that checks JSON, which imports pydantic: a model that is trained needs it not."""
    from trainer.catalog import records

    return records


def _of_its_run(folder: Path) -> str:
    """Why the run of a folder has left no model there, and what would; empty if nobody can say."""
    records = _records()
    try:
        data = read_regular(folder / MANIFEST, _LARGEST_MANIFEST)
        manifest = records.read_record(records.ManifestRecord, data)
    except (OSError, ValueError):
        return ""
    if elsewhere := manifest.get("elsewhere"):
        return f"what this folder refused of its run is in {show_path(elsewhere)}"
    again = f"`{PROGRAM} run --resume {quoted(str(folder))}` goes on with it"
    status = manifest["status"]
    if status == "running":
        return f"its run has not ended; if its process has, {again}"
    if status in ("interrupted", "failed"):
        return f"its run was cut short ({status}); {again}"
    return ""
