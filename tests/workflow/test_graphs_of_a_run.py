"""What a run says of CUDA graphs: that it has them, or in one line why not, and it ends well."""

import json
from dataclasses import replace

import pytest
import shim
from double import Cupy

import trainer
from trainer import device as devices
from trainer.machine.cublas import Products

pytestmark = pytest.mark.skipif(shim.COMPILER is None, reason=shim.WHY_NOT)
ALONE = "a step is two products and two kernels, launched one by one: "
SPEC = {
    "model": "softmax",
    "data": {"train": {"synthetic": {"rows": 60, "columns": 4, "outputs": 3}}},
    "optimizer": {"name": "sgd", "epochs": 3, "batch_size": 8},
}


@pytest.fixture
def told(tmp_path, monkeypatch):
    """The log of a run on a device."""

    def run(device):
        monkeypatch.setattr(devices, "choose", lambda wanted: device)
        trainer.run(SPEC, out=tmp_path / "r")
        manifest = json.loads((tmp_path / "r" / "manifest.json").read_text("utf-8"))
        assert manifest["status"] == "finished"
        return (tmp_path / "r" / "run.log").read_text("utf-8")

    return run


@pytest.fixture
def device():
    return devices.from_cupy(Cupy(), "the double", twin="cuda")


def graphs(device):
    return sum(name.startswith("graph") for name in device.xp.launched) - 2  # of the smoke test


def test_it_has_them(told, device):
    log = told(device)
    assert "a step is two products and two kernels; CUDA graphs launch many steps at once" in log
    assert "one by one" not in log
    assert graphs(device) > 10


def test_they_may_be_left_out(told, device, monkeypatch):
    monkeypatch.setenv("STACKED_TRAINER_GRAPHS", "0")
    assert f"{ALONE}STACKED_TRAINER_GRAPHS is 0" in told(device)
    assert graphs(device) == 0


def test_why_they_cannot_be_had(told, device):
    assert f"{ALONE}no library" in told(replace(device, products=None, no_graphs="no library"))
    assert graphs(device) == 0


def test_one_that_fails_in_the_middle_of_a_run(told, device, monkeypatch):
    def failing(*_):
        raise RuntimeError("cudaErrorMemoryAllocation: out of memory\nand more")

    monkeypatch.setattr(Products, "captured", failing)
    log = told(device)
    said = "steps were launched one by one: cudaErrorMemoryAllocation: out of memory"
    (line,) = [line for line in log.splitlines() if "one by one" in line]
    assert line.endswith(f"  {said}")
    assert graphs(device) == 0
