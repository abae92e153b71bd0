"""rows.parquet: which rows are train, val, test or unused, and what each repeat does with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainer.data.splits.holdout import hold_out, usable
from trainer.runs.names import ROWS
from trainer.sweep.inner import FINAL
from trainer.sweep.left_out import is_left_out
from trainer.text import arrow
from trainer.text.numbers import counted

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec
    from trainer.console.terminal import Terminal
    from trainer.data.frame import Frame
    from trainer.data.splits.row_split import RowSplit
    from trainer.runs.writer import RunWriter
    from trainer.sweep.columns import Family
    from trainer.sweep.sweep import SweepRun

MOST_CELLS = 100_000_000  # rows times repeats that are written: about 40 MB of folds
_SPLITS = ("train", "val", "test", "unused", "train+val")
_TRAIN, _VAL, _TEST, _UNUSED, _BOTH = range(5)


def write_rows(folder: RunWriter, sweep: SweepRun, terminal: Terminal) -> None:
    """Write what each repeat does with each row."""
    table, whole = rows_table(sweep)
    if not whole:
        terminal.line(
            f"{ROWS} has each row's split alone: {counted(table.num_rows, 'row')} x"
            f" {counted(sweep.repeats, 'repeat')} are more than {MOST_CELLS:,}; the same config"
            " draws them again"
        )
    with folder.spared(ROWS):
        folder.write_rows(table)


def rows_table(sweep: SweepRun) -> tuple[pa.Table, bool]:
    """The table, and whether it has all repeats: those of too many rows are left out.

    Columns: `trial`, the first one on these rows, which others may share; `source`, `train` or the
    name of a split that has a source of its own; `row` of it, from 0; `split`; and for each repeat
    `repeat_0` … train, val or unused, or train+val where each row is left out in turn; of inner
    folds `repeat_0_inner_0` … and those of all training rows `inner_0` … the same, or of resamples
    `drawn_0` … how often a row was drawn: 0 is val, null unused. Where targets that are problems of
    their own have draws of their own, these are left out; else a row is as it is for those whose
    label it has.
    """
    families = sweep.layout.families
    repeated = sweep.spec.repeat is not None
    rows = [_rows_of(sweep, family) for family in families]
    columns = sweep.repeats + len(sweep.layout.inner)
    whole = sum(rows) * (columns if repeated else 1) <= MOST_CELLS
    kept = 1 + int(np.searchsorted(np.cumsum(rows), MOST_CELLS)) if families else 0
    alike = all(rows.split is not None for family in families for rows in family.repeats)
    parts = [_family_table(sweep, one, repeated and whole and alike) for one in families[:kept]]
    return pa.concat_tables(parts), whole


def row_cells(sweep: SweepRun) -> int:
    """About how many cells the table has."""
    rows = sum(_rows_of(sweep, family) for family in sweep.layout.families)
    columns = sweep.repeats + len(sweep.layout.inner)
    return min(rows * (3 + columns * (sweep.spec.repeat is not None)), 2 * MOST_CELLS)


def _frames(sweep: SweepRun, spec: Spec) -> dict[str, Frame]:
    source = sweep.sources.of(spec)
    return {"train": source.frame, **source.held}


def _rows_of(sweep: SweepRun, family: Family) -> int:
    frames = _frames(sweep, sweep.trials[family.trial].spec)
    return sum(frame.rows for frame in frames.values())


def _family_table(sweep: SweepRun, family: Family, with_repeats: bool) -> pa.Table:
    spec = sweep.trials[family.trial].spec
    frames = _frames(sweep, spec)
    source = sweep.sources.of(spec)
    holdout = hold_out(source, spec)
    sizes = [frame.rows for frame in frames.values()]
    starts = dict(zip(frames, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
    split = np.full(sum(sizes), _UNUSED, np.int8)
    for code, rows in ((_TRAIN, holdout.train), (_VAL, holdout.val), (_TEST, holdout.test)):
        split[rows] = code
    for name, frame in source.held.items():
        rows = starts[name] + usable(source, frame, spec.data.missing, spec.targets)
        split[rows] = _VAL if name == "val" else _TEST
    columns: dict[str, Any] = {
        "trial": arrow.column(np.full(len(split), sweep.trials[family.trial].number, np.int32)),
        "source": _words(list(frames), np.repeat(np.arange(len(frames), dtype=np.int8), sizes)),
        "row": arrow.column(np.concatenate([np.arange(size) for size in sizes])),
        "split": _words(_SPLITS, split),
    }
    inner = sweep.layout.inner
    for number, rows_of in enumerate(family.repeats if with_repeats else ()):
        assert rows_of.split is not None
        train = _BOTH if is_left_out(sweep) else _TRAIN
        name, values = _repeat(rows_of.split(), split, starts.get("val"), holdout.val, train)
        columns[f"{name}_{number}"] = values
    for one, rows_of in zip(inner.values(), family.inner if with_repeats else (), strict=False):
        assert rows_of.split is not None
        part = rows_of.split()
        within = np.full(len(split), _UNUSED, np.int8)
        within[part.train] = _TRAIN
        assert part.val is not None
        within[part.val] = _VAL
        of = "" if one.repeat == FINAL else f"repeat_{one.repeat}_"
        columns[f"{of}inner_{one.fold}"] = _words(_SPLITS, within)
    return pa.table(columns)


def _repeat(
    part: RowSplit,
    split: npt.NDArray[np.int8],
    val: int | None,
    of_train: npt.NDArray[np.int64],
    train: int,
) -> tuple[str, pa.Array]:
    """What a repeat does with each row: the column's kind, and its values.

    Args:
        part: its rows.
        split: (N,) of all rows.
        val: where the rows of val's own source begin, if it has one.
        of_train: the rows of val that the training source has.
        train: the code of its training rows.
    """
    held = of_train if part.val is None else part.val
    if part.counts is not None:
        drawn = np.zeros(len(split), np.uint16)
        drawn[part.train] = part.counts
        unused = np.ones(len(split), bool)
        unused[part.train] = unused[held] = False
        return "drawn", arrow.masked(drawn, ~unused)
    found = np.full(len(split), _UNUSED, np.int8)
    found[held] = _VAL
    found[part.train] = train
    if val is not None:  # all of its rows, or those that the repeat has drawn
        own = np.flatnonzero(split[val:] == _VAL) if part.drawn is None else part.drawn
        found[val + own] = _VAL
    return "repeat", _words(_SPLITS, found)


def _words(words: Sequence[str], codes: npt.NDArray[np.int8]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(arrow.column(codes), arrow.text(list(words)))
