"""The exceptions of the package.

    TrainerError              everything the package raises on purpose
    ├── UserError             the user's input is wrong: exit code 2, one line a fault, no traceback
    │   ├── SpecError         the YAML file or an override: all faults at once
    │   ├── DataError         a data file, its columns, its values or its labels
    │   ├── DeviceError       `device: gpu` where no GPU can be used; a device that is full
    │   └── RunFolderError    an output folder that is taken, a run folder that cannot be read
    └── DiskError             the disk is full or read-only: exit code 1

Numerical outcomes (a column that diverges, stops early, is interrupted) are values, not exceptions:
see `trainer.train.outcomes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class TrainerError(Exception):
    """Everything the package raises on purpose; `exit_code` is what a command ends with."""

    exit_code = 1


class UserError(TrainerError):
    """The user's input is wrong. The message says where, what is wrong and what would be right."""

    exit_code = 2


class DataError(UserError):
    """A data file, its columns, its values or its labels are wrong; the message names the file."""


class ColumnError(DataError):
    """Columns that cannot be features as they are; a line each, and one that says the cure."""


class DeviceError(UserError):
    """A GPU was asked for and cannot be used, or a device is full; the message says why."""


class RunFolderError(UserError):
    """An output folder that is a file or not empty, or a run folder that cannot be read."""


class DiskError(TrainerError):
    """The disk refused a write (full, read-only, gone); the message names the file."""


@dataclass(frozen=True, order=True)
class Fault:
    """One fault of a spec, printed as `file:line:column: key: what is wrong; what would be right`.

    `line` and `column` count from 1. Without a file (a spec given as a dict) only the key is
    printed; the faults of an override name the override in place of a position.
    """

    file: str
    line: int
    column: int
    key: str
    what: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return ": ".join(part for part in (place, self.key, self.what) if part)


class SpecError(UserError):
    """The spec is wrong. `faults` holds every fault found, in the order of the file."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = sorted(set(faults))
        super().__init__("\n".join(str(fault) for fault in self.faults))
