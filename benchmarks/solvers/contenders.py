"""Who is timed at which task, with the tolerances that are tried, from loose to tight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any

from benchmarks.shared.processes import Contender
from benchmarks.solvers.tasks import Solutions, Task

SMALL = 50_000  # numbers in X: what liblinear and saga are tried on
CLOSED = (0.0,)  # a closed form has no tolerance


def _tolerances(loosest: int, tightest: int) -> tuple[float, ...]:
    """Powers of ten from 10^-loosest to 10^-tightest, half a decade apart."""
    return tuple(10.0 ** (-e / 2) for e in range(2 * loosest, 2 * tightest + 1))


OURS = _tolerances(2, 10)
_MEAN = _tolerances(2, 9)  # of the gradient of the mean loss


@dataclass(frozen=True)
class Way:
    """One way to solve a task.

    Attributes:
        name: as the table calls it.
        at: "module.function" of benchmarks.solvers: called with a task and a tolerance.
        tolerances: from loose to tight.
        settings: further arguments.
        check: the same way, in place of `at` where that keeps no weights: the same fits.
        begin: called once with the task and the settings.
        checked: whether it solves the task; else only its time is told.
    """

    name: str
    at: str
    tolerances: tuple[float, ...] = _MEAN
    settings: Mapping[str, Any] = field(default_factory=dict)
    check: str = ""
    begin: str = ""
    checked: bool = True

    @property
    def contender(self) -> Contender:
        """What is started for it."""
        return Contender(self.name, "benchmarks.solvers.contenders:Solver", {"way": self})


class Solver:
    """A way in its process, with a task.

    Raises:
        ImportError: its library is not there.
    """

    def __init__(self, task: Task, way: Way) -> None:
        self._task = task
        self._run, self._check = (_function(at, way) for at in (way.at, way.check or way.at))
        if way.begin:
            _function(way.begin, way)(task)

    def solve(self, tol: float) -> Solutions | None:
        """What it finds; not timed."""
        found: Solutions | None = self._check(self._task, tol)
        return found

    def run(self, tol: float) -> None:
        """Solve; timed."""
        self._run(self._task, tol)


def _function(at: str, way: Way) -> Callable[..., Any]:
    module, name = at.split(".")
    function = getattr(import_module(f"benchmarks.solvers.{module}"), name)
    return partial(function, **way.settings)


_US = Way("ours", "ours.stacked", OURS)
_ONE = Way("ours, one penalty", "ours.one", (1e-6,), checked=False)
_GLUM = Way("glum, warm", "others.glum")


def ways(task: Task) -> list[Way]:
    """Those of a task; ours is the first."""
    return [_US, *_PEERS[task.part](task)]


def _fits(solver: str, warm: bool) -> Way:
    name = f"scikit-learn {solver}, {'warm' if warm else 'cold'}"
    return Way(name, "sklearns.logistic", settings={"solver": solver, "warm": warm})


def _classes(task: Task) -> list[Way]:
    binary, small = task.case.model == "logistic", task.case.X.size <= SMALL
    solvers = ["lbfgs", *(["newton-cholesky"] if binary else [])]
    if task.folds > 1:
        return [_search(solver) for solver in solvers]
    found = [
        _fits(s, warm) for s in solvers for warm in ((False, True) if task.K > 1 else (False,))
    ]
    found += [_fits("liblinear", False)] if binary and small else []
    found += [_GLUM] if binary else []
    return [*found, Way("torch LBFGS, warm", "others.torch_lbfgs")]


def _skglm(tolerances: tuple[float, ...]) -> Way:
    return Way("skglm, warm", "others.skglm", tolerances, begin="others.begin_skglm")


def _search(solver: str) -> Way:
    return Way(
        f"GridSearchCV, {solver}",
        "sklearns.search",
        settings={"solver": solver},
        check="sklearns.logistic",
    )


def _ridge(task: Task) -> list[Way]:
    loop = Way("a loop of scikit-learn Ridge", "sklearns.ridge", CLOSED)
    name = "RidgeCV over the folds" if task.folds > 1 else "RidgeCV, leaving one out"
    return [_ONE, loop, Way(name, "sklearns.ridge_search", CLOSED, checked=False)]


def _lasso(task: Task) -> list[Way]:
    gaps = _tolerances(4, 12)
    return [
        Way("scikit-learn lasso_path", "sklearns.lasso", gaps),
        Way("celer_path", "others.celer", gaps),
        _skglm(gaps),
    ]


def _sparse(task: Task) -> list[Way]:
    found = [_fits("liblinear", False)]
    found += [_fits("saga", True)] if task.case.X.size <= SMALL else []
    return [*found, _GLUM, _skglm(_MEAN)]


_PEERS: Mapping[str, Callable[[Task], list[Way]]] = {
    "l2": _classes,
    "ridge": _ridge,
    "lasso": _lasso,
    "l1": _sparse,
}
