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
from trainer.workflow.compiling import (
    COMPILING,
    MEETING,
    compile_for,
    compile_kernels,
    said_as_met,
)
from trainer.workflow.plan import plan

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
    compile_kernels(device_that_takes(0.1, asked), ["float64"], lines.append)
    assert lines == told
    assert asked == [("update_sgd", kernels.options("float64"))]
    compile_kernels(device_that_takes(0, asked), ["float64"], lines.append, solver=True)
    assert asked[1:] == [asked[0], (round_kernels.KERNELS[0], round_kernels.options())]


def test_the_word_ends_with_a_compiler_that_fails(monkeypatch):
    monkeypatch.setattr(compiling, "_QUIET", 60.0)
    double = Cupy()
    double.RawModule = lambda **_: 1 / 0
    running = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        compile_kernels(devices.from_cupy(double, "a GPU", twin="cuda"), ["float32"], pytest.fail)
    assert threading.active_count() == running  # no timer is left behind


def test_kernels_that_find_no_room_on_a_gpu_are_one_line():
    def full(**_):
        raise RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: out of memory")

    double = Cupy()
    double.RawModule = full
    with pytest.raises(DeviceError, match="a GPU has not enough memory"):
        compile_kernels(devices.from_cupy(double, "a GPU", twin="cuda"), ["float32"], str)


def test_nothing_is_compiled_where_no_kernels_are_launched(monkeypatch):
    asked = []
    compile_kernels(devices.cpu("the tests"), ["float32"], pytest.fail)
    monkeypatch.setenv("STACKED_TRAINER_COMPILED", "0")
    compile_kernels(device_that_takes(0, asked), ["float32"], pytest.fail)
    assert asked == []


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_a_run_compiles_before_it_trains(optimizer, tmp_path, monkeypatch):
    double, asked = devices.from_cupy(Cupy(), "the double", twin=shim.TWIN), []
    monkeypatch.setattr(devices, "choose", lambda wanted: double)
    monkeypatch.setattr(
        "trainer.workflow.compiling.compile_kernels",
        lambda device, precisions, tell, solver: asked.append((device, precisions, solver)),
    )
    keys = {"name": optimizer} | ({"epochs": 1} if optimizer == "sgd" else {})
    trainer.run({**SPEC, "optimizer": keys}, out=tmp_path / "r")
    own = (["float32"], False) if optimizer == "sgd" else (["float64"], True)
    assert asked == [(double, *own)]
    told = "a step is two products and two kernels" in (tmp_path / "r" / "run.log").read_text()
    assert told == (optimizer == "sgd" and shim.TWIN == "cuda")


def test_all_precisions_of_a_sweep_are_compiled_ahead(monkeypatch):
    asked = []
    monkeypatch.setattr(compiling, "compile_kernels", lambda *given: asked.append(given[1:]))
    axes = {"precision": ["float32", "tf32", "float64"]}
    sweep = {**SPEC, "sweep": {"parameters": axes}}
    solver = {**SPEC, "optimizer": {"name": "lbfgs"}}
    for spec in (SPEC, sweep, solver, solver | {"sweep": sweep["sweep"]}):
        compile_for(devices.cpu("the tests"), trainer.load_spec(spec), str)
    assert asked == [
        (["float32"], str, False),
        (["float32", "float64"], str, False),
        (["float64"], str, True),
        (["float32", "float64"], str, True),
    ]


class Cache:
    """A folder of kernels, and the lines that are told of it while a block lasts."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.lines = folder, []
        monkeypatch.setenv("CUPY_CACHE_DIR", str(folder))
        monkeypatch.setattr(compiling, "_LOOKS", 0.01)
        monkeypatch.setattr(compiling, "_CALM", 0.05)

    def compiles(self, *names):
        for name in names:
            (self.folder / name).write_bytes(b"")

    def said(self, count):
        """Wait until so many lines have been told."""
        end = time.monotonic() + 20
        while len(self.lines) < count and time.monotonic() < end:
            time.sleep(0.01)
        return self.lines


@pytest.fixture
def cache(tmp_path, monkeypatch):
    return Cache(tmp_path, monkeypatch)


GPU = types.SimpleNamespace(kind="gpu")


def test_kernels_of_cupy_are_said_while_they_are_compiled(cache):
    cache.compiles("old.cubin")
    running = threading.active_count()
    with said_as_met(GPU, cache.lines.append):
        cache.compiles("some.tmp", "its.cubin.cu")  # what CuPy writes beside it
        time.sleep(0.1)
        assert cache.lines == []
        cache.compiles("new.cubin")
        assert cache.said(1)[0] == MEETING
        cache.compiles("another.cubin")
        assert cache.said(2)[1].startswith(("1 kernel of", "2 kernels of"))
        many = len(cache.said(2))
        cache.compiles("later.cubin")
        cache.said(many + 2)
    assert cache.lines[-2:] == [MEETING, "1 kernel of CuPy compiled, and kept for later runs"]
    assert threading.active_count() == running


def test_nothing_is_said_where_nothing_is_compiled(cache):
    cache.compiles("old.cubin")
    running = threading.active_count()
    with said_as_met(GPU, cache.lines.append):
        time.sleep(0.1)
    with said_as_met(devices.cpu("the tests"), cache.lines.append):
        assert threading.active_count() == running  # nobody looks
        cache.compiles("new.cubin")
        time.sleep(0.1)
    assert cache.lines == []
    assert threading.active_count() == running


def test_a_cache_that_is_not_there_and_a_log_that_is_full_cost_nothing(cache, monkeypatch):
    monkeypatch.setenv("CUPY_CACHE_DIR", str(cache.folder / "none"))

    def full(line):
        cache.lines.append(line)
        raise OSError("no space left on device")

    with said_as_met(GPU, full):
        time.sleep(0.05)
        (cache.folder / "none").mkdir()
        cache.compiles("none/new.cubin")
        assert cache.said(1) == [MEETING]


def test_an_error_within_ends_the_looks(cache):
    running = threading.active_count()
    with pytest.raises(ZeroDivisionError), said_as_met(GPU, cache.lines.append):
        1 / 0  # noqa: B018
    assert threading.active_count() == running


def test_a_run_a_plan_and_warm_say_what_is_compiled_as_it_is_met(cache, tmp_path, monkeypatch):
    double = devices.from_cupy(Cupy(), "the double")
    monkeypatch.setattr(devices, "choose", lambda wanted: double)
    began, folder = [], tmp_path / "r"

    def look(tell, first, cache, known, ended):
        began.append((first, cache, known))
        tell("told")

    def compile_ours(*given):
        (tmp_path / f"{len(began)}.cubin").write_bytes(b"")  # is none of CuPy's

    monkeypatch.setattr(compiling, "_look", look)
    monkeypatch.setattr(compiling, "compile_kernels", compile_ours)
    lines = []
    trainer.run(SPEC, out=folder)
    plan(trainer.load_spec(SPEC), lines.append)
    monkeypatch.setattr(warm, "_small_runs", lambda precision: [])
    warm.warm(lines.append, lambda: None)
    told = [(MEETING, tmp_path, 1), (MEETING, tmp_path, 2), (warm._MEETING, tmp_path, 2)]
    assert began == told
    assert "told\n" in (folder / "run.log").read_text()
    assert lines.count("told") == 2


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_a_plan_says_that_it_compiles(optimizer, tmp_path, monkeypatch, capfd):
    double = devices.from_cupy(Cupy(), "the double", twin=shim.TWIN)
    monkeypatch.setattr(devices, "choose", lambda wanted: double)
    monkeypatch.setattr(
        "trainer.workflow.compiling.compile_kernels",
        lambda device, precisions, tell, solver: tell(f"{precisions[0]} for {device.name}"),
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
