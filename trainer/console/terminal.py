"""The terminal of a run: lines, a summary and a progress bar, on standard error.

On a terminal the bar is drawn in place; elsewhere (a file, a pipe, a scheduler's log) there are
plain lines only. Every line goes to run.log as well. Nothing here reads markup: text from the
user's files is shown letter by letter, what cannot be printed as its escape. A stream that breaks
(a closed pipe, a hung-up terminal) falls silent; it never ends a training.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from trainer.console.progress import SweepProgress
from trainer.console.progress import Progress
from trainer.text.printable import Sentence, Verbatim, printable

_NO_BREAK = "\0"  # stands for a space at which no line ends; printable text has none
_LABELS = 13  # columns for labels, so that summaries in a row line up


class Terminal:
    """Lines on standard error and in run.log; `quiet` shows errors only, the log has all lines.

    Args:
        folder_log: takes each line for run.log; without one the lines wait for `attach`.
        quiet: show errors only.
        stream: standard error unless given.

    Attributes:
        log_path: the file of the log, as `attach` was given it.
    """

    def __init__(
        self,
        folder_log: Callable[[str], None] | None = None,
        quiet: bool = False,
        stream: IO[str] | None = None,
    ) -> None:
        self.quiet = quiet
        # without any (sys.stderr is None where there is no console) into thin air
        self._stream = _Unbreakable(stream or sys.stderr or io.StringIO())
        self.log_path: Path | None = None
        self._log = self._own_log = folder_log
        self._unlogged: list[str] = []
        self._in_place = self._stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
        self._console: Console | None = None

    def attach(self, folder_log: Callable[[str], None], log_path: Path | None = None) -> None:
        """Log to `folder_log` from now on, first the lines shown so far.

        Args:
            folder_log: takes each line.
            log_path: where they end up, for messages that refer to it.
        """
        self._log, self.log_path = folder_log, log_path
        for text in self._unlogged:
            folder_log(text)
        self._unlogged = []

    def detach(self) -> None:
        """Log as before `attach`; lines that wait for a log belong to the run before: drop them."""
        self._log, self.log_path = self._own_log, None
        self._unlogged = []

    def line(self, text: str) -> None:
        """Show a line, or several; no line is wrapped, so that a path in it can be copied.

        Raises:
            DiskError: run.log refused.
        """
        shown = printable(text)
        self._show(shown)
        self.log(shown)

    def error(self, text: str) -> None:
        """Show what went wrong, also when quiet; a log that cannot be written raises nothing."""
        shown = printable(text)
        self._write(shown)
        with contextlib.suppress(Exception):
            self.log(shown)

    def summary(self, rows: Iterable[tuple[str, object]]) -> None:
        """Show label and value in two columns.

        On a terminal the words of a value wrap within their column; a `Path`, a `Verbatim` and the
        whole parts of a `Sentence` are never broken.
        """
        pairs = [(printable(label), printable(str(value)), value) for label, value in rows]
        indent = max([_LABELS, *(len(label) + 2 for label, _, _ in pairs)])
        for label, text, value in pairs:
            plain = f"{label:{indent}}{text}"
            width = self._width() - indent
            if not isinstance(value, (Path, Verbatim)) and self._in_place and width > 10:
                whole = value.whole if isinstance(value, Sentence) else ()
                self._show(_hang(label, text, indent, width, whole), dim=len(label))
            else:
                self._show(plain, dim=len(label))
            self.log(plain)

    def log(self, text: str) -> None:
        """Write to run.log alone."""
        if self._log is None:
            self._unlogged.append(text)
        else:
            self._log(text)

    @contextlib.contextmanager
    def progress(
        self,
        total_steps: int,
        total_epochs: int | None = None,
        unit: str = "epoch",
        goes_on: bool = False,
    ) -> Iterator[Progress]:
        """Show how far a training of `total_steps` is, as long as the block lasts.

        `unit` is what it counts, up to `total_epochs` where that is known. With `goes_on` another
        process has taken the first steps.
        """
        progress = Progress(self, total_steps, total_epochs, unit, goes_on)
        if self.quiet or not self._in_place:
            yield progress
            return
        with self._live(progress) as live:
            progress.live = live
            yield progress

    @contextlib.contextmanager
    def sweep_progress(
        self, total: float, metric: str, goes_on: bool = False
    ) -> Iterator[SweepProgress]:
        """Show how far a sweep is, as long as the block lasts.

        Args:
            total: what `done` of `SweepProgress.update` goes up to.
            metric: what trials are ranked by.
            goes_on: whether another process has done some of it.
        """
        from trainer.console.progress import SweepProgress

        progress = SweepProgress(self, total, metric, goes_on)
        if self.quiet or not self._in_place:
            yield progress
            return
        with self._live(progress) as live:
            progress.live = live
            yield progress

    def _live(self, progress: Progress | SweepProgress) -> Live:
        from rich.live import Live

        return Live(
            progress,
            console=self._rich(),
            auto_refresh=False,  # drawn by `update`: no thread beside the training
            transient=True,
            redirect_stdout=False,
        )

    def _show(self, text: str, dim: int = 0) -> None:
        if not self.quiet:
            self._write(text, dim)

    def _write(self, text: str, dim: int = 0) -> None:
        if not self._in_place:
            self._stream.write(text + "\n")
            self._stream.flush()
            return
        from rich.text import Text

        line = Text(text)
        line.stylize("dim", 0, dim)
        self._rich().print(line, soft_wrap=True)

    def _width(self) -> int:
        return self._rich().width if self._in_place else 0

    def _rich(self) -> Console:
        if self._console is None:
            from rich.console import Console

            file: Any = self._stream
            self._console = Console(file=file, force_terminal=True, force_jupyter=False)
        return self._console


class _Unbreakable:
    """A text stream whose reader may be gone: writing to it never raises."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):  # ValueError: it is closed
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                encoded = text.encode(self.encoding, "backslashreplace")
                self._stream.write(encoded.decode(self.encoding))
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def isatty(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return self._stream.isatty()
        return False

    def fileno(self) -> int:
        return self._stream.fileno()


def _hang(label: str, text: str, indent: int, width: int, whole: Iterable[str] = ()) -> str:
    """`text` beside its label, its words wrapped to `width`; no word and no whole part is broken.

    A part may be wider than `width`: then the terminal breaks its row, which copies as one line.
    """
    for part in filter(None, map(printable, whole)):
        text = text.replace(part, part.replace(" ", _NO_BREAK))
    lines = [
        part
        for line in text.split("\n")
        for part in textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
    ]
    return f"{label:{indent}}" + ("\n" + " " * indent).join(lines).replace(_NO_BREAK, " ")
