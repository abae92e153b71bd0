"""Some columns of a stack that waits on the host, as a stack of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.text.saved import Saved

Indices = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


def part_of(saved: Saved, which: Flags) -> Saved:
    """The record of some of the columns, as if they had been trained alone.

    Args:
        saved: of `trainer.train.training.Training.saved`, parked: of K columns.
        which: (K,) of the columns that the stack began with.
    """
    if not saved["begun"]:
        return saved
    columns = saved["columns"]
    inside = np.flatnonzero(which[columns])  # places in the stack
    number = np.cumsum(which) - 1  # of each column among the part's
    gone = np.ones(len(which), bool)
    gone[columns] = not saved["state"]["arrays"]
    found = saved | {
        "columns": number[columns[inside]],
        "state": _state(saved["state"], inside),
        "best": _picked(saved["best"], inside),
        "latest": _taken(saved["latest"], which),
        "evaluated": saved["evaluated"][which],
        "unseen": saved["unseen"][which],
        "result": _result(saved["result"], which, gone),
    }
    if "recent" in saved:
        found["recent"] = saved["recent"][:, inside]
    if "parts" in saved:
        found["parts"] = _records(saved["parts"], inside)
    if "unread" in saved:
        found["unread"] = _stretch(saved["unread"], inside, found["columns"])
    return found


def _picked(arrays: Saved, inside: Indices) -> Saved:
    """Arrays (…, K) by name, of some of the columns."""
    return {name: np.take(array, inside, axis=-1) for name, array in arrays.items()}


def _state(whole: Saved, inside: Indices) -> Saved:
    """The state of some of the columns, by their places in the stack."""
    names = "arrays", "progress"
    return whole | {"live": whole["live"][inside]} | {n: _picked(whole[n], inside) for n in names}


def _stretch(whole: Saved, inside: Indices, columns: Indices) -> Saved:
    """What a stack did, of some of the columns: their places in the stack, and their numbers."""
    snapshots = {
        number: {n: a if n in ("step", "rows") else a[..., inside] for n, a in one.items()}
        for number, one in whole["snapshots"].items()
    }
    return {
        "columns": columns,
        "records": _records(whole["records"], inside),
        "counts": whole["counts"][:, inside],
        "snapshots": snapshots,
    }


def _records(whole: Saved, inside: Indices) -> Saved:
    """What was logged of some of the columns, by their places in the stack."""
    found = whole | {"values": {name: one[:, inside] for name, one in whole["values"].items()}}
    return found | ({"takes": whole["takes"][:, inside]} if "takes" in whole else {})


def _result(whole: Saved, which: Flags, gone: Flags) -> Saved:
    """What came of some of the columns; the record has weights of those that are `gone` alone."""
    own = {"weights": which[gone], "bias": which[gone]}
    return {name: _taken(value, own.get(name, which)) for name, value in whole.items()}


def _taken(value: Any, which: Flags) -> Any:
    """Columns of what a result holds: arrays (…, K), lists (K,), by name or not."""
    if isinstance(value, dict):
        return {name: one[..., which] for name, one in value.items()}
    if isinstance(value, list):
        return [one for one, wanted in zip(value, which, strict=True) if wanted]
    return value[..., which]
