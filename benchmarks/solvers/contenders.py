"""Who is timed at which task, with the tolerances that are tried, from loose to tight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from benchmarks.solvers.tasks import Solutions, Task

SMALL = 50_000  # numbers in X: what liblinear and saga are tried on
JOBS = 2  # processes of a search
CLOSED = (0.0,)  # a closed form has no tolerance


def _tolerances(loosest: int, tightest: int) -> tuple[float, ...]:
    """Powers of ten from 10^-loosest to 10^-tightest, half a decade apart."""
    return tuple(10.0 ** (-e / 2) for e in range(2 * loosest, 2 * tightest + 1))


OURS = _tolerances(2, 10)
_MEAN = _tolerances(2, 9)  # of the gradient of the mean loss


@dataclass(frozen=True)
class Contender:
    """One way to solve a task.

    Attributes:
        name: as the table calls it.
        at: "module.function" of benchmarks.solvers: called with a task and a tolerance.
        tolerances: from loose to tight.
        settings: further arguments.
        check: the same way, in place of `at` where that keeps no weights: the same fits.
        begin: called once with the task and the settings.
        threads: of the matrix library that are tried; none: its own choice.
        package: what it needs, where that is no part of the extra.
        checked: whether it solves the task; else only its time is told.
    """

    name: str
    at: str
    tolerances: tuple[float, ...] = _MEAN
    settings: Mapping[str, Any] = field(default_factory=dict)
    check: str = ""
    begin: str = ""
    threads: tuple[int, ...] = (1, 2)
    package: str = ""
    checked: bool = True

    @property
    def present(self) -> bool:
        """Whether its package is installed."""
        return not self.package or find_spec(self.package) is not None

    def solver(self, at: str = "") -> Callable[[Task, float], Solutions | None]:
        """What is called with a task and a tolerance.

        Raises:
            ImportError: its library is not there.
        """
        module, name = (at or self.at).split(".")
        function = getattr(import_module(f"benchmarks.solvers.{module}"), name)
        return partial(function, **self.settings)


_US = Contender("ours", "ours.stacked", OURS, threads=())
_SINGLE = Contender("ours, one thread", "ours.stacked", OURS, threads=(1,))
_ONE = Contender("ours, one penalty", "ours.one", (1e-6,), threads=(), checked=False)
_GLUM = Contender("glum, warm", "others.glum", package="glum")


def contenders(task: Task) -> list[Contender]:
    """Those of a task; ours is the first."""
    return [_US, _SINGLE, *_PEERS[task.part](task)]


def _fits(solver: str, warm: bool) -> Contender:
    name = f"scikit-learn {solver}, {'warm' if warm else 'cold'}"
    return Contender(name, "sklearns.logistic", settings={"solver": solver, "warm": warm})


def _classes(task: Task) -> list[Contender]:
    binary, small = task.case.model == "logistic", task.case.X.size <= SMALL
    solvers = ["lbfgs", *(["newton-cholesky"] if binary else [])]
    if task.folds > 1:
        return [_search(solver) for solver in solvers]
    found = [
        _fits(s, warm) for s in solvers for warm in ((False, True) if task.K > 1 else (False,))
    ]
    found += [_fits("liblinear", False)] if binary and small else []
    found += [_GLUM] if binary else []
    return [*found, Contender("torch LBFGS, warm", "others.torch_lbfgs", package="torch")]


def _skglm(tolerances: tuple[float, ...]) -> Contender:
    return Contender(
        "skglm, warm", "others.skglm", tolerances, begin="others.begin_skglm", package="skglm"
    )


def _search(solver: str) -> Contender:
    return Contender(
        f"GridSearchCV(n_jobs={JOBS}), {solver}",
        "sklearns.search",
        settings={"solver": solver},
        check="sklearns.logistic",
        begin="sklearns.begin_search",
        threads=(),
    )


def _ridge(task: Task) -> list[Contender]:
    loop = Contender("a loop of scikit-learn Ridge", "sklearns.ridge", CLOSED)
    name = "RidgeCV over the folds" if task.folds > 1 else "RidgeCV, leaving one out"
    return [_ONE, loop, Contender(name, "sklearns.ridge_search", CLOSED, checked=False)]


def _lasso(task: Task) -> list[Contender]:
    gaps = _tolerances(4, 12)
    return [
        Contender("scikit-learn lasso_path", "sklearns.lasso", gaps),
        Contender("celer_path", "others.celer", gaps, package="celer"),
        _skglm(gaps),
    ]


def _sparse(task: Task) -> list[Contender]:
    found = [_fits("liblinear", False)]
    found += [_fits("saga", True)] if task.case.X.size <= SMALL else []
    return [*found, _GLUM, _skglm(_MEAN)]


_PEERS: Mapping[str, Callable[[Task], list[Contender]]] = {
    "l2": _classes,
    "ridge": _ridge,
    "lasso": _lasso,
    "l1": _sparse,
}
