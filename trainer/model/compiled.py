"""The compiled twin of a step: loads the library that stands beside this file, or says why not.

`hatch_build.py` compiles it when the package is built: step.c, products.c, squares.c and sparse.c
for several instruction sets, of which the best that the processor has is chosen here, and ranking.c
for all.
STACKED_TRAINER_COMPILED=0 leaves it out, avx2 or baseline takes a lesser one, and 1 is the best, as
without the variable. A library of other sources than those beside it, of an older checkout perhaps,
is refused.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent
LIBRARY = FOLDER / ("_step.dll" if sys.platform == "win32" else "_step.so")
SETS = ("avx512", "avx2", "baseline")  # the best first
SCORES, ERRORS, GRADIENT, MOVE = 1, 2, 4, 8  # phases of a step, as step.h numbers them
PRECISIONS = {"float32": "f32", "float64": "f64"}
LANES, TILE, NARROW = 128, 32, 16  # step.c's, step.h's
# numbers of a row that step.c lays out at once, of so many outputs that 16 columns fit
_BLOCK = 1 << 13
_NUMBERS = (
    *("features", "outputs", "columns", "loss", "update", "coefficients", "bias", "prox", "decay"),
    *("narrow", "padded", "y_row", "y_output", "y_column", "q_row", "q_output", "q_column"),
    *("r_row", "r_column"),
)
_ARRAYS = (
    *("X", "order", "codes", "targets", "shares", "y", "q", "r"),
    *("parameters", "slot0", "slot1", "gradient"),
    *("l2", "table", "ring", "z", "gathered", "room", "mean"),
)


class Plan(ctypes.Structure):
    """What a stack says once, and what a stretch changes: `plan` of step.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in _NUMBERS),
        *((name, ctypes.c_void_p) for name in _ARRAYS),
    ]


class Library(NamedTuple):
    """The twin in one instruction set.

    Attributes:
        instructions: "avx512", "avx2" or "baseline".
        step: by precision: `(plan, phases, start, rows, slot, into)`.
        steps: by precision: `(plan, start, end, batch, slot)`, whole steps.
        version: what its bits hang on: instruction set, digest of the sources, compiler.
        squares: by precision: `squares` of squares.c.
        areas: `areas` of ranking.c, the same in all of them.
        lbfgs_direct, lbfgs_pair: in float64, of arrays that lbfgs_body.h names.
        rows_pass: in float64, of what pass_body.h names.
        newton_rounds: in float64, of what newton_body.h names.
        minimum, corners: in float64, of arrays that sparse.c names.
    """

    instructions: str
    version: str
    step: Mapping[str, Callable[..., Any]]
    steps: Mapping[str, Callable[..., Any]]
    squares: Mapping[str, Callable[..., Any]]
    areas: Callable[..., Any]
    lbfgs_direct: Callable[..., Any]
    lbfgs_pair: Callable[..., Any]
    rows_pass: Callable[..., Any]
    newton_rounds: Callable[..., int]
    minimum: Callable[..., int]
    corners: Callable[..., int]


@functools.cache
def load() -> tuple[Library | None, str]:
    """The library and its instruction set, or None and why there is none."""
    asked = os.environ.get("STACKED_TRAINER_COMPILED", "")
    wanted = "" if asked == "1" else asked
    if wanted == "0":
        return None, "STACKED_TRAINER_COMPILED is 0"
    if not LIBRARY.exists():
        return None, "the package was built without a working C compiler"
    try:
        found = ctypes.CDLL(str(LIBRARY))
        if not _of_these_sources(found):
            return None, f"{LIBRARY.name} was compiled from other sources: build it again"
        runs = [one for one in SETS if _runs(found, one)]
        if wanted and wanted not in runs:
            return None, f"STACKED_TRAINER_COMPILED={wanted}: there are 0, 1, {', '.join(runs)}"
        return _library(found, wanted or runs[0]), wanted or runs[0]
    except (OSError, AttributeError) as error:
        return None, f"{LIBRARY.name} cannot be loaded ({str(error).splitlines()[0]})"


def sources_digest() -> str:
    """What ties a library to its package: of the C files beside this one."""
    digest = hashlib.sha256()
    for path in sorted(FOLDER.glob("*.[ch]")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _of_these_sources(found: ctypes.CDLL) -> bool:
    if not hasattr(found, "step_sources"):
        return False
    found.step_sources.restype = ctypes.c_char_p
    return bool(found.step_sources().decode() == sources_digest())


def _runs(found: ctypes.CDLL, name: str) -> bool:
    """Whether the library was built for an instruction set, and this machine has it."""
    found.step_runs.restype, found.step_runs.argtypes = ctypes.c_int64, [ctypes.c_char_p]
    return hasattr(found, f"step_{name}_f32") and bool(found.step_runs(name.encode()))


def _library(found: ctypes.CDLL, name: str) -> Library:
    plan, number, array = ctypes.POINTER(Plan), ctypes.c_int64, ctypes.c_void_p

    def function(symbol: str, *takes: Any, gives: Any = None) -> Callable[..., Any]:
        one = found[symbol]
        one.argtypes, one.restype = takes, gives
        return one

    sources = function("step_sources", gives=ctypes.c_char_p)().decode()
    compiler = function("step_compiler", gives=ctypes.c_char_p)().decode()
    of_steps = (plan, *[number] * 4)
    return Library(
        instructions=name,
        version=f"{name}, sources {sources}, compiler {compiler}",
        step={
            one: function(f"step_{name}_{bits}", *of_steps, array)
            for one, bits in PRECISIONS.items()
        },
        steps={
            one: function(f"steps_{name}_{bits}", *of_steps) for one, bits in PRECISIONS.items()
        },
        squares={
            one: function(f"squares_{name}_{bits}", *[number] * 3, *[array] * 5)
            for one, bits in PRECISIONS.items()
        },
        areas=function("areas", array, *[number] * 3, *[array] * 5),
        lbfgs_direct=function(f"lbfgs_direct_{name}_f64", *[number] * 4, *[array] * 6),
        lbfgs_pair=function(f"lbfgs_pair_{name}_f64", *[number] * 4, *[array] * 9),
        rows_pass=function(f"pass_{name}_f64", plan, array, *[number] * 4, *[array] * 5),
        newton_rounds=function(f"newton_rounds_{name}_f64", array, *[number] * 4, gives=number),
        minimum=function(f"minimum_{name}_f64", number, *[array] * 9, gives=number),
        corners=function(f"corners_{name}_f64", number, array, gives=number),
    )


def room_of_errors(outputs: int, columns: int) -> int:
    """Numbers that the first half of a step lays out beside its arrays, at most."""
    if columns < 16:  # rows times columns side by side
        return 5 * outputs * (LANES if outputs == 1 else TILE)
    return 3 * min(outputs * LANES, max(_BLOCK, 16 * outputs))


def strides(y: Any, q: Any, picks: Mapping[str, Any]) -> dict[str, int]:
    """How far rows, outputs and columns are apart in y, q and r, for a plan of either twin.

    Args:
        y: (N, C, T) targets, or the (C, C, 1) that codes pick from.
        q: (N, 1, V) row weights; r is (N, V).
        picks: the `targets` (K,) that columns have of T and the `shares` (K,) of V; None: of one.
    """
    _, outputs, targets = y.shape
    own_y, own_q = (int(picks.get(name) is not None) for name in ("targets", "shares"))
    of_y = {"y_row": outputs * targets, "y_output": targets, "y_column": own_y}
    of_q = {"q_row": q.shape[-1], "q_column": own_q, "r_row": q.shape[-1], "r_column": own_q}
    return of_y | of_q


def version() -> str:
    """What the bits of the steps hang on, for the manifest; "none" without a library."""
    library, _ = load()
    return library.version if library else "none"


def told() -> str:
    """The twin in words, for the line of the device."""
    library, why = load()
    return f"compiled step: {why}" if library else f"steps in NumPy: {why}"
