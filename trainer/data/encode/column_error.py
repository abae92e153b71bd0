"""Columns that cannot be features as they are: all told at once, with one cure that can be pasted.

One after another they would be as many runs as there are columns of names and ids in a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trainer.config.yaml.write import flow_keys
from trainer.data.column_faults import ColumnFault, FeatureChoice
from trainer.errors import ColumnError
from trainer.text.names import cut_apart
from trainer.text.printable import SHOWN


def column_error(
    where: str, place: Callable[[int], str], choice: FeatureChoice, faults: Sequence[ColumnFault]
) -> ColumnError:
    """One error of all faults.

    Args:
        where: what messages call the source.
        place: how they call a row.
        choice: what the source says of its features.
        faults: at least one.
    """
    lines = []
    shown = cut_apart([fault.name for fault in faults], SHOWN)
    for fault, name in zip(faults, shown, strict=True):
        row = "" if fault.row is None else f"{place(fault.row)}, "
        lines.append(f"{where}: {row}column {name!r}: {fault.what}")
    if len(faults) == 1:
        return ColumnError(f"{lines[0]}; {_cure(choice, faults[0])}")
    return ColumnError("\n".join([*lines, f"{where}: {_joint_cure(choice, faults)}"]))


def _cure(choice: FeatureChoice, fault: ColumnFault) -> str:
    clauses = []
    if not choice.has_keys:
        clauses.append("leave it out of the table")
    elif fault.keys:
        clauses.append(f"`{flow_keys(fault.keys)}` reads it")
    else:
        clauses.append(f"`{flow_keys(_without(choice, [fault.name]))}` leaves it out")
    if fault.other:
        clauses.append(fault.other)
    if fault.is_category and not choice.has_keys:
        clauses.append("make it a category")
    elif fault.is_category:
        taken = {"categorical": [*choice.categorical, fault.name]}
        clauses.append(f"`{flow_keys(taken)}` takes it as it is")
    return ", or ".join(clauses)


def _joint_cure(choice: FeatureChoice, faults: Sequence[ColumnFault]) -> str:
    names = [fault.name for fault in faults]
    told = f"{len(names)} columns cannot be features as they are"
    if not choice.has_keys:
        shown = ", ".join(map(repr, cut_apart(names, SHOWN)))
        return f"{told}; convert them, or leave them out of the table ({shown})"
    keys: dict[str, Any] = {}
    left_out = []
    for fault in faults:
        joined = _joined(keys, fault.keys)
        if joined is None:
            left_out.append(fault.name)
        else:
            keys = joined
    if left_out:
        keys |= _without(choice, left_out)
    cure = f"`{flow_keys(keys)}` in the source is right for all"
    taken = [fault.name for fault in faults if fault.is_category]
    if taken:
        shown = ", ".join(map(repr, cut_apart(taken, SHOWN)))
        cure += f", `categorical` for what is a category ({shown})"
    return f"{told}; {cure}"


def _joined(keys: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any] | None:
    """Keys that read two columns; None where there are none, or they would not go together."""
    words = list(dict.fromkeys([*keys.get("na_values", ()), *more.get("na_values", ())]))
    joined = {**keys, **more, **({"na_values": words} if words else {})}
    clash = any(
        keys[key] != more[key] for key in ("thousands", "decimal") if key in keys and key in more
    )
    same = joined.get("thousands") == joined.get("decimal", ".")
    return None if clash or same or not more else joined


def _without(choice: FeatureChoice, names: Sequence[str]) -> dict[str, Any]:
    """The keys of the source that leave columns out, with what they say already."""
    if choice.columns is not None:
        return {"columns": [name for name in choice.columns if name not in names]}
    return {"drop": list(dict.fromkeys([*choice.drop, *names]))}
