"""`warm`: what a GPU compiles at first use, compiled ahead of the first run.

The kernels of a step are ours; CuPy compiles one more for each function, precision, number of axes
and contiguity of its operands, which takes longer in all. Small runs of each model, of few and of
many columns, outputs, rows and features, with and without l1, meet them: tests/workflow compares
them with those of other runs. CuPy keeps them on disk, in ~/.cupy/kernel_cache or where
CUPY_CACHE_DIR says. Arrays past 2 GB have kernels of their own, which are not among them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer import device as devices
from trainer.catalog import MODELS
from trainer.config import load_spec
from trainer.machine.threads import one_thread_a_product
from trainer.model import kernels
from trainer.model.arithmetic import default_errstate
from trainer.streams import shuffle
from trainer.sweep.sweep import set_up, train
from trainer.workflow.compiling import compile_kernels, said_as_met
from trainer.workflow.recorder import NullObserver

if TYPE_CHECKING:
    from trainer.device import Device

Spec = dict[str, Any]
_REDUCED = 1, 129, 257, 513, 1025  # numbers, for each of which CuPy has blocks of another size
_L1 = {"l1": 0.02, "l2": 0.001}
_ARRAYS = {"train": "arrays", "val": 0.2}
_MEETING = "compiling kernels of CuPy for this GPU: some 250, about a second each"


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
    with said_as_met(device, tell, _MEETING):
        shuffle(0, 0, 2, device.xp)  # which a device makes of many rows only
        for precision in kernels.REALS:
            compile_kernels(device, [precision], tell)
            in_tf32 = _in_tf32() if device.tf32 and precision == "float32" else ()
            for spec in (*_small_runs(precision), *in_tf32):
                if should_stop():
                    raise KeyboardInterrupt
                arrays = _constant_features() if spec["data"] == _ARRAYS else None
                with device.enough_memory(), one_thread_a_product():
                    train(set_up(load_spec(spec), arrays, device), NullObserver(should_stop))
            tell(f"{precision}: each model has been trained for a few steps")
        _reduce(device)
    return f"{device.name} is warm after {time.perf_counter() - begun:.1f} seconds"


def _small_runs(precision: str) -> Iterator[Spec]:
    """Specs of each model, optimizer and shape.

    Solvers compute in float64 whatever the precision: rows of float32 are converted before.
    """
    for model in MODELS:
        solvers = _solvers(model) if precision == "float32" else ()
        for spec in (*_steps(model), *solvers):
            yield {"model": model, "precision": precision, **_rows(), **spec}
    if precision == "float32":
        for spec in _of_one_model():
            yield {"precision": precision, **spec}


def _rows(rows: int = 96, columns: int = 5, outputs: int = 3) -> Spec:
    made = {"rows": rows, "columns": columns, "outputs": outputs}
    return {"data": {"train": {"synthetic": made}}}


def _one_output(model: str) -> Spec:
    """Rows of one output, where the model has one."""
    return _rows(outputs=3 if MODELS[model].output_a_class else 1)


def _sgd(batch_size: int = 32, epochs: int = 2) -> Spec:
    return {"optimizer": {"name": "sgd", "batch_size": batch_size, "epochs": epochs}}


def _adam(epochs: int = 2) -> Spec:
    return {"optimizer": {"name": "adam", "batch_size": "full", "epochs": epochs}}


def _solver(name: str = "auto") -> Spec:
    return {"optimizer": {"name": name, "max_iter": 20}}


def _sweep(path: str = "penalty.l2", values: tuple[float, ...] = (0.001, 0.01, 0.1)) -> Spec:
    return {"sweep": {"parameters": {path: list(values)}}}


def _steps(model: str) -> Iterator[Spec]:
    """Of optimizers: few rows and many, a column and several, columns that stop or break."""
    one = _one_output(model)
    stopping = {"early_stopping": {"metric": "val_loss", "patience": 1}}
    stopping |= _sweep("optimizer.lr", (0.001, 0.1, 1e3, 1e12))
    yield _sgd()
    yield _adam()
    yield {**_sgd(), **_sweep(), **one}
    yield {**_sgd(), **_rows(60, 100), "penalty": _L1}
    yield {**_sgd(4096, 1), **_rows(12_000)}
    yield {**_adam(6), **stopping}
    yield {**_adam(6), **stopping, **one}
    yield {**_sgd(), "log": {"gradients": 2, "every": 3}}


def _solvers(model: str) -> Iterator[Spec]:
    """Of solvers: each method, with l1 and without, of few features, many, and more than rows."""
    one = _one_output(model)
    yield _solver()
    yield {**_solver(), **_sweep()}
    yield {**_solver(), **_sweep(), **one}
    yield {**_solver(), **_rows(60, 100)}
    yield {**_solver(), **_rows(12_000)}
    yield {**_solver(), **_rows(columns=1)}
    yield {**_solver("newton"), **_sweep()}
    yield {**_solver(), "penalty": _L1, **one}
    yield {**_solver(), "penalty": _L1, **_rows(60, 100)}
    yield {**_solver(), **_sweep("penalty.l1", (0.1, 0.01, 0.0))}
    yield {**_solver("lbfgs"), **_sweep(), "penalty": _L1}
    yield {**_solver("newton"), **_sweep(), "penalty": _L1}
    yield {**_solver("newton"), "penalty": _L1}


def _in_tf32() -> Iterator[Spec]:
    """Rounds of L-BFGS in TF32: of a column and several, of one output and more."""
    for outputs, more in ((1, {}), (1, _sweep()), (3, {}), (3, _sweep())):
        model = "softmax" if outputs > 1 else "logistic"
        yield {
            "model": model,
            "precision": "tf32",
            **_rows(outputs=outputs),
            **_solver("lbfgs"),
            **more,
        }


def _of_one_model() -> Iterator[Spec]:
    """Another loss, many classes, features that are constant, folds."""
    one_output, path = _rows(outputs=1), _sweep("penalty.l1", (0.1, 0.01, 0.001))
    yield {"model": "logistic", "loss": "squared_error", **one_output, **_solver()}
    yield {"model": "softmax", **_rows(outputs=8), **_solver()}
    yield {"model": "softmax", "data": _ARRAYS, **_solver(), "penalty": {"l2": 0}, **path}
    yield {"model": "logistic", **_rows(300, 30, 1), **_solver(), **path, "repeat": {"folds": 3}}


def _constant_features() -> dict[str, Any]:
    """Rows of eight classes, of whose features some are the same in all rows."""
    draw = np.random.default_rng(0)
    X = draw.standard_normal((96, 12), dtype=np.float32)
    X[:, ::4] = 0
    return {"train": (X, (X @ draw.standard_normal((12, 8))).argmax(axis=1))}


def _reduce(device: Device) -> None:
    """What asks whether any or all of so many numbers are true has a kernel for each size."""
    for size in _REDUCED:
        for dtype in (np.float64, np.bool_):
            found = device.xp.zeros(size, dtype)
            found.any()
            found.all()
