"""What a folder refuses of a run's files: told at once, tried again, put elsewhere at last."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import DiskError
from trainer.text.atomic import REFUSED

Write = Callable[[Path], object]  # of one part of a run, into the folder that it is given
_MOST = 64 << 20  # bytes of refused files that wait, beside what the run holds anyway


@dataclass
class _RefusedPart:
    """A part that was refused: why, and how it is written, here and elsewhere."""

    error: DiskError
    again: Write | None = None
    elsewhere: Write | None = None
    size: int = 0


class Refusals:
    """The parts of a run that its folder refused and has not taken since.

    Attributes:
        tell: takes a warning as a line of text.
        place: the folder that has what the run's own folder refused; None until there is one.
        elsewhere: names of the parts that are there.
    """

    def __init__(self) -> None:
        self.tell: Callable[[str], None] = lambda line: None
        self.place: Path | None = None
        self.elsewhere: set[str] = set()
        self._parts: dict[str, _RefusedPart] = {}  # by name, in the order of their first refusals
        self._told: set[str] = set()
        self._noted: tuple[str, DiskError] | None = None  # the last

    @property
    def first(self) -> DiskError | None:
        """The refusal that came first; None where the folder has all."""
        return next((part.error for part in self._parts.values()), None)

    def first_but(self, *names: str) -> DiskError | None:
        """The first refusal of a part that is none of these; None where the folder has them all."""
        return next((p.error for name, p in self._parts.items() if name not in names), None)

    def note(
        self,
        name: str,
        error: DiskError,
        again: Write | None = None,
        elsewhere: Write | None = None,
        size: int = 0,
    ) -> None:
        """Keep a part that was refused.

        Args:
            name: of the part, a file's as a rule.
            error: the refusal.
            again: writes it into the folder; None where what was refused is lost.
            elsewhere: writes it into another folder; None where it would be of no use there.
            size: bytes that are held for the sake of these two.
        """
        self._noted = name, error
        if size + sum(part.size for part in self._parts.values()) > _MOST:
            again, elsewhere, size = None, None, 0
        before = self._parts.get(name)
        self._parts[name] = _RefusedPart(before.error if before else error, again, elsewhere, size)

    def settle(self, name: str) -> None:
        """Forget a part: the folder has it now."""
        self._parts.pop(name, None)

    def tell_once(self, kind: str, error: DiskError, then: str | None = None) -> None:
        """Say that the folder refused something, the first time that it is of this kind.

        Args:
            kind: of the part.
            error: the refusal; it is noted under `kind`, if no part of it has been noted.
            then: what comes of it; by default whether it is tried again.
        """
        if self._noted is None or self._noted[1] is not error:
            self.note(kind, error)
        assert self._noted is not None
        waits = self._parts[self._noted[0]].again is not None
        # files that wait are all told of in the end: not each of them with the same reason
        known = {kind, str(error).partition(REFUSED)[2]} if waits else {kind}
        if known & self._told:
            return
        self._told |= known
        spared = "it is tried again at the end" if waits else "the run goes on without it"
        self.tell(f"warning: {error}; {then or spared}")

    def retry(self, folder: Path) -> None:
        """Write into the folder what it refused; say what it has taken."""
        taken = []
        for name, part in list(self._parts.items()):
            if part.again is not None:
                with contextlib.suppress(DiskError):
                    part.again(folder)
                    taken.append(name)
                    self.settle(name)
        if taken:
            self.tell(f"written at last: {_listed(taken)}")

    def put_elsewhere(self, folder: Path) -> None:
        """Write into another folder what the folder refuses still, and say in a line where it is.

        That is a new folder where temporary files go; what it refuses goes to one in the current
        folder.
        """
        waiting = {n: part.elsewhere for n, part in self._parts.items() if part.elsewhere}
        if self.place is not None:
            self._move(waiting, self.place, folder)
        for parent in (tempfile.gettempdir(), os.curdir):
            if not waiting:
                return
            with contextlib.suppress(OSError):
                name = os.path.abspath(parent)
                place = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=name))
                if self._move(waiting, place, folder):
                    self.place = self.place or place
                else:
                    shutil.rmtree(place)
        for name in waiting:
            self._parts[name].elsewhere = None
        if waiting:
            names = _listed(list(waiting))
            self.tell(f"warning: {names}: lost, as no other folder takes it either")

    def _move(self, waiting: dict[str, Write], place: Path, folder: Path) -> bool:
        """Write what waits into a place, and say what it has taken; whether that is anything."""
        taken = []
        for name, write in list(waiting.items()):
            with contextlib.suppress(DiskError):
                write(place)
                taken.append(name)
                del waiting[name]
                self._parts[name].elsewhere = None
        self.elsewhere |= set(taken)
        if taken:
            self.tell(f"warning: {_listed(taken)}: refused by {folder}, put into {place}")
        return bool(taken)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:12])
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12:,} more"
