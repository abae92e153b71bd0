"""The listener of a sweep that nobody hears of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.machine.interrupted import ShouldStop

if TYPE_CHECKING:
    from trainer.sweep.scheduler import Scheduler


class Unheard:
    """Listener of a sweep whose columns enter no log."""

    def __init__(self, should_stop: ShouldStop) -> None:
        self._should_stop = should_stop

    def on_stretch(self, *_: object) -> None:
        """Drop it."""

    def on_evaluation(self, *_: object) -> None:
        """Drop it."""

    def on_shortage(self, told: str) -> None:
        """Drop it."""

    def on_round(self, scheduler: Scheduler) -> None:
        """Drop it."""

    def should_stop(self) -> bool:
        """Whether to end after the step that is running."""
        return bool(self._should_stop())
