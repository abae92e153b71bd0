"""What a solver means on a GPU whose float64 is slow: said once by a run, and by its plan."""

import io

import pytest
from double import Cupy

import trainer
from trainer.config import load_spec
from trainer.console.terminal import Terminal
from trainer.workflow.facts import solver_facts
from trainer.workflow.plan import plan

TOLD = (
    "float64 takes this GPU 64 times as long as float32, so device: cpu may be quicker, and so may"
    " an optimizer, which trains in float32"
)


def spec(name):
    optimizer = {"name": name} | ({"epochs": 1} if name == "sgd" else {"max_iter": 1})
    return {"model": "softmax", "data": {"train": "digits"}, "optimizer": optimizer}


def on(monkeypatch, cost):
    """Runs from now on are on a GPU that takes so many times as long in float64."""
    double = trainer.device.from_cupy(Cupy(), "the double", float64_cost=cost)
    monkeypatch.setattr(trainer.device, "choose", lambda wanted: double)


@pytest.mark.parametrize(("name", "cost"), [("auto", 64), ("auto", 2), ("lbfgs", 64), ("sgd", 64)])
def test_a_plan_says_what_slow_float64_means_to_a_solver(name, cost, monkeypatch):
    on(monkeypatch, cost)
    lines = dict(line.split(": ", 1) for line in plan(load_spec(spec(name))).splitlines())
    assert ("solver" in lines) == (name != "sgd" and cost == 64)
    if "solver" in lines:
        assert lines["solver"].startswith("lbfgs")
        assert lines["solver"].endswith(TOLD)


@pytest.mark.parametrize(("name", "cost"), [("auto", 64), ("auto", 2), ("sgd", 64)])
def test_a_run_says_it_in_one_line(name, cost, tmp_path, monkeypatch):
    on(monkeypatch, cost)
    heard = io.StringIO()
    trainer.run(spec(name), out=tmp_path / "r", terminal=Terminal(stream=heard))
    said = " ".join(heard.getvalue().split())
    assert said.count(TOLD) == (name == "auto" and cost == 64)
    assert ("float64 takes it 64 times as long" in said) == (cost == 64)  # wherever it runs


def test_no_solver_has_no_facts(monkeypatch):
    class Sweep:
        first = type("first", (), {"solver": None})

    assert solver_facts(Sweep) is None
