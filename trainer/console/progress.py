"""Progress of a run: the bar of one training, the live view of a sweep, and lines for the log."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live

Counts = Callable[[], Mapping[str, int]]
Top = Callable[[], Sequence[tuple[str, float, float | None]]]  # settings, mean, deviation

_REDRAW_EVERY = 0.1  # seconds
_LINE_GAP, _LINE_EVERY = 2.0, 30.0  # seconds between two lines, at least and at most
_WORDS = ("alive", "finished", "early_stopped", "halved", "diverged", "interrupted")
_BAR = 40  # columns at most
_BAR_LEAST, _BAR_MOST = 10, 40  # columns


class Lines(Protocol):
    """What takes lines of progress: a `Terminal`."""

    def line(self, text: str) -> None:
        """Show and log."""

    def log(self, text: str) -> None:
        """Log alone."""


class SweepProgress:
    """The live view of a sweep on a terminal, and a line now and then for the log.

    `update` may be called at every round: it draws at most ten times a second.
    """

    def __init__(self, terminal: Lines, total: float, metric: str, goes_on: bool = False) -> None:
        """Begin; with `goes_on` what is done at the first update was done by another process."""
        now = time.monotonic()
        self.live: Live | None = None
        self._terminal, self._total, self._metric = terminal, max(total, 1e-9), metric
        self._started, self._now, self._done = now, now, 0.0
        self._before = None if goes_on else 0.0  # what was done when this process began
        self._counts: Mapping[str, int] = {}
        self._top: Sequence[tuple[str, float, float | None]] = ()
        self._next_draw, self._last_line, self._next_tenth = now + _REDRAW_EVERY, now, 0.1

    def update(self, done: Callable[[], float], counts: Counts, top: Top) -> None:
        """Draw the view or write a line, where one is due; the callables are called only then.

        Args:
            done: how much of the total is done.
            counts: trials by status; those still training are "alive".
            top: the best so far.
        """
        now = time.monotonic()
        if self._before is None:
            self._before, self._started = done(), now
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
        gained = self._done - (self._before or 0.0)
        if gained <= 0:
            return "-:--"
        left = max(self._total - self._done, 0.0)
        seconds = round((self._now - self._started) * left / gained)
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


class Progress:
    """The progress of one training: a bar on a terminal, and a line now and then for the log.

    `update` may be called at every step: it draws at most ten times a second.
    """

    def __init__(
        self,
        terminal: Lines,
        total_steps: int,
        total_epochs: int | None,
        unit: str = "epoch",
        goes_on: bool = False,
    ) -> None:
        """Begin; with `goes_on` what is done at the first update was done by another process."""
        now = time.monotonic()
        self.live: Live | None = None
        self._terminal = terminal
        before = None if goes_on else 0.0
        self._at = _Standing(max(total_steps, 1), total_epochs, now, before, unit=unit)
        self._next_draw = now + _REDRAW_EVERY
        self._last_line = now
        self._next_tenth = 0.1  # how far a training is when the next line is due

    def update(
        self,
        step: int,
        epoch: int,
        loss: float | None = None,
        metric_name: str | None = None,
        metric: float | None = None,
        done: float | None = None,
    ) -> None:
        """Take the last step done and its values; draw or write a line where one is due.

        Args:
            step: steps done.
            epoch: the epoch of that step, from 1.
            loss: of the batch.
            metric_name: the validation metric to show.
            metric: its last value; None keeps the one before.
            done: how far the training is, from 0 to 1; None: as its steps say.
        """
        at, now = self._at, time.monotonic()
        at.step, at.epoch, at.now, at.loss = step, epoch, now, loss
        at.done = max(at.done, step / at.total if done is None else done)  # a bar never shrinks
        if at.before is None:
            at.before, at.started = at.fraction(), now
        if metric is not None:
            at.metric_name, at.metric = metric_name or "metric", metric
        if self.live is not None and now >= self._next_draw:
            self.live.refresh()
            self._next_draw = time.monotonic() + _REDRAW_EVERY
        since = now - self._last_line
        if since >= _LINE_EVERY or (since >= _LINE_GAP and at.fraction() >= self._next_tenth):
            self._line(now)

    def _line(self, now: float) -> None:
        at = self._at
        steps = [f"step {at.step}"] if at.unit == "epoch" else []  # else they are what it counts
        text = "  ".join([at.percent(), *steps, *at.parts()])
        if self.live is None:
            self._terminal.line(text)
        else:  # the bar shows it already
            self._terminal.log(text)
        self._last_line = now
        self._next_tenth = int(self._at.fraction() * 10 + 1) / 10

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        at, width = self._at, options.max_width
        epoch, *values, left = at.parts()
        line = "  ".join([at.percent(), *values])
        bar = width - len("  ".join(["", epoch, line, left]))
        if bar >= _BAR_LEAST:  # all in one line
            before, after = f"{epoch}  ", f"  {line}  {left}"
        else:  # too narrow: the numbers under the bar, in one line or several
            numbers = "  ".join(values)
            below = [numbers] if len(numbers) <= width else values
            before, after = "", "\n".join([f"  {at.percent()}  {left}", *below])
            bar = width - len(f"  {at.percent()}  {left}")
        done, rest = _bar(min(bar, _BAR_MOST), at.fraction(), options.ascii_only)
        bar_text = ((done, "bold green"), (rest, "dim"))
        yield Text.assemble(before, *bar_text, after, no_wrap=True, overflow="ellipsis")


@dataclass
class _Standing:
    """The progress of one training in numbers and words."""

    total: int
    epochs: int | None
    started: float
    before: float | None  # how far it was when this process began
    now: float = 0.0
    step: int = 0
    epoch: int = 0
    loss: float | None = None
    metric_name: str = ""
    metric: float | None = None
    done: float = 0.0
    unit: str = "epoch"

    def fraction(self) -> float:
        return min(self.done, 1.0)

    def percent(self) -> str:
        return f"{int(100 * self.fraction()):3d}%"

    def parts(self) -> list[str]:
        """Name the epoch, the loss, the metric and the time left, each where it is known."""
        of = f"/{self.epochs}" if self.epochs else ""
        parts = [f"{self.unit} {self.epoch:{len(of[1:])}d}{of}"]
        if self.loss is not None:
            parts.append(f"loss {_number(self.loss)}")
        if self.metric is not None:
            parts.append(f"{self.metric_name} {_number(self.metric)}")
        parts.append(f"{self._left()} left")
        return parts

    def _left(self) -> str:
        done = self.fraction()
        gained = done - (self.before or 0.0)
        if gained <= 0:
            return "-:--"
        seconds = round((self.now - self.started) * (1 - done) / gained)
        minutes, seconds = divmod(max(seconds, 0), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def _number(value: float) -> str:
    """Four significant digits, of steady width."""
    return f"{value:#.4g}".rstrip(".")


def _bar(width: int, fraction: float, ascii_only: bool) -> tuple[str, str]:
    """The done and the remaining part of a bar, which differ without colour too."""
    done = round(width * fraction)
    full, empty = "#-" if ascii_only else "━─"
    return full * done, empty * (width - done)
