"""Raw columns to the matrix a model sees, and the same again for rows to be predicted.

z = ((x − mean) / scale) · weights + bias, where x has text columns as one 0/1 column a category
and, under `unit`, is brought to length 1 first. Statistics are float64 and of training rows only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.catalog import MODELS, SOURCES
from trainer.data.allocate import allocate
from trainer.data.encode.targets import Target
from trainer.data.frame import Frame, Labels, Like
from trainer.data.rows import Array, FloatArray, Label
from trainer.data.sources.csv_options import CsvOptions
from trainer.errors import DataError
from trainer.text.labels import label_positions, label_text, nfc
from trainer.text.printable import quote

_INDEXED = re.compile(r"x[0-9]{1,18}")  # a column of LIBSVM text


class Encoded(NamedTuple):
    """What `Encoder.transform` returns."""

    X: FloatArray
    """(n, D), C-contiguous; the very rows that Python passed in, where nothing changes them."""
    unseen: dict[str, int]
    """{text column: rows whose category is none of the encoder's}; they encode as zeros."""
    imputed: int
    """Values filled in."""
    largest: float = np.inf
    """No size of a value in X is above it."""


@dataclass(frozen=True)
class Encoder:
    """Everything that turns raw rows into X, and outputs back into the user's words and units."""

    columns: tuple[str, ...]
    """Names of the raw columns, in order."""
    categories: Mapping[str, tuple[str, ...]]
    """{text column: its sorted categories}."""
    unit: bool
    """Whether each row is brought to length 1."""
    mean: NDArray[np.float64]
    """(D,)."""
    scale: NDArray[np.float64]
    """(D,)."""
    impute: tuple[float | str, ...]
    """A value a raw column for cells that are missing; empty where missing is an error."""
    target: Target
    keys: Mapping[str, str]
    """Names to read another file by: `weight` of a table and how its text is written, see
    `trainer.data.sources.csv_options`, `features` and `target` of an .npz;
    `libsvm` where columns are called by an index of LIBSVM text, behind this letter."""

    @cached_property
    def features(self) -> tuple[str, ...]:
        """Names of the D features: a column's own, or `column=category`."""
        return _features(self.columns, self.categories)

    @property
    def classes(self) -> list[Label] | None:
        """Labels as written, of two the positive one second; None for numbers and several a row."""
        return None if self.target.classes is None else list(self.target.classes)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the C outputs."""
        return self.target.outputs

    @property
    def target_mean(self) -> NDArray[np.float64]:
        """(C,)."""
        return self.target.mean

    @property
    def target_scale(self) -> NDArray[np.float64]:
        """(C,)."""
        return self.target.scale

    @property
    def like(self) -> Like:
        """What another source must hold."""
        text = frozenset(map(nfc, self.categories))
        return Like(tuple(map(nfc, self.columns)), text, is_indexed(self.keys), strict=False)

    def transform(self, frame: Frame, dtype: np.dtype[Any], rows: Array | None = None) -> Encoded:
        """Encode and scale rows of a frame whose columns are this encoder's, by chunks.

        Args:
            frame: N rows.
            dtype: float32 or float64.
            rows: (n,) ascending row numbers; all by default.

        Raises:
            DataError: NaN where missing is an error, Inf, a value too large for dtype.
        """
        rows = np.arange(frame.rows) if rows is None else rows
        given = self._unchanged(frame, dtype, rows)
        if given is not None:
            return given
        X = allocate((len(rows), len(self.features)), dtype, frame.where)
        unseen = np.zeros(len(self.columns), dtype=np.int64)
        imputed = 0
        for part, block, filled in self.scaled_blocks(frame, rows, unseen):
            imputed += filled
            with np.errstate(over="ignore"):  # what is too large is told below, with its place
                X[part] = block
            if not np.isfinite(X[part]).all():
                i, d = (int(k) for k in np.argwhere(~np.isfinite(X[part]))[0])
                raise DataError(
                    f"{frame.where}: {frame.place(int(rows[part][i]))}, column"
                    f" {quote(self.features[d])}: the value is too large for {dtype};"
                    + (" `scale: standard`, `precision: float64` or" * (dtype.itemsize < 8))
                    + " other units are right"
                )
        counted = {
            name: int(count) for name, count in zip(self.columns, unseen, strict=True) if count
        }
        return Encoded(X, counted, imputed)

    def _unchanged(self, frame: Frame, dtype: np.dtype[Any], rows: Array) -> Encoded | None:
        """The rows where they are, if encoding changes none of their numbers; else None.

        A file that is mapped to memory may change below a run: its rows are copied.
        """
        X, part = frame.features, take(rows)
        if not (isinstance(X, np.ndarray) and isinstance(part, slice)) or is_mapped(X):
            return None
        plain = X.dtype == dtype and X.flags.c_contiguous and X.flags.aligned
        if not plain or self.unit or self.mean.any() or (self.scale != 1).any():
            return None
        X = X[part]
        if (
            X.dtype == np.float64
        ):  # a sum of squares is half the time; in float32 it may stand still
            with np.errstate(all="ignore"):
                largest = 2 * float(np.sqrt(np.dot(X.reshape(-1), X.reshape(-1))))
            if np.isfinite(largest):
                return Encoded(X, {}, 0, largest)
        finite = all(np.isfinite(X[part]).all() for part in _slices(*X.shape))
        return Encoded(X, {}, 0) if finite else None

    def scaled_blocks(
        self, frame: Frame, rows: Array, unseen: NDArray[np.int64] | None = None
    ) -> Iterator[tuple[slice, NDArray[np.float64], int]]:
        """`blocks` as the model sees them: scaled, or of length 1, and not rounded yet."""
        for part, block, filled in self.blocks(frame, rows, unseen):
            if self.unit:
                _to_length_1(block)
            else:
                with np.errstate(over="ignore"):
                    block -= self.mean
                    block /= self.scale
            yield part, block, filled

    def blocks(
        self, frame: Frame, rows: Array, unseen: NDArray[np.int64] | None = None
    ) -> Iterator[tuple[slice, NDArray[np.float64], int]]:
        """Chunks of rows as (slice of rows, (n, D) float64 before scaling, values filled in)."""
        for part in _slices(len(rows), len(self.features)):
            if isinstance(frame.features, tuple):
                yield (part, *self._columns_block(frame, rows[part], unseen))
            else:
                # A matrix of the other order would be summed in another order: other last bits.
                block = frame.features[take(rows[part])].astype(np.float64, order="C")
                yield part, block, self._settle(frame, rows[part], block, range(block.shape[1]))

    def _columns_block(
        self, frame: Frame, rows: Array, unseen: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.float64], int]:
        assert isinstance(frame.features, tuple)
        block = np.zeros((len(rows), len(self.features)))
        numbers: list[int] = []
        start = 0
        filled = 0
        taken = take(rows)
        for i, (name, column) in enumerate(zip(self.columns, frame.features, strict=True)):
            if isinstance(column, Labels):
                categories = self.categories[name]
                codes = self._category_codes(frame, column, i, rows)
                filled += int((column.codes[taken] < 0).sum())
                known = np.flatnonzero(codes >= 0)
                block[known, start + codes[known]] = 1.0
                if unseen is not None:
                    unseen[i] += len(rows) - len(known)
                start += len(categories)
            else:
                block[:, start] = column[taken]
                numbers.append(start)
                start += 1
        return block, filled + self._settle(frame, rows, block, numbers)

    def _category_codes(
        self, frame: Frame, column: Labels, i: int, rows: Array
    ) -> NDArray[np.int64]:
        """(n,) position among the encoder's categories, −1 for a category it does not have."""
        name = self.columns[i]
        position = label_positions(self.categories[name])
        missing = position[label_text(self.impute[i])] if self.impute else -2
        renumbered = np.array(
            [position.get(label_text(value), -1) for value in column.values] + [missing],
            dtype=np.int64,
        )
        codes = renumbered[column.codes[rows]]
        if not self.impute and (codes == -2).any():
            raise _missing(frame, int(rows[np.flatnonzero(codes == -2)[0]]), name)
        return codes

    def _settle(
        self, frame: Frame, rows: Array, block: NDArray[np.float64], numbers: Sequence[int]
    ) -> int:
        """Fill in or refuse missing numbers, refuse Inf; the number filled in."""
        if np.isfinite(block).all():
            return 0
        if np.isinf(block).any() or not self.impute:
            i, d = (
                int(k)
                for k in np.argwhere(np.isinf(block) | (not self.impute) & np.isnan(block))[0]
            )
            name = self.features[d]
            if np.isinf(block[i, d]):
                raise DataError(
                    f"{frame.where}: {frame.place(int(rows[i]))}, column {quote(name)}: is"
                    " infinite; a finite number is right"
                )
            raise _missing(frame, int(rows[i]), name)
        filled = 0
        values = [value for value in self.impute if not isinstance(value, str)]
        for d, value in zip(numbers, values, strict=True):
            missing = np.isnan(block[:, d])
            block[missing, d] = value
            filled += int(missing.sum())
        return filled

    def to_json(self) -> dict[str, Any]:
        """All but `mean` and `scale`, which are arrays of D; `from_json` takes them back."""
        return {
            "columns": list(self.columns),
            "features": list(self.features),
            "categories": {name: list(values) for name, values in self.categories.items()},
            "unit": self.unit,
            "impute": list(self.impute),
            "target": self.target.kind,
            "target_columns": list(self.target.columns),
            "outputs": list(self.outputs),
            "classes": self.classes,
            "target_mean": self.target_mean.tolist(),
            "target_scale": self.target_scale.tolist(),
            "keys": dict(self.keys),
            **self._of_separate(),
        }

    def _of_separate(self) -> dict[str, Any]:
        """What is written of targets that are problems of their own."""
        target = self.target
        if not target.separate:
            return {}
        pairs = None if target.pairs is None else [list(pair) for pair in target.pairs]
        return {"separate": True, "pairs": pairs}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], model: str, mean: Array, scale: Array) -> Encoder:
        """The encoder that `to_json` wrote.

        Raises:
            ValueError: fields, of the types that they have, that do not go together.
        """
        _check_fields(fields, model)
        classes = fields["classes"]
        target = Target(
            fields["target"],
            model,
            tuple(fields["target_columns"]),
            tuple(fields["outputs"]),
            None if classes is None else tuple(classes),
            np.asarray(fields["target_mean"], dtype=np.float64),
            np.asarray(fields["target_scale"], dtype=np.float64),
            _pairs(fields),
            bool(fields.get("separate", False)),
        )
        return cls(
            tuple(fields["columns"]),
            {name: tuple(values) for name, values in fields["categories"].items()},
            bool(fields["unit"]),
            np.asarray(mean, dtype=np.float64),
            np.asarray(scale, dtype=np.float64),
            tuple(fields["impute"]),
            target,
            dict(fields["keys"]),
        )


def _check_fields(fields: Mapping[str, Any], model: str) -> None:
    """Refuse what `to_json` cannot have written: it would fail later, far from the file."""
    columns, categories, impute = fields["columns"], fields["categories"], fields["impute"]
    outputs, scale = fields["outputs"], fields["target_scale"]
    checks = {
        "target": fields["target"] in MODELS[model].kinds,
        "columns": columns and _distinct(columns),
        "categories": all(n in columns and v and _distinct(v) for n, v in categories.items()),
        "features": tuple(fields["features"]) == _features(columns, categories),
        "impute": not impute or len(impute) == len(columns),
        "outputs": _distinct(outputs),
        "classes": _classes_fit(fields, model),
        "pairs": _pairs_fit(fields),
        "target_mean": len(fields["target_mean"]) == len(outputs),
        "target_scale": len(scale) == len(outputs) and min(scale) > 0,
        "keys": not is_indexed(fields["keys"]) or all(_INDEXED.fullmatch(n) for n in columns),
    }
    for name, holds in checks.items():
        if not holds:
            raise ValueError(f"its {name} do not fit")
    try:
        CsvOptions.from_keys(fields["keys"])  # for its faults
    except RecursionError:
        raise ValueError("its keys do not fit") from None
    for i, name in enumerate(columns):
        text = categories.get(name)
        if impute and (isinstance(impute[i], str) if text is None else impute[i] not in text):
            raise ValueError("its impute do not fit")


def _pairs(fields: Mapping[str, Any]) -> tuple[tuple[Label, Label], ...] | None:
    """The classes of each target, where several are labels and problems of their own."""
    pairs = fields.get("pairs")
    return None if pairs is None else tuple((one, other) for one, other in pairs)


def _pairs_fit(fields: Mapping[str, Any]) -> bool:
    """Whether there are two classes for each output, if any."""
    pairs = fields.get("pairs")
    if pairs is None:
        return True
    whole = fields["target"] == "multilabel" and len(pairs) == len(fields["outputs"])
    return whole and all(_distinct(list(map(label_text, pair))) for pair in pairs)


def _classes_fit(fields: Mapping[str, Any], model: str) -> bool:
    """Whether there are as many classes as the outputs tell apart."""
    classes, outputs = fields["classes"], len(fields["outputs"])
    if fields["target"] in ("numbers", "multilabel"):
        return classes is None
    count = outputs if MODELS[model].output_a_class else 2
    enough = classes is not None and len(classes) == count > 1
    return enough and _distinct([label_text(label) for label in classes])


def _distinct(names: Sequence[Any]) -> bool:
    return len(set(names)) == len(names)


def _features(columns: Sequence[str], categories: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Names of the features that columns become."""
    return tuple(
        name if name not in categories else f"{name}={category}"
        for name in columns
        for category in categories.get(name, ("",))
    )


def is_mapped(X: Array) -> bool:
    """Whether an array is a file's, mapped to memory, or a view of it."""
    base: Any = X
    while isinstance(base, np.ndarray):
        base = base.base
    return not (base is None or isinstance(base, bytes | bytearray))  # whose memory it is then


def is_indexed(keys: Mapping[str, str]) -> bool:
    """Whether the columns of a source with these `Encoder.keys` are called by an index."""
    return any(key in SOURCES and SOURCES[key].indexed for key in keys)


def _slices(total: int, width: int) -> Sequence[slice]:
    """Slices of rows of about 1 MB of float64, which stay in a core's cache between passes."""
    step = max(64, (1 << 17) // max(width, 1))
    return [slice(start, min(start + step, total)) for start in range(0, total, step)]


def _to_length_1(block: NDArray[np.float64]) -> None:
    """Divide each row by its Euclidean length, in place; a row of zeros stays."""
    peak = np.maximum(block.max(axis=1), -block.min(axis=1))[:, None]
    some = peak > 0
    np.divide(block, peak, out=block, where=some)  # first, or a square may overflow
    length = np.sqrt(np.einsum("nd,nd->n", block, block))[:, None]
    np.divide(block, length, out=block, where=some)


def take(rows: Array) -> slice | Array:
    """Ascending rows as a slice where they are consecutive: no gather, no page touched twice."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def _missing(frame: Frame, row: int, name: str) -> DataError:
    return DataError(
        f"{frame.where}: {frame.place(row)}, column {quote(name)}: is missing or NaN; give a value,"
        " or set data.missing to drop or mean"
    )
