"""How far a sweep is: a bar for all of it, what became of its trials, and the best so far."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live

    from trainer.console.terminal import Terminal

Counts = Callable[[], Mapping[str, int]]
Top = Callable[[], Sequence[tuple[str, float, float | None]]]  # settings, mean, deviation

_REDRAW_EVERY = 0.1  # seconds
_LINE_GAP, _LINE_EVERY = 2.0, 30.0  # seconds between two lines, at least and at most
_WORDS = ("alive", "finished", "early_stopped", "halved", "diverged", "interrupted")
_BAR = 40  # columns at most


class SweepProgress:
    """The live view of a sweep on a terminal, and a line now and then for the log.

    `update` may be called at every round: it draws at most ten times a second.
    """

    def __init__(self, terminal: Terminal, total: float, metric: str) -> None:
        now = time.monotonic()
        self.live: Live | None = None
        self._terminal, self._total, self._metric = terminal, max(total, 1e-9), metric
        self._started, self._now, self._done = now, now, 0.0
        self._counts: Mapping[str, int] = {}
        self._top: Sequence[tuple[str, float, float | None]] = ()
        self._next_draw, self._last_line, self._next_tenth = now + _REDRAW_EVERY, now, 0.1

    def update(self, done: Callable[[], float], counts: Counts, top: Top) -> None:
        """Tell how far it is; what is told is asked for only when it is shown.

        Args:
            done: of the total.
            counts: trials by what became of them; "alive" is one of the words.
            top: the best so far.
        """
        now = time.monotonic()
        since = now - self._last_line
        draws = self.live is not None and now >= self._next_draw
        if not draws and since < _LINE_GAP:
            return
        self._now, self._done = now, done()
        lines = since >= _LINE_EVERY or (since >= _LINE_GAP and self._fraction >= self._next_tenth)
        if draws or lines:
            self._counts, self._top = counts(), top()
        if draws and self.live is not None:
            self.live.refresh()
            self._next_draw = time.monotonic() + _REDRAW_EVERY
        if lines:
            self._line()

    @property
    def _fraction(self) -> float:
        return min(self._done / self._total, 1.0)

    def _line(self) -> None:
        best = f"  best {self._value(0)}: {self._top[0][0]}" if self._top else ""
        text = f"{self._percent()}  {self._told()}  {self._left()} left{best}"
        if self.live is None:
            self._terminal.line(text)
        else:  # the view shows it already
            self._terminal.log(text)
        self._last_line = self._now
        self._next_tenth = int(self._fraction * 10 + 1) / 10

    def _percent(self) -> str:
        return f"{int(100 * self._fraction):3d}%"

    def _told(self) -> str:
        known = [(word.replace("_", " "), self._counts.get(word, 0)) for word in _WORDS]
        return ", ".join(f"{n:,} {word}" for word, n in known if n or word == "alive")

    def _value(self, i: int) -> str:
        _, mean, deviation = self._top[i]
        known = deviation is not None and math.isfinite(deviation)
        return f"{mean:.4g}" + (f" ± {deviation:.2g}" if known else "")

    def _left(self) -> str:
        if self._fraction <= 0:
            return "-:--"
        seconds = round((self._now - self._started) * (1 / self._fraction - 1))
        minutes, seconds = divmod(max(seconds, 0), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        after = f"  {self._percent()}  {self._left()} left"
        width = min(max(options.max_width - len(after), 4), _BAR)
        full, empty = "#-" if options.ascii_only else "━─"
        done = round(width * self._fraction)
        bar = ((full * done, "bold green"), (empty * (width - done), "dim"))
        yield Text.assemble(*bar, after, no_wrap=True, overflow="ellipsis")
        yield Text(self._told(), overflow="fold")
        values = [self._value(i) for i in range(len(self._top))]
        column = max([len(self._metric), *map(len, values)])
        if values:
            yield Text(f"{self._metric:>{column}}  best so far", style="dim", no_wrap=True)
        for value, (settings, *_) in zip(values, self._top, strict=True):
            yield Text(f"{value:>{column}}  {settings}", no_wrap=True, overflow="ellipsis")
