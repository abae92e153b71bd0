"""The room that is kept for the end of a run is what the end takes, or some more."""

import os

import pytest

import trainer
from trainer import device as devices
from trainer.config import load_spec
from trainer.runs.names import STEPS
from trainer.runs.writer import RunWriter
from trainer.sweep.sweep import set_up
from trainer.workflow.end_room import model_bytes, predicted_rows

BASE = {"model": "softmax", "data": {"train": "digits"}, "device": "cpu"}
LRS = {"parameters": {"optimizer.lr": [0.01, 0.03, 0.1, 0.3]}}
SPECS = {
    "plain": {**BASE, "optimizer": {"epochs": 40}},
    "steps": {**BASE, "optimizer": {"steps": 50}, "log": {"eval_every": 3}},
    "gradients": {
        **BASE,
        "optimizer": {"epochs": 2},
        "log": {"gradients": 10},
        "sweep": LRS,
    },
    "weights": {
        **BASE,
        "optimizer": {"epochs": 1, "batch_size": "full"},
        "log": {"weights": "all"},
        "repeat": {"folds": 3},
        "sweep": LRS,
    },
    "folds": {
        **BASE,
        "data": {"train": "digits", "val": "none", "test": 0.3},
        "optimizer": {"name": "lbfgs", "tol": 0.01},
        "repeat": {"folds": 3, "times": 4},
    },
    "targets": {
        "model": "linear",
        "data": {"train": {"synthetic": {"rows": 900, "columns": 8, "outputs": 300}}, "val": 0.3},
        "targets": "separate",
        "device": "cpu",
        "optimizer": {"name": "lbfgs", "tol": 0.01},
    },
    "solver": {**BASE, "optimizer": {"name": "lbfgs", "tol": 0.01}},
}


@pytest.mark.parametrize("name", SPECS)
def test_it_is_enough(name, tmp_path, monkeypatch):
    asked = []
    reserve = RunWriter.reserve

    def noted(self, size, on_the_way=0):
        asked.extend([size, on_the_way])
        return reserve(self, size, on_the_way)

    monkeypatch.setattr(RunWriter, "reserve", noted)
    run = trainer.run(SPECS[name], out=tmp_path / "r")
    sizes = {
        str(path.relative_to(run.folder)): path.stat().st_size
        for path in run.folder.rglob("*")
        if path.is_file()
    }
    gradients = sum(size for file, size in sizes.items() if file.startswith("gradients"))
    end = sum(sizes.values()) - sizes[STEPS] - gradients
    size, on_the_way = asked
    assert end < size < end + (8 << 20)
    assert gradients <= on_the_way <= 1.5 * gradients
    assert (gradients > 0) == (load_spec(SPECS[name]).log.gradients != "none")


@pytest.mark.parametrize("name", ["plain", "folds"])
def test_the_rows_that_are_predicted_are_counted(name, tmp_path):
    sweep = set_up(load_spec(SPECS[name]), None, devices.choose("cpu"))
    run = trainer.run(SPECS[name], out=tmp_path / "r")
    assert predicted_rows(sweep) == run.predictions().num_rows


def test_a_model_takes_no_more(tmp_path):
    run = trainer.run({**BASE, "optimizer": {"epochs": 1}}, out=tmp_path / "r")
    model = trainer.load_model(run.folder)
    taken = sum(os.path.getsize(run.folder / f"model.{end}") for end in ("json", "safetensors"))
    assert taken < model_bytes(model.weights, model.encoder.features) < taken + (1 << 20)
