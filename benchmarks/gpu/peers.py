"""Peers on the same GPU: each a process of its own, all in turn, as ratios to ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.stacks import has_tf32
from benchmarks.sgd.contenders import TOLERANCE, difference
from benchmarks.shared.problems import Problem, synthetic
from benchmarks.shared.processes import Contender, Process, processes, stored
from benchmarks.shared.rounds import Timed
from benchmarks.shared.worker import ABSENT

_COLUMNS = 64, 1, 256
_STEPS = {1: 1404, 64: 702, 256: 234}
_ROUNDS = 5
_LOOPED = 2  # fits of a loop that are run
_FIRST = 60.0  # seconds until all are built, and until all have run once
_CALL = 30.0  # seconds of a later run
_TORCH, _JAX = "benchmarks.sgd.torches", "benchmarks.sgd.jaxes"
_EXACT = {"JAX_DEFAULT_MATMUL_PRECISION": "float32"}
_TF32 = {"JAX_DEFAULT_MATMUL_PRECISION": "tensorfloat32"}
_WITHOUT_GPU = "initialize backend 'cuda'", "not compiled with CUDA"  # of JAX, of torch
_LOOSE = 0.05  # of max|W|: TF32 has ten bits


def peers(bench: Bench) -> None:
    """Time them at each K, as far as the time goes."""
    for K in (3,) if bench.tiny else _COLUMNS:
        if bench.left() < (5 if bench.tiny else 20):
            bench.check(f"K = {K}", False, "no time was left")
            continue
        with bench.attempt(f"K = {K}"):
            at(bench, _problem(bench, K), K)


def _problem(bench: Bench, K: int) -> Problem:
    if bench.tiny:
        return synthetic("256x12x10", 256, 12, 10, 64, 4)
    rows = 60_000 // 256 * 256
    return synthetic("60000x784x10", rows, 784, 10, 256, _STEPS[K])


def contenders(K: int, tiny: bool, tf32: bool) -> list[Contender]:
    """All at one K, ours first, and in TF32 too where it can be had."""
    device = "cpu" if tiny else "cuda"
    jax = {"JAX_PLATFORMS": device}
    found = [
        Contender("ours", "benchmarks.gpu.contenders:Ours", {"K": K}),
        Contender(
            "ours, nothing logged", "benchmarks.gpu.contenders:Ours", {"K": K, "log": "none"}
        ),
    ]
    if tf32:
        target = "benchmarks.gpu.contenders:Ours"
        found.append(Contender("ours, TF32", target, {"K": K, "tf32": True}))
    for name, scan in (("JAX vmap + scan", "Scan"), ("JAX scan by hand", "ByHand")):
        target = f"{_JAX}:{scan}"
        found += [
            Contender(f"{name}", target, {"K": K}, jax | _EXACT),
            Contender(f"{name}, nothing logged", target, {"K": K, "log": False}, jax | _EXACT),
            Contender(f"{name}, TF32", target, {"K": K}, jax | _TF32),
        ]
    for fast in (False, True):
        settings = {"K": K, "device": device, "tf32": fast}
        words = ", TF32" if fast else ""
        found.append(Contender(f"torch CUDA graph{words}", f"{_TORCH}:Graph", settings))
        if not fast:
            found.append(Contender("torch.func.vmap", f"{_TORCH}:Vmap", settings))
            found.append(_eager(settings, K))
    return found


def _eager(settings: Mapping[str, Any], K: int) -> Contender:
    if K <= _LOOPED:
        return Contender("torch eager", f"{_TORCH}:Eager", settings)
    columns = np.linspace(0, K - 1, _LOOPED).astype(int)
    words = f"{_LOOPED} of {K} fits"
    settings = {**settings, "columns": columns}
    return Contender(
        "torch eager loop", f"{_TORCH}:Eager", settings, times=K / _LOOPED, words=words
    )


def at(bench: Bench, problem: Problem, K: int) -> None:
    """Build all at once, run each once, then all in turn; note times and ratios."""
    who = contenders(K, bench.tiny, has_tf32(bench.device))
    with stored(replace(problem)) as path, processes(who, path) as started:
        for process in started:  # libraries are imported and compile side by side
            settings = dict(process.contender.settings)
            process.ask("make", process.contender.target, path, settings)
        found = [Timed(one) for one in who]
        for timed, process in zip(found, started, strict=True):
            timed.words = process.reply(_limit(bench)).words
            if not timed.words:
                process.ask("run")
        for timed, process in zip(found, started, strict=True):
            if not timed.words:
                reply = process.reply(_limit(bench))
                timed.words, timed.value = reply.words, reply.value
        _compare(bench, found, K)
        _turns(bench, problem, found, started, K)


def _limit(bench: Bench) -> float:
    """Seconds for what is built, compiled or run first, by all at once."""
    return max(1.0, min(_FIRST, bench.left() - 1))


def _compare(bench: Bench, found: Sequence[Timed], K: int) -> None:
    """Whether all that ran end with the same weights; who did not run, and why."""
    ours = found[0]
    for timed in found:
        name = f"K = {K}, {timed.name}"
        if timed.words.endswith(ABSENT) or any(one in timed.words for one in _WITHOUT_GPU):
            bench.note(name, timed.words)
        elif timed.words:
            bench.check(name, False, timed.words)
        elif (off := difference(ours, timed)) is not None:
            most = _LOOSE if "TF32" in timed.name else TOLERANCE
            words = f"{off:.0e} of max|W| from ours, {most:.0e} at most"
            bench.check(f"{name}: weights", off <= most, words)


def _turns(
    bench: Bench, problem: Problem, found: Sequence[Timed], started: Sequence[Process], K: int
) -> None:
    """Rounds in which all take turns; what is known at the end, or when time runs out."""
    rounds = 2 if bench.tiny else _ROUNDS
    for number in range(rounds):
        for timed, process in zip(found, started, strict=True):
            if not timed.words and bench.left() > 3:
                reply = process.call("run", limit=min(_CALL, bench.left() - 2))
                if reply.words and number:  # it has run before: only its time is up
                    continue
                timed.take(reply)
    ours = found[0]
    for timed in found:
        if not (timed.wall and ours.wall):
            continue
        name = f"K = {K}, {timed.name}" + (
            f" [{timed.contender.words}]" * bool(timed.contender.words)
        )
        step = float(np.median(timed.wall)) / problem.steps
        bench.value(name, 1e6 * step, "µs a step", f"{len(timed.wall)} rounds")
        if timed is not ours:
            median, least, most = timed.ratio(ours, "wall")
            bench.value(f"{name}, of ours", median, "times", f"{least:.3g} to {most:.3g}")
