"""What gives way where memory runs out: stacks side by side first, then the widths of stacks.

A stack that goes alone has the same bits. One in two halves has another width, so that its columns'
results are as they were to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainer.device import first_line
from trainer.text.numbers import counted

if TYPE_CHECKING:
    from trainer.sweep.threads import Threads
    from trainer.train.stretch import Stretch
    from trainer.train.training import Flags, Training


class Shortage(NamedTuple):
    """How stacks give way.

    Attributes:
        is_full: whether an error says that memory ran out.
        halve: cuts the stack of a number in two: one takes its place, the other comes last.
    """

    is_full: Callable[[BaseException], bool]
    halve: Callable[[int], None]


class Try(NamedTuple):
    """A stretch of a stack; None where a stop cut it short, or where memory ran out: its error."""

    stretch: Stretch | None
    full: Exception | None = None


def stretches(
    trainings: Sequence[Training],
    threads: Threads,
    should_stop: Callable[[], object],
    is_full: Callable[[BaseException], bool],
) -> list[Try]:
    """Have each stack on the device and train it for a stretch, side by side.

    Whatever raises, all have ended when this does. A stack whose steps were taken, and lost before
    they were handed over, cannot go on: that raises.
    """
    resumed = [_tried(one, one.resume, is_full) for one in trainings]

    def advance(training: Training, before: Try) -> Try:
        if before.full is not None:
            return before
        return _tried(training, partial(training.advance, should_stop), is_full)

    tasks = [partial(advance, *pair) for pair in zip(trainings, resumed, strict=True)]
    return threads.run(tasks)


def _tried(
    training: Training,
    action: Callable[[], Stretch | None],
    is_full: Callable[[BaseException], bool],
) -> Try:
    step = training.state.step if training.begun else 0
    try:
        return Try(action())
    except (MemoryError, RuntimeError) as error:
        moved = training.begun and training.state.step != step
        if not is_full(error) or (moved and training.unread is None):
            raise
        error.__context__ = None
        # frames of a traceback hold what was made when memory ran out
        return Try(None, error.with_traceback(None))


def halves(training: Training) -> tuple[Flags, Flags] | None:
    """Which of the columns (K,) that a stack began with go into which half.

    Neighbours take about as long, so by turns; None of a stack that has no two columns left. Those
    that have left the stack stay with the first half.
    """
    columns = training.columns
    live = training.live[columns]
    order = np.concatenate([columns[live], columns[~live]])
    if len(order) < 2:
        return None
    second = np.zeros(len(training.live), bool)
    second[order[1::2]] = True
    return ~second, second


def one_at_a_time(error: Exception) -> str:
    """The sentence that says so."""
    return (
        f"memory ran out ({first_line(error)}): stacks go one at a time from here"
        " on, which changes no result"
    )


def fewer_at_once(now: int, before: int) -> str:
    """The sentence that says so where a sweep goes on."""
    return (
        f"less memory is free than before: {counted(now, 'stack')} at once in place of {before}"
        " keep in step, so that rows of the logs come in another order; numbers are the same"
    )


def in_halves(error: Exception, columns: int) -> str:
    """The sentence that says so."""
    return (
        f"memory ran out ({first_line(error)}): a stack of"
        f" {counted(columns, 'column')} goes on in two halves; results are the same to"
        " rounding, as of another width"
    )
