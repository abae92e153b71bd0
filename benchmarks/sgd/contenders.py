"""Who is timed at one problem and K, ours first; and the check that all reach the same weights."""

from __future__ import annotations

import numpy as np

from benchmarks.shared.problems import Problem
from benchmarks.shared.processes import Contender
from benchmarks.shared.rounds import Timed

TOLERANCE = 2e-3  # of max|W| after the timed steps, float32
_LOOP = 2  # fits of a loop that are run
_TORCH_AT = 1, 64  # K at which torch is timed, and our own loop
_COMPILE_ANEW = {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
_SETS = {"AVX2": "avx2", "baseline": "baseline", "NumPy": "0"}


def contenders(problem: Problem, K: int, device: str = "cpu") -> list[Contender]:
    """The contenders on one core."""
    found = [_of("ours", "ours:Arranged", K, device=device)]
    if device == "cpu":
        found += [
            _of(f"ours, {name}", "ours:Arranged", K, env={"STACKED_TRAINER_COMPILED": value})
            for name, value in _SETS.items()
        ]
    found += [
        _of("ours, written to the step log", "ours:Arranged", K, log="written", device=device),
        _of("ours, nothing logged", "ours:Arranged", K, log="none", device=device),
        _of("JAX vmap+scan", "jaxes:Scan", K),
        _of("JAX by hand", "jaxes:ByHand", K),
        _of("JAX vmap+scan, nothing logged", "jaxes:Scan", K, log=False),
        _of("JAX by hand, nothing logged", "jaxes:ByHand", K, log=False),
    ]
    return [*found, *(_single(problem) if K == 1 else _several(K) if K in _TORCH_AT else [])]


def _single(problem: Problem) -> list[Contender]:
    steps = min(problem.steps, len(problem.X) // problem.batch)
    words = f"{steps} of {problem.steps} steps" if steps < problem.steps else ""
    times = problem.steps / steps
    sgd = "benchmarks.sgd.sklearns:Sgd", {"steps": steps}
    return [
        _of("torch eager", "torches:Eager", 1),
        _of("torch.compile", "torches:Compiled", 1, env=_COMPILE_ANEW),
        Contender("scikit-learn SGDClassifier", *sgd, times=times, words=words),
    ]


def _several(K: int) -> list[Contender]:
    return [
        _part("ours, one fit after another", "ours:Loop", K),
        _part("torch loop", "torches:Eager", K),
        _of("torch.func.vmap", "torches:Vmap", K),
    ]


def on_two_cores(K: int) -> list[Contender]:
    """Those that can use two cores, for a table by the clock."""
    found = [_of("ours", "ours:Arranged", K)]
    found += [_of("ours, half of K on each of two threads", "ours:Halves", K)] if K > 1 else []
    return [*found, _of("JAX vmap+scan", "jaxes:Scan", K), _of("JAX by hand", "jaxes:ByHand", K)]


def _of(
    name: str, target: str, K: int, env: dict[str, str] | None = None, **settings: object
) -> Contender:
    return Contender(name, f"benchmarks.sgd.{target}", {"K": K, **settings}, env or {})


def _part(name: str, target: str, K: int) -> Contender:
    """A loop of which two fits, of the ends of the range, are run."""
    columns = np.linspace(0, K - 1, _LOOP).astype(int)
    settings = {"K": K, "columns": columns}
    words = f"{_LOOP} of {K} fits"
    return Contender(name, f"benchmarks.sgd.{target}", settings, times=K / _LOOP, words=words)


def difference(ours: Timed, one: Timed) -> float | None:
    """Largest difference of the weights from ours, as a share of max|W|; None without weights."""
    if one.value is None or ours.value is None:
        return None
    columns = one.contender.settings.get("columns", slice(None))
    same = ours.value[:, :, columns]
    return float(abs(one.value - same).max() / abs(same).max())


def check(ours: Timed, one: Timed) -> str:
    """What is wrong with its weights, or ""."""
    off = difference(ours, one)
    if off is None or off <= TOLERANCE:
        return ""
    return f"its weights differ from ours by {off:.2g} of max|W|"
