"""Does it run, and is it right: weights beside the CPU's, and bits beside other company."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib import metadata
from typing import Any

import numpy as np

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.stacks import Columns, has_tf32
from benchmarks.shared import text
from trainer import device as devices
from trainer.config import load_spec
from trainer.device import Device
from trainer.machine.threads import one_thread_a_product
from trainer.model.arithmetic import default_errstate
from trainer.sweep.sweep import set_up, train
from trainer.workflow.recorder import NullObserver

MODELS = "linear", "logistic", "softmax", "poisson"
PRECISIONS = "float32", "float64"
_STEPS: dict[str, Any] = {"epochs": 3, "batch_size": 64, "lr": 0.05}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": {"name": "sgd", **_STEPS}},
    "nesterov": {"optimizer": {"name": "sgd", "nesterov": True, **_STEPS}},
    "adam": {"optimizer": {"name": "adam", **_STEPS}},
    "adamw": {"optimizer": {"name": "adamw", **_STEPS}, "penalty": {"l2": 0}},
    "lbfgs": {"optimizer": {"name": "lbfgs", "tol": 1e-9}},
    "newton": {"optimizer": {"name": "newton", "tol": 1e-9}},
    "l1": {"optimizer": {"name": "auto", "tol": 1e-9}, "penalty": {"l1": 0.01, "l2": 0.001}},
    "l1 by sgd": {"optimizer": {"name": "sgd", **_STEPS}, "penalty": {"l1": 0.01, "l2": 0.001}},
}
# of max|W|: what orders of summation and the two libraries' exp and log may make of some 50 steps;
# solvers end where the gradient is below tol
CLOSE = {"float32": 1e-3, "float64": 1e-8, "tf32": 0.05}
_SOLVERS = "lbfgs", "newton", "l1"
_PACKAGES = "cupy-cuda12x", "cupy-cuda13x", "torch", "jax", "cuml-cu12", "cuml-cu13", "pytest"
_WIDTHS = 3, 64, 256  # columns of the stacks whose bits are compared


def device(bench: Bench) -> None:
    """Say what there is."""
    bench.note("device", bench.device.name)
    bench.note("why", bench.device.reason)
    bench.note("trainer", text.commit())
    versions = [f"Python {platform.python_version()}", f"NumPy {np.__version__}"]
    for name in _PACKAGES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    bench.note("versions", ", ".join(versions))
    bench.value("memory that is free", bench.device.memory() / 1e9, "GB")
    bench.value("float64 beside float32", bench.device.float64_cost, "times as long")
    if bench.tiny:
        return
    runtime = bench.xp.cuda.runtime
    found = runtime.getDeviceProperties(bench.xp.cuda.Device().id)
    words = f"{found['multiProcessorCount']} multiprocessors, {found['major']}.{found['minor']}"
    bench.note("multiprocessors and compute capability", words)
    driver, of_cupy = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    bench.note("CUDA", f"{_version(driver)} of the driver, {_version(of_cupy)} of CuPy")
    if shutil.which("nvidia-smi"):
        asked = "--query-gpu=name,driver_version,clocks.sm,clocks.mem,power.limit"
        command = ["nvidia-smi", asked, "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        bench.note("nvidia-smi", done.stdout.strip() or done.stderr.strip())


def _version(number: int) -> str:
    """12.8 of 12080."""
    return f"{number // 1000}.{number % 1000 // 10}"


def right(bench: Bench, case: str = "") -> None:
    """Train each model by each optimizer on the device and on the CPU; compare the weights."""
    cases = [f"{model} {precision}" for precision in PRECISIONS for model in MODELS]
    if not case:
        cases = [cases[0], cases[-2]] if bench.tiny else cases
        bench.share_out([*cases, *(["softmax tf32"] if has_tf32(bench.device) else [])])
        return
    model, precision = case.split()
    cpu = devices.cpu("the reference")
    for name in OPTIMIZERS if precision in PRECISIONS else ("sgd", "adam"):
        with bench.attempt(f"{model}, {name}, {precision}"):
            spec = spec_of(model, name, precision, bench.tiny)
            known = spec | ({} if precision in PRECISIONS else {"precision": "float32"})
            ours, reference = weights(spec, bench.device), weights(known, cpu)
            off = float(abs(ours - reference).max() / abs(reference).max())
            most = 1e-6 if name in _SOLVERS else CLOSE[precision]
            words = f"{off:.0e} of max|W| apart, {most:.0e} at most"
            bench.check(f"{model}, {name}, {precision}", off <= most, words)


def spec_of(model: str, name: str, precision: str, tiny: bool) -> dict[str, Any]:
    """Three columns of one of `OPTIMIZERS` on drawn rows."""
    rows, columns = (96, 5) if tiny else (2_000, 40)
    outputs = 1 if model in ("logistic", "poisson") else 3
    made = {"synthetic": {"rows": rows, "columns": columns, "outputs": outputs}}
    tree = {"model": model, "data": {"train": made}, "precision": precision}
    tree |= {"penalty": {"l2": 0.001}} | OPTIMIZERS[name]
    swept = "optimizer.weight_decay" if name == "adamw" else "penalty.l2"
    return tree | {"sweep": {"parameters": {swept: [0.0003, 0.003, 0.03]}}}


@default_errstate
def weights(tree: dict[str, Any], device: Device) -> Any:
    """Weights (D, C, K) that a run ends with."""
    with one_thread_a_product():
        sweep = set_up(load_spec(tree), None, device)
        train(sweep, NullObserver(lambda: None))
    found = [job.training.result.weights for job in sweep.jobs]
    return np.concatenate([one for one in found if one is not None], axis=2)


def stacking(bench: Bench) -> None:
    """Compare bits of a column among others, and at other places, in stacks of the same width."""
    for precision in PRECISIONS:
        for K in (3,) if bench.tiny else _WIDTHS:
            for outputs in (1, 10):
                name = f"{K} columns of {outputs} outputs, {precision}"
                with bench.attempt(name):
                    columns = Columns(bench.device, precision, K, outputs, bench.tiny)
                    bench.check(f"{name}: the same again", columns.again())
                    bench.check(f"{name}: beside others", columns.beside_others())
                    bits = (
                        "the same bits" if columns.moved() else "other bits: cuBLAS sums by place"
                    )
                    bench.note(f"{name}: at another place", bits)  # nobody promises that one
