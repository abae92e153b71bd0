"""`warm`: what a GPU compiles at first use, compiled ahead of the first run.

The kernels of a step are ours; CuPy compiles one more for each function, precision and number of
axes, which takes longer in all. Small runs of each model meet most of them. CuPy keeps them on
disk, in ~/.cupy/kernel_cache or where CUPY_CACHE_DIR says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from trainer import device as devices
from trainer.catalog import MODELS
from trainer.config import load_spec
from trainer.machine.threads import one_thread_a_product
from trainer.model import kernels
from trainer.model.arithmetic import default_errstate
from trainer.streams import shuffle
from trainer.sweep.sweep import set_up, train
from trainer.workflow.compiling import compile_kernels
from trainer.workflow.recorder import NullObserver

_OPTIMIZERS: tuple[dict[str, Any], ...] = (
    {"name": "sgd", "epochs": 2, "batch_size": 32},
    {"name": "adam", "epochs": 2, "batch_size": "full"},
    {"name": "auto", "max_iter": 3},
)
_SWEEP = {"parameters": {"penalty.l2": [0.01, 0.1]}}  # columns side by side are one axis more


@default_errstate
def warm(tell: Callable[[str], None], should_stop: Callable[[], int | None]) -> str:
    """Compile; return a line that says what for and how long it took.

    Args:
        tell: takes a line for each precision.
        should_stop: ends it early where it returns a signal.

    Raises:
        DeviceError: no GPU can be used, or it is full.
        KeyboardInterrupt: a signal came.
    """
    device, begun = devices.choose("gpu"), time.perf_counter()
    shuffle(0, 0, 2, device.xp)  # which a device makes of many rows only
    for precision in kernels.REALS:
        compile_kernels(device, precision, tell)
        for spec in _small_runs(precision):
            if should_stop() is not None:
                raise KeyboardInterrupt
            with device.enough_memory(), one_thread_a_product():
                train(set_up(load_spec(spec), None, device), NullObserver(should_stop))
        tell(f"{precision}: each model has been trained for a few steps")
    return f"{device.name} is warm after {time.perf_counter() - begun:.1f} seconds"


def _small_runs(precision: str) -> Iterator[dict[str, Any]]:
    """Specs of each model and kind of optimizer, of a few steps, of one column and of two."""
    rows = {"synthetic": {"rows": 96, "columns": 5, "outputs": 3}}
    for model in MODELS:
        for optimizer in _OPTIMIZERS:
            spec = {
                "model": model,
                "data": {"train": rows},
                "optimizer": optimizer,
                "precision": precision,
                "penalty": {"l2": 0.01},
            }
            yield spec
            yield spec | {"sweep": _SWEEP}
