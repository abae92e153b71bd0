"""What a run would take: of solvers the most, and without an iteration that may take minutes."""

import re
import time

import numpy as np
import pytest
import shim
from double import Cupy
from stacks import DEVICE

import trainer
from trainer import device as devices
from trainer.config import load_spec
from trainer.solvers import costs
from trainer.solvers.hessians import Hessians
from trainer.sweep.fit_memory import graphs_needed
from trainer.sweep.sweep import set_up
from trainer.workflow.plan import plan

BASE = {"model": "softmax", "data": {"train": "digits"}, "device": DEVICE.kind}


def lines_of(**keys):
    return dict(line.split(": ", 1) for line in plan(load_spec(BASE | keys)).splitlines())


@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_no_hessian_is_made(penalty, monkeypatch):
    made = []
    monkeypatch.setattr(Hessians, "whole", lambda *args: made.append(1))
    monkeypatch.setattr(Hessians, "part", lambda *args: made.append(1))
    sweep = {"parameters": {f"penalty.{penalty}": [0.01, 0.1]}}
    time_line = lines_of(optimizer={"name": "newton"}, sweep=sweep)["time"]
    assert not made
    assert "for its Hessians (estimated from their operations)" in time_line
    most, rows, hessians = (
        float(found.replace(",", "")) for found in re.findall(r"\d[\d.,e-]*(?= )", time_line)
    )
    assert most == pytest.approx(1000 * (rows + hessians), rel=0.2)


def test_a_large_newton_stack_is_planned_within_seconds():
    data = {"train": {"synthetic": {"rows": 20000, "columns": 300, "outputs": 10}}}
    sweep = {"parameters": {"penalty.l2": [1e-4, 1e-3, 1e-2, 1e-1]}}
    started = time.monotonic()
    lines = lines_of(data=data, optimizer={"name": "newton"}, sweep=sweep)
    assert time.monotonic() - started < 10  # an iteration takes longer
    hessians = 3 * 8 * 3010**2  # one at a time
    arrays = lines.get("GPU memory", lines["peak memory"])
    assert int(arrays.split()[0]) > hessians >> 20


@pytest.mark.parametrize("name", ["lbfgs", "newton", "auto"])
def test_a_solver_has_iterations_and_usually_fewer(name):
    lines = lines_of(optimizer={"name": name, "max_iter": 70})
    assert lines["steps"] == "at most 70 iterations a column, usually fewer"
    assert lines["log"] == f"at most {70 * 44:,} bytes"
    assert re.match(r"at most [\d.,]+ seconds, usually far less; \S+ an iter", lines["time"])
    assert ("Hessian" in lines["time"]) == (name == "newton")  # auto's come later than 70


def test_steps_and_iterations_side_by_side():
    sweep = {"zip": [{"optimizer.name": "sgd"}, {"optimizer.name": "lbfgs"}], "parameters": {}}
    lines = lines_of(sweep=sweep)
    told = "360 in 30 epochs and at most 1,000 iterations a column, usually fewer"
    assert lines["steps"] == told
    assert lines["time"].startswith("at most ")


def test_a_first_order_run_is_timed_whole():
    lines = lines_of(optimizer={"epochs": 2})
    assert lines["steps"] == "24 in 2 epochs"
    assert re.fullmatch(r"[\d.,]+ seconds", lines["time"])


def test_hessians_that_a_gpu_has_no_room_for_are_told_with_the_room_there_is(monkeypatch):
    """Which others who use it may have left us little of."""
    double = devices.from_cupy(Cupy(2**18), "the double")
    monkeypatch.setattr(devices, "choose", lambda wanted: double)
    rows = {"synthetic": {"rows": 50, "columns": 30, "outputs": 3}}
    told = (
        r"^optimizer.name: newton would hold Hessians of 93 x 93, which is 0.066 MiB each,"
        r" where 0.2\d* MiB in all are there; lbfgs or auto is right$"
    )
    with pytest.raises(trainer.DataError, match=told):
        lines_of(data={"train": rows}, optimizer={"name": "newton"})


@pytest.mark.parametrize(
    ("features", "batch", "steps"), [(100, 64, [3]), (100, "full", [3]), (2000, 100, [20, 60])]
)
def test_the_memory_of_a_gpu_is_told_beside_the_hosts(
    features, batch, steps, tmp_path, monkeypatch
):
    """As much as a run has there, where some columns leave before others as well."""
    rows = {"synthetic": {"rows": 2_000_000 // features, "columns": features, "outputs": 3}}
    optimizer = {"name": "sgd", "batch_size": batch}
    lr = [n / 1000 for n in range(1, 41)]
    sweep = {"parameters": {"optimizer.lr": lr, "optimizer.steps": steps}}
    spec = BASE | {"data": {"train": rows}, "optimizer": optimizer, "sweep": sweep}
    spec |= {"device": "gpu"}

    def on_a_gpu():
        double = devices.from_cupy(Cupy(2**28), "the double")
        monkeypatch.setattr(devices, "choose", lambda wanted: double)
        return double.xp.pool

    on_a_gpu()
    lines = dict(line.split(": ", 1) for line in plan(load_spec(spec)).splitlines())
    told, room = map(int, re.fullmatch(r"(\d+) MiB of (\d+) MiB", lines["GPU memory"]).groups())
    pool = on_a_gpu()
    trainer.run(spec, out=tmp_path / "r")
    assert room == 256
    assert pool.peak <= told * 2**20 < 2 * pool.peak


@pytest.mark.skipif(shim.COMPILER is None, reason=shim.WHY_NOT)
def test_the_memory_of_a_gpu_counts_graphs_and_the_room_of_products(monkeypatch):
    """Which are beside the pool, and in it before a plan is made."""
    monkeypatch.delenv("STACKED_TRAINER_COMPILED", raising=False)
    spec = load_spec(BASE | {"device": "gpu", "optimizer": {"name": "sgd", "batch_size": 64}})

    def told():
        double = devices.from_cupy(Cupy(2**28), "the double", twin="cuda")
        monkeypatch.setattr(devices, "choose", lambda wanted: double)
        assert double.taken() > 4 * 2**20  # the workspace of cuBLAS
        lines = dict(line.split(": ", 1) for line in plan(spec).splitlines())
        return int(re.match(r"(\d+) MiB", lines["GPU memory"])[1])

    with_graphs = told()
    monkeypatch.setenv("STACKED_TRAINER_GRAPHS", "0")
    graphs = (32 + 1) * 7 * 2**16 / 2**20
    assert with_graphs - told() == pytest.approx(graphs, abs=1)
    small = devices.from_cupy(Cupy(2**28), "the double", twin="cuda")
    monkeypatch.delenv("STACKED_TRAINER_GRAPHS")
    rows = set_up(spec, None, small)
    planned = rows.arrangement.stacks[0]
    assert graphs_needed(planned.spec, 1, rows.first.device_rows) == graphs * 2**20
    assert rows.arrangement.bytes > graphs * 2**20


@pytest.mark.parametrize(
    ("name", "model", "rows", "turned"),
    [
        ("exact", "linear", 3000, True),
        ("exact", "linear", 400, True),  # by singular values of the rows
        ("auto", "logistic", 1200, True),
        ("lbfgs", "logistic", 200, False),  # of so few none is large
    ],
)
def test_no_large_decomposition_is_made(name, model, rows, turned, monkeypatch):
    made = []
    for one in ("eigh", "svd", "qr"):
        monkeypatch.setattr(np.linalg, one, lambda *args, **keys: made.append(1))
    data = {"train": {"synthetic": {"rows": rows, "columns": 600, "outputs": 1}}}
    if not turned:
        monkeypatch.undo()
    lines = lines_of(model=model, data=data, optimizer={"name": name})
    assert not made
    assert ("before, to turn the rows (estimated)" in lines["time"]) == turned


def test_what_a_decomposition_takes_is_in_the_plan(monkeypatch):
    """Of rows with other weights it is another."""
    told = costs.BasisWork(1e30, 3 * 2**40)
    monkeypatch.setattr(costs, "basis_work", lambda *args: told)
    sweep = {"parameters": {"penalty.l2": [0.01, 0.1], "class_weight": ["none", "balanced"]}}
    lines = lines_of(optimizer={"name": "lbfgs"}, sweep=sweep)
    arrays = lines.get("GPU memory", lines["peak memory"])
    assert 3 * 2**20 < int(arrays.split()[0]) < 4 * 2**20
    total, before = (
        float(re.search(form, lines["time"])[1].replace(",", ""))
        for form in (r"at most ([\d,.]+) seconds", r"([\d,.e+]+) before, to turn")
    )
    assert total == pytest.approx(before, rel=1e-3)
