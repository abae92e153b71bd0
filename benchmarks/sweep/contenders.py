"""Who is timed: each with its module, its class, whether it loops, and a fit's rough seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.shared.processes import Contender
from benchmarks.sweep.cases import Case
from benchmarks.sweep.work import FLOPS, STEP_SECONDS, Work, looped, stacked


@dataclass(frozen=True)
class Way:
    """One way to carry out a sweep.

    Attributes:
        name: as the table calls it.
        target: "module:Class" of benchmarks.sweep: made with a case and its work, `run()` returns
            the trials' val loss (K,).
        fit_seconds: of one fit, about, for the choice of the part that is run; None for a stack.
        same: whether it takes the same steps as ours.
        least: fits it is at least timed on.
        once: whether it is run once only, for it takes long.
    """

    name: str
    target: str
    fit_seconds: Callable[[Case], float] | None = None
    same: bool = True
    least: int = 1
    once: bool = False

    def work(self, case: Case, K: int, seconds: float) -> Work:
        """What it is timed on."""
        if self.fit_seconds is None:
            return stacked(case, K, seconds, apart=not self.target.startswith("ours"))
        return looped(case, K, seconds, self.fit_seconds(case), self.least)

    def contender(self, work: Work) -> Contender:
        """The contender that carries out some work."""
        target, settings = f"benchmarks.sweep.{self.target}", {"work": work}
        return Contender(
            self.name, target, settings, times=work.times, words=work.words, once=self.once
        )


def _of_steps(start: float, step: float) -> Callable[[Case], float]:
    return lambda case: start + case.fit_steps * (step + case.flop / FLOPS)


def _of_rows(case: Case) -> float:
    a_row = case.outputs * (1e-7 + 1.5e-9 * int(case.X.shape[1]))
    return 0.005 + case.epochs * case.train_rows * a_row / 2  # two processes


WAYS = (
    Way("ours, trained", "ours:Trained"),
    Way("ours, whole run with report", "ours:Whole", once=True),
    Way("ours, single runs in a loop", "ours:Loop", _of_steps(0.02, STEP_SECONDS)),
    Way("JAX vmap+scan", "jaxes:Scan"),
    Way("torch.func.vmap", "torches:Vmap"),
    Way("torch loop", "torches:Loop", _of_steps(0.001, 2e-4)),
    Way("scikit-learn GridSearchCV", "sklearns:Search", _of_rows, same=False, least=2),
)
