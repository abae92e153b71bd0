"""Kernels are compiled before they are needed, and a run says so where that takes time."""

import json
import signal
import threading
import time
import types

import pytest
import shim
from double import Cupy
from double_kernels import record

import trainer
from trainer import device as devices
from trainer.catalog import MODELS
from trainer.cli import main
from trainer.errors import DeviceError
from trainer.model import kernels, round_kernels
from trainer.workflow import compiling, warm
from trainer.workflow.compiling import COMPILING, compile_kernels

SPEC = {
    "model": "softmax",
    "data": {"train": {"synthetic": {"rows": 60, "columns": 4, "outputs": 3}}},
    "optimizer": {"name": "sgd", "epochs": 1},
}


def device_that_takes(seconds, asked):
    """A device whose compiler takes so long, and `asked`, the list of what it compiled."""

    def RawModule(*, code, options):
        def get_function(name):
            time.sleep(seconds)
            asked.append((name, options))

        assert code in (kernels.text(), round_kernels.text())
        return types.SimpleNamespace(get_function=get_function)

    double = Cupy()
    double.RawModule = RawModule
    return devices.from_cupy(double, "a GPU", twin="cuda")


@pytest.mark.parametrize(("quiet", "told"), [(0.0, [COMPILING]), (60.0, [])])
def test_compiling_is_said_while_it_lasts(quiet, told, monkeypatch):
    monkeypatch.setattr(compiling, "_QUIET", quiet)
    lines, asked = [], []
    compile_kernels(device_that_takes(0.1, asked), "float64", lines.append)
    assert lines == told
    assert asked == [("update_sgd", kernels.options("float64"))]
    compile_kernels(device_that_takes(0, asked), "float64", lines.append, solver=True)
    assert asked[1:] == [asked[0], (round_kernels.KERNELS[0], round_kernels.options())]


def test_the_word_ends_with_a_compiler_that_fails(monkeypatch):
    monkeypatch.setattr(compiling, "_QUIET", 60.0)
    double = Cupy()
    double.RawModule = lambda **_: 1 / 0
    running = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        compile_kernels(devices.from_cupy(double, "a GPU", twin="cuda"), "float32", pytest.fail)
    assert threading.active_count() == running  # no timer is left behind


def test_kernels_that_find_no_room_on_a_gpu_are_one_line():
    def full(**_):
        raise RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: out of memory")

    double = Cupy()
    double.RawModule = full
    with pytest.raises(DeviceError, match="a GPU has not enough memory"):
        compile_kernels(devices.from_cupy(double, "a GPU", twin="cuda"), "float32", str)


def test_nothing_is_compiled_where_no_kernels_are_launched(monkeypatch):
    asked = []
    compile_kernels(devices.cpu("the tests"), "float32", pytest.fail)
    monkeypatch.setenv("STACKED_TRAINER_COMPILED", "0")
    compile_kernels(device_that_takes(0, asked), "float32", pytest.fail)
    assert asked == []


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_a_run_compiles_before_it_trains(optimizer, tmp_path, monkeypatch):
    double, asked = devices.from_cupy(Cupy(), "the double", twin=shim.TWIN), []
    monkeypatch.setattr(devices, "choose", lambda wanted: double)
    monkeypatch.setattr(
        "trainer.workflow.compiling.compile_kernels",
        lambda device, precision, tell, solver: asked.append((device, precision, solver)),
    )
    keys = {"name": optimizer} | ({"epochs": 1} if optimizer == "sgd" else {})
    trainer.run({**SPEC, "optimizer": keys}, out=tmp_path / "r")
    own = ("float32", False) if optimizer == "sgd" else ("float64", True)
    assert asked == [(double, *own)]
    told = "a step is two products and two kernels" in (tmp_path / "r" / "run.log").read_text()
    assert told == (optimizer == "sgd" and shim.TWIN == "cuda")


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_a_plan_says_that_it_compiles(optimizer, tmp_path, monkeypatch, capfd):
    double = devices.from_cupy(Cupy(), "the double", twin=shim.TWIN)
    monkeypatch.setattr(devices, "choose", lambda wanted: double)
    monkeypatch.setattr(
        "trainer.workflow.compiling.compile_kernels",
        lambda device, precision, tell, solver: tell(f"{precision} for {device.name}"),
    )
    config = tmp_path / "c.yaml"
    config.write_text(json.dumps({**SPEC, "optimizer": {"name": optimizer}}), encoding="utf-8")
    assert main(["run", str(config), "--plan"]) == 0
    out, err = capfd.readouterr()
    assert err == f"{'float32' if optimizer == 'sgd' else 'float64'} for the double\n"
    assert out.startswith("trials: 1 x 1 repeat\n")  # alone, for who reads the plan


@pytest.mark.skipif(shim.COMPILER is None, reason=shim.WHY_NOT)
def test_warm_compiles_both_precisions_and_trains_each_model(monkeypatch, capfd):
    double = devices.from_cupy(Cupy(), "the double", twin="cuda")
    monkeypatch.setattr(devices, "choose", lambda wanted: {"gpu": double}[wanted])
    monkeypatch.setattr(warm, "MODELS", {name: MODELS[name] for name in ("softmax", "linear")})
    assert main(["warm"]) == 0
    out, err = capfd.readouterr()
    lines = [line for line in err.splitlines() if line != COMPILING]
    assert lines[0].startswith("float32: each model")
    assert lines[1].startswith("float64: each model")
    assert lines[2].startswith("the double is warm after ")
    assert (len(lines), out) == (3, "")
    launched = set(double.xp.launched)
    assert {"error_step_squared_error", "error_step_categorical_cross_entropy"} < launched
    assert {"update_sgd", "update_adam"} < launched
    assert {"error_sums", "point_tried", "pair_choice"} < launched


def test_warm_stops_at_a_signal(monkeypatch):
    double = devices.from_cupy(Cupy(), "the double")
    monkeypatch.setattr(devices, "choose", lambda wanted: double)
    with pytest.raises(KeyboardInterrupt):
        warm.warm(pytest.fail, lambda: signal.SIGINT)


def test_without_a_gpu_warm_is_one_line(monkeypatch, capfd):
    def none(wanted):
        raise DeviceError(f"device: {wanted}: none here")

    monkeypatch.setattr(devices, "choose", none)
    assert main(["warm"]) == 2
    assert capfd.readouterr() == ("", "device: gpu: none here\n")


def test_small_runs_are_of_every_model_and_kind_of_optimizer():
    specs = [trainer.load_spec(spec) for spec in warm._small_runs("float64")]
    assert len(specs) == 8 * len(warm.MODELS) == 32
    assert {spec.precision for spec in specs} == {"float64"}
    more = [trainer.load_spec(spec) for spec in warm._small_runs("float32")]
    assert len(more) == (8 + 13) * 4 + 4
    assert {spec.optimizer.name for spec in more} == {"sgd", "adam", "auto", "lbfgs", "newton"}


def other(model, optimizer, rows=211, columns=7, outputs=4, **keys):
    """A spec of shapes that `warm` has not."""
    made = {"rows": rows, "columns": columns, "outputs": outputs}
    return {"model": model, "data": {"train": {"synthetic": made}}, "optimizer": optimizer, **keys}


SGD = {"name": "sgd", "epochs": 3, "batch_size": 50, "nesterov": True}
AUTO = {"name": "auto"}
L2 = {"parameters": {"penalty.l2": [0.3, 0.02, 0.004, 0.0005]}}
L1 = {"parameters": {"penalty.l1": [0.05, 0.005, 0.001]}}
RATES = {"parameters": {"optimizer.lr": [0.002, 0.2, 1e4, 1e15, 0.01]}}
OTHERS = {
    "one column": other("linear", SGD, outputs=1),
    "columns that break": other("poisson", SGD, outputs=1, sweep=RATES, repeat={"folds": 3}),
    "halving": other(
        "softmax",
        {"name": "adamw", "epochs": 6, "batch_size": 50},
        penalty={"l2": 0},
        sweep=RATES | {"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 2}},
    ),
    "float64": other("logistic", SGD, outputs=2, precision="float64", sweep=RATES),
    "many rows": other("logistic", SGD | {"batch_size": 999}, rows=20_000, outputs=1),
    "a path": other("linear", AUTO, columns=23, penalty={"l2": 0}, sweep=L1),
    "many penalties": other("poisson", AUTO, sweep=L2),
    "Newton, with l1": other("softmax", {"name": "newton"}, penalty={"l1": 0.03}, sweep=L2),
    "no bias": other("logistic", {"name": "lbfgs"}, outputs=1, bias=False),
    "more features than rows": other("softmax", AUTO, rows=70, columns=130),
    "more rows": other("logistic", AUTO, rows=15_000, columns=9, outputs=1),
    "digits": {"model": "softmax", "data": {"train": "digits"}, "optimizer": AUTO},
    "float64, to the optimum": other("linear", AUTO, precision="float64", sweep=L2),
    "TF32": other("softmax", {"name": "lbfgs"}, precision="tf32", sweep=L2),
    "TF32, one column": other("poisson", {"name": "lbfgs"}, precision="tf32", outputs=1),
}


@pytest.mark.slow
@pytest.mark.skipif(shim.COMPILER is None, reason=shim.WHY_NOT)
def test_after_warm_other_runs_compile_nothing(tmp_path, monkeypatch):
    assert len(OTHERS) == 15
    double = devices.from_cupy(Cupy(), "the double", twin="cuda", major=8)
    monkeypatch.setattr(devices, "choose", lambda wanted: double)
    found = record(double.xp)
    warm.warm(lambda line: None, lambda: None)
    known = set(found)
    assert len(known) > 150
    for name, spec in OTHERS.items():
        found.clear()
        trainer.run(spec, out=tmp_path / name.replace(" ", "-"))
        assert len(found) > 20, name
        assert found - known == set(), name
