"""What a GPU compiles at first use: ours ahead of the training, CuPy's as it is met; both are said.

CuPy has no word to say of its own kernels. But each that it compiles it keeps as a file, in the
folder that it documents: where one comes, it compiles.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.config import Spec
from trainer.config.schema.optimizer import Solver
from trainer.model import kernels, round_kernels
from trainer.text.numbers import counted
from trainer.text.program import PROGRAM

if TYPE_CHECKING:
    from trainer.device import Device

_QUIET = 0.5  # seconds that need no word: kernels from CuPy's cache are there at once
_LOOKS = 1.0  # seconds between two looks at the cache
_CALM = 5.0  # seconds without a new one, after which it is said how many have come
_MADE = ".cubin"  # how the name of a kernel ends
COMPILING = "compiling kernels for this GPU: some seconds, once"
MEETING = (
    "compiling kernels of CuPy for this GPU as they are met: about a second each, once"
    f" (`{PROGRAM} warm` does so ahead)"
)


def compile_for(device: Device, spec: Spec, tell: Callable[[str], None]) -> None:
    """`compile_kernels` of every precision that a trial of the spec computes in."""
    trials = [trial.spec for trial in spec.trials]
    solves = any(isinstance(one.optimizer, Solver) for one in trials)
    wanted = {name for one in trials for name in _precisions(one)}
    compile_kernels(device, sorted(wanted), tell, solves)


def _precisions(spec: Spec) -> tuple[str, ...]:
    """What a trial computes in: a solver's rounds in TF32 add up in float32."""
    if not isinstance(spec.optimizer, Solver):
        return (spec.dtype,)
    return ("float32", "float64") if spec.precision == "tf32" else ("float64",)


def compile_kernels(
    device: Device, precisions: Sequence[str], tell: Callable[[str], None], solver: bool = False
) -> None:
    """Have our kernels of some precisions compiled for a GPU, or found where CuPy keeps them.

    Args:
        device: any; without kernels of its own there is nothing to do.
        precisions: of float32 and float64.
        tell: takes a line, from another thread, while they are compiled.
        solver: whether rounds of a solver have theirs too, which are in float64.

    Raises:
        DeviceError: the GPU is full.
    """
    if device.twin != "cuda" or not kernels.wanted():
        return
    said = threading.Timer(_QUIET, tell, [COMPILING])
    said.start()
    try:
        with device.enough_memory():  # which the kernels themselves take some of
            for precision in precisions:
                kernels.kernels_of(device.xp, precision).get_function(kernels.UPDATES[0])
            if solver:
                round_kernels.kernels_of(device.xp).get_function(round_kernels.KERNELS[0])
    finally:
        said.cancel()
        said.join()  # a line that has begun ends before the next one


@contextlib.contextmanager
def said_as_met(
    device: Device, tell: Callable[[str], None], first: str = MEETING
) -> Iterator[None]:
    """Say it while CuPy compiles kernels within the block, and how many once no more come.

    Nothing is said where CuPy keeps none (`CUPY_CACHE_IN_MEMORY`), or where its folder cannot be
    read. What another process compiles at the same time counts as ours.

    Args:
        device: any; a CPU compiles nothing.
        tell: takes a line, from another thread; what it raises is lost.
        first: the line at the first kernel.
    """
    if device.kind == "cpu":
        yield
        return
    folder, ended = _cache(), threading.Event()
    given = tell, first, folder, _made(folder), ended
    looks = threading.Thread(target=_look, args=given, daemon=True)
    looks.start()
    try:
        yield
    finally:
        ended.set()
        looks.join()


def _look(
    tell: Callable[[str], None], first: str, folder: Path, known: int, ended: threading.Event
) -> None:
    """Look again and again how many kernels there are, and say where more than `known` are."""
    last = known  # at the last look
    calm = 0.0  # seconds without any new one
    while not ended.wait(_LOOKS):
        now = _made(folder)
        calm = 0.0 if now > last else calm + _LOOKS
        with contextlib.suppress(Exception):  # such as a disk that is full
            if last == known < now:
                tell(first)
            elif last > known and calm >= _CALM:
                tell(f"{counted(last - known, 'kernel')} of CuPy compiled, and kept for later runs")
                known = last
        last = max(last, now)


def _cache() -> Path:
    """Where CuPy keeps what it has compiled, as its documentation says."""
    named = os.environ.get("CUPY_CACHE_DIR")
    return Path(named or os.path.expanduser("~/.cupy/kernel_cache"))


def _made(folder: Path) -> int:
    """How many kernels there are; 0 where the folder cannot be read."""
    with contextlib.suppress(OSError), os.scandir(folder) as files:
        return sum(one.name.endswith(_MADE) for one in files)
    return 0
