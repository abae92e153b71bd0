"""`precision: tf32` of a solver, from a spec to its results: what is made, said, and counted."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import shim
import solving
from double import Cupy
from problems import Problem

import trainer
from trainer import device as devices
from trainer.config import load_spec
from trainer.errors import DeviceError
from trainer.model import MODELS
from trainer.solvers import tf32_passes
from trainer.solvers.choose import Size
from trainer.solvers.costs import solver_bytes
from trainer.workflow import compiling
from trainer.workflow.plan import plan

pytestmark = pytest.mark.skipif(shim.COMPILER is None, reason=shim.WHY_NOT)
SPEC = {
    "model": "softmax",
    "data": {"train": {"synthetic": {"rows": 300, "columns": 5, "outputs": 3}}},
    "optimizer": {"name": "lbfgs"},
    "penalty": {"l2": 0.01},
    "precision": "tf32",
}
IN_TF32 = "rounds are in TF32 until its roundings show, the rest is in float64"
NOT_IN_TF32 = "all of it in float64, none in TF32"


@pytest.fixture
def cupy(monkeypatch):
    monkeypatch.delenv("STACKED_TRAINER_COMPILED", raising=False)
    found = Cupy()
    device = devices.from_cupy(found, "the double", twin="cuda", major=8)
    monkeypatch.setattr(devices, "choose", lambda wanted: device)
    return found


def test_a_run_says_how_it_goes_and_ends_as_in_float64(cupy, tmp_path):
    trainer.run(SPEC, out=tmp_path / "a")
    assert Counter(one.compute for one in cupy.cuda.products)[77] > 9
    assert f"lbfgs in float64: asked for; {IN_TF32}" in (tmp_path / "a/run.log").read_text("utf-8")
    (solver,) = json.loads((tmp_path / "a/manifest.json").read_text("utf-8"))["solver"]
    assert solver["reason"] == f"asked for; {IN_TF32}"
    trainer.run({**SPEC, "precision": "float32"}, out=tmp_path / "b")
    ours, right = (trainer.load_model(tmp_path / name) for name in "ab")
    assert ours.weights.dtype == right.weights.dtype == np.float64
    np.testing.assert_allclose(ours.weights, right.weights, atol=2e-6 / 0.01)


@pytest.mark.parametrize(
    "name", ["no products", "function by function", "overridden", "auto of a closed form"]
)
def test_what_has_no_round_in_tf32_says_so(name, cupy, tmp_path, monkeypatch):
    spec = SPEC
    if name == "no products":
        device = replace(devices.choose("gpu"), products=None)
        monkeypatch.setattr(devices, "choose", lambda wanted: device)
    elif name == "function by function":
        monkeypatch.setenv("STACKED_TRAINER_COMPILED", "0")
    elif name == "overridden":
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    else:
        made = {"rows": 300, "columns": 5, "outputs": 1}
        spec = {**SPEC, "model": "linear", "optimizer": {"name": "auto"}}
        spec["data"] = {"train": {"synthetic": made}}
    cupy.cuda.products.clear()
    trainer.run(spec, out=tmp_path / "r")
    assert NOT_IN_TF32 in (tmp_path / "r/run.log").read_text("utf-8")
    assert not cupy.cuda.products


def test_a_plan_tells_of_the_rows_in_float32(cupy):
    lines = dict(line.split(": ", 1) for line in plan(load_spec(SPEC)).splitlines())
    assert lines["solver"].endswith(f"{IN_TF32}; the rows in float32 for it take 1 MiB")
    plain = plan(load_spec({**SPEC, "precision": "float32"}))
    assert "solver: " not in plain


def test_kernels_of_both_precisions_are_compiled_before(cupy, monkeypatch):
    asked = []
    monkeypatch.setattr(compiling, "compile_kernels", lambda *given: asked.append(given[1:2]))
    for precision, wanted in (("tf32", ["float32", "float64"]), ("float32", ["float64"])):
        asked.clear()
        spec = load_spec({**SPEC, "precision": precision})
        compiling.compile_for(devices.choose("gpu"), spec, print)
        assert asked == [(wanted,)]


def test_rows_are_made_once_for_all_stacks(cupy, tmp_path, monkeypatch):
    made, true = [], tf32_passes.single_rows
    monkeypatch.setattr(
        tf32_passes, "single_rows", lambda *given: made.append(true(*given)) or made[-1]
    )
    sweep = {"parameters": {"penalty.l2": [0.3, 0.2, 0.1], "optimizer.max_iter": [50, 60]}}
    monkeypatch.setattr("trainer.sweep.fit_memory._SHARE", 3e-5)  # room for few columns at once
    assert "\nstacks: 6 of 1 column," in plan(load_spec({**SPEC, "sweep": sweep}))
    made.clear()
    trainer.run({**SPEC, "sweep": sweep, "select": {"refit": "none"}}, out=tmp_path / "r")
    assert len(made) == 1
    X = made[0].X
    assert (X.dtype, X.shape, X.strides[0]) == (np.float32, (240, 5), 32)
    assert abs(X.get().mean(axis=0)).max() < 1e-6  # without their mean


def test_a_cpu_is_refused_in_one_line(tmp_path):
    with pytest.raises(
        DeviceError, match=r"^precision: tf32 is for NVIDIA GPUs .*; write float32$"
    ):
        trainer.run({**SPEC, "device": "cpu"}, out=tmp_path / "r")
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(("model", "outputs"), [("logistic", 1), ("softmax", 5)])
def test_the_bytes_that_are_told_hold_rounds_in_tf32(model, outputs):
    rows, D, K = 20_000, 5, 32
    cupy, draw = Cupy(2**33), np.random.default_rng(0)
    device = devices.from_cupy(cupy, "the double", twin="cuda", major=8)
    label = draw.integers(0, max(outputs, 2), rows)
    y = np.eye(outputs)[label] if outputs > 1 else label[:, None] * 1.0
    p = np.full(rows, 1 / rows)
    problem = Problem(model, model, draw.standard_normal((rows, D)), y, p, 0, 0, True)
    l2, size = np.geomspace(1e-3, 0.1, K), Size(rows, D, outputs)
    told, taken = [], []
    for tf32 in (False, True):
        before = cupy.pool.used
        stack = solving.stack_of(problem, "lbfgs", l2, np.zeros(K), 1e-9, device=device, tf32=tf32)
        taken.append(cupy.pool.used - before)
        method = stack.settings.method
        told.append(solver_bytes(size, K, MODELS[model, "auto"], method, False, device, tf32))
        del stack
    more = taken[1] - taken[0]
    assert more <= told[1] - told[0] <= 1.5 * more
