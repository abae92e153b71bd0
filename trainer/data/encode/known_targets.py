"""The rows of a file to be predicted whose targets a model can be scored on, and why others not.

Such a file may have the target's column without its values: `?`, 0 or −1 in every row, labels that
the training source did not have. Predictions need none of them; only scores do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.catalog import MODELS
from trainer.data.encode.label_pairs import LabelPairs
from trainer.data.encode.targets import Target, missing_targets, tolerance
from trainer.data.frame import Frame, Labels
from trainer.data.rows import Array, FloatArray, IntArray
from trainer.text.labels import label_positions, label_text
from trainer.text.numbers import counted
from trainer.text.printable import quote

_SHOWN = 3  # labels
_PLACEHOLDERS = (0, -1)


class KnownTargets(NamedTuple):
    """What `known_targets` returns."""

    rows: IntArray
    """(n,) of the frame, ascending."""
    y: Array
    """Theirs, as `Target.encode` gives them, float64."""
    remarks: tuple[str, ...]
    """Why the others are left out, as clauses."""


def known_targets(target: Target, frame: Frame) -> KnownTargets:
    """The rows that have a target which the model can be scored on, and a weight if any has.

    Args:
        target: of the model.
        frame: what was read; its target may be missing in any row, or altogether.
    """
    none = KnownTargets(np.arange(0), np.empty((0, len(target.outputs))), ())
    if frame.target is None:
        return none
    mismatch = _mismatch(target, frame)
    if mismatch:
        return none._replace(remarks=(f"{frame.target_where}: {mismatch}",))
    if target.separate:
        return _known_separate(target, frame)
    left_out = missing_targets(frame)
    remarks = _told(left_out, "no target" if _is_labels(frame) else "no number as its target")
    wrong, what = _unknown_labels(target, frame) if _is_labels(frame) else _odd(target, frame)
    wrong &= ~left_out
    remarks += _told(wrong, what)
    left_out |= wrong
    if frame.weight is not None:
        weight = np.asarray(frame.weight, dtype=np.float64)
        unweighted = ~(np.isfinite(weight) & (weight >= 0)) & ~left_out
        remarks += _told(unweighted, "no weight")
        left_out |= unweighted
    rows = np.flatnonzero(~left_out)
    stands_for_none = _placeholder(frame, rows)
    if stands_for_none:
        return none._replace(remarks=(*remarks, stands_for_none))
    if frame.weight is not None and len(rows) and not np.any(frame.weight[rows]):
        return none._replace(remarks=(*remarks, "every weight is 0"))
    return KnownTargets(rows, target.encode(frame, rows, np.dtype(np.float64)), remarks)


def _known_separate(target: Target, frame: Frame) -> KnownTargets:
    """The rows that have a label of any of several targets that are problems of their own.

    y is NaN where a label is missing, or is none that the target can have.
    """
    left_out = np.zeros(frame.rows, bool)
    if target.pairs is None:
        assert isinstance(frame.target, np.ndarray)
        y: FloatArray = frame.target.astype(np.float64)
        lowest = MODELS[target.model].lowest
        odd = np.isinf(y) | (False if lowest is None else y < lowest)
        y[odd] = np.nan
        y = (y - target.mean) / target.scale
    else:
        y = LabelPairs(target.pairs, {}).encode(frame, strict=False)
    if frame.weight is not None:
        weight = np.asarray(frame.weight, dtype=np.float64)
        left_out = ~(np.isfinite(weight) & (weight >= 0))
    rows = np.flatnonzero(~left_out & ~np.isnan(y).all(axis=1))
    none = () if len(rows) else ("no row has a target",)
    return KnownTargets(rows, y[rows], none)


def _is_labels(frame: Frame) -> bool:
    return isinstance(frame.target, Labels)


def _mismatch(target: Target, frame: Frame) -> str:
    """How the target differs in kind from that of training; empty where it does not."""
    if target.separate:
        found = frame.target.shape[1] if isinstance(frame.target, np.ndarray) else 1
        if _is_labels(frame) and target.pairs is None:
            return "its target is of another kind than in training"
        trained = len(target.outputs)
        return "" if found == trained else f"has {found} target columns, training had {trained}"
    if (target.kind == "labels") != _is_labels(frame):
        return "its target is of another kind than in training"
    if frame.target is None or isinstance(frame.target, Labels):
        return ""
    found, trained = frame.target.shape[1], len(target.outputs)
    return "" if found == trained else f"has {found} target columns, training had {trained}"


def _told(rows: NDArray[np.bool_], what: str) -> tuple[str, ...]:
    n = int(rows.sum())
    if not n:
        return ()
    if n == len(rows):
        is_none = what.startswith("no ")
        return (f"no row has a {what[3:]}" if is_none else f"every row has {what}",)
    return (f"{counted(n, 'row')} {'has' if n == 1 else 'have'} {what}",)


def _unknown_labels(target: Target, frame: Frame) -> tuple[NDArray[np.bool_], str]:
    """(N,): where a row has a label that is no class; and a clause with some of them."""
    assert target.classes is not None
    assert isinstance(frame.target, Labels)
    position = label_positions(target.classes)
    texts = [label_text(value) for value in frame.target.values]
    unknown = [text for text in texts if text not in position]
    codes = [i for i, text in enumerate(texts) if text not in position]
    rows = np.isin(frame.target.codes, codes)
    return rows, f"a label that training did not have ({_listed(unknown)})"


def _listed(texts: Sequence[str]) -> str:
    shown = ", ".join(map(quote, texts[:_SHOWN]))
    return f"{shown}, …" if len(texts) > _SHOWN else shown


def _odd(target: Target, frame: Frame) -> tuple[NDArray[np.bool_], str]:
    """(N,): where a row has numbers that no target of the model can be; and a clause."""
    assert isinstance(frame.target, np.ndarray)
    facts, values = MODELS[target.model], frame.target.astype(np.float64)
    odd = np.asarray(np.isinf(values).any(axis=1))
    if facts.lowest is not None:
        odd |= (values < facts.lowest).any(axis=1)
    if target.kind == "multilabel":
        odd |= ((values != 0) & (values != 1)).any(axis=1)
    if target.kind == "distribution":
        with np.errstate(invalid="ignore"):  # of infinite ones
            off = np.abs(values.sum(axis=1) - 1)
        odd |= (values < 0).any(axis=1) | (off > tolerance(frame))
    first = values[np.flatnonzero(odd)[0]].tolist() if odd.any() else []
    shown = ", ".join(f"{value:g}" for value in first[:_SHOWN]) + ", …" * (len(first) > _SHOWN)
    return odd, f"a target that the model cannot have ({shown})"


def _placeholder(frame: Frame, rows: IntArray) -> str:
    """A clause where all of several rows have 0 or −1 for a target; empty elsewhere."""
    if len(rows) < 2:
        return ""
    if isinstance(frame.target, Labels):
        texts = {label_text(frame.target.values[code]) for code in set(frame.target.codes[rows])}
        found = next((value for value in _PLACEHOLDERS if texts == {str(value)}), None)
    else:
        assert frame.target is not None
        values = frame.target[rows]
        found = next((value for value in _PLACEHOLDERS if (values == value).all()), None)
    if found is None:
        return ""
    every = "every row" if len(rows) == frame.rows else f"all of the other {len(rows):,} rows"
    has = "has" if len(rows) == frame.rows else "have"
    return f"{every} {has} the target {found}, as if it stood for none"
