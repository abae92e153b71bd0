"""The compiled twin of a step: loads the library that stands beside this file, or says why not.

`hatch_build.py` compiles it when the package is built, from step.c and products.c for several
instruction sets, of which the machine's own is chosen here, and from ranking.c.
STACKED_TRAINER_COMPILED=0 leaves it out, and avx2 or baseline takes a lesser one.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIBRARY = Path(__file__).with_name("_step.so")
SCORES, ERRORS, GRADIENT, MOVE = 1, 2, 4, 8  # phases of a step, as step.h numbers them
PRECISIONS = {"float32": "f32", "float64": "f64"}
LANES, NARROW = 128, 16  # step.c's, step.h's
_NUMBERS = (
    *("features", "outputs", "columns", "loss", "update", "coefficients", "bias", "prox", "decay"),
    *("narrow", "padded", "y_row", "y_output", "y_column", "q_row", "q_output", "q_column"),
)
_ARRAYS = (
    *("X", "order", "codes", "y", "q", "r", "parameters", "slot0", "slot1", "gradient"),
    *("l2", "table", "ring", "z", "gathered", "room", "mean"),
)


class Plan(ctypes.Structure):
    """What a stack says once, and what a stretch changes: `plan` of step.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in _NUMBERS),
        *((name, ctypes.c_void_p) for name in _ARRAYS),
    ]


@dataclass(frozen=True)
class Library:
    """The twin in one instruction set.

    Attributes:
        instructions: "avx512", "avx2" or "baseline".
        step: by precision: `(plan, phases, start, rows, slot, into)`.
        steps: by precision: `(plan, start, end, batch, slot)`, whole steps.
        areas: `areas` of ranking.c, the same in all of them.
    """

    instructions: str
    step: Mapping[str, Callable[..., Any]]
    steps: Mapping[str, Callable[..., Any]]
    areas: Callable[..., Any]


@functools.cache
def load() -> tuple[Library | None, str]:
    """The library and its instruction set, or None and why there is none."""
    wanted = os.environ.get("STACKED_TRAINER_COMPILED", "")
    if wanted == "0":
        return None, "STACKED_TRAINER_COMPILED is 0"
    if not LIBRARY.exists():
        return None, "the package was built without a C compiler"
    try:
        found = ctypes.CDLL(str(LIBRARY))
        found.step_abi.restype, found.step_set.restype = ctypes.c_int64, ctypes.c_char_p
        if found.step_abi() != ctypes.sizeof(Plan):
            return None, f"{LIBRARY.name} is of another version of the package"
        name = wanted or found.step_set().decode()
        step = {one: found[f"step_{name}_{bits}"] for one, bits in PRECISIONS.items()}
        steps = {one: found[f"steps_{name}_{bits}"] for one, bits in PRECISIONS.items()}
        numbers: list[Any] = [ctypes.POINTER(Plan), *[ctypes.c_int64] * 4]
        for one in PRECISIONS:
            step[one].argtypes, steps[one].argtypes = [*numbers, ctypes.c_void_p], numbers
            step[one].restype = steps[one].restype = None
        found.areas.argtypes = [ctypes.c_void_p, *[ctypes.c_int64] * 3, *[ctypes.c_void_p] * 5]
        found.areas.restype = None
    except (OSError, AttributeError) as error:
        return None, f"{LIBRARY.name} cannot be loaded ({str(error).splitlines()[0]})"
    return Library(name, step, steps, found.areas), name


def instructions() -> str:
    """The instruction set that the machine's steps are compiled for, or "none"."""
    library, _ = load()
    return library.instructions if library else "none"


def told() -> str:
    """The twin in words, for the line of the device."""
    library, why = load()
    return f"compiled step: {why}" if library else f"steps in NumPy: {why}"
