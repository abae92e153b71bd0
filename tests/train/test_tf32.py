"""`precision: tf32`: the products of a step round what they multiply; all else is float32."""

import re
from dataclasses import replace

import numpy as np
import pytest
import shim
from double import Cupy
from stacks import CPU, LOSSES, initial, joined, make_problem, make_stack, start, train

import trainer
from trainer import device as devices
from trainer.config import load_spec
from trainer.errors import DeviceError
from trainer.model import kernels
from trainer.train.stack import Stack, stack_bytes
from trainer.workflow.plan import plan

with_our_kernels = pytest.mark.skipif(shim.COMPILER is None, reason=shim.WHY_NOT)
K = 3
BATCHES = {"mini-batches": 16, "full": None}  # of 60 rows
SPEC = {
    "model": "softmax",
    "data": {"train": "digits"},
    "optimizer": {"name": "sgd", "epochs": 1},
    "precision": "tf32",
}


def place(cupy, major=8):
    return devices.from_cupy(cupy, "the double", twin="cuda", major=major)


def stack_of(device, problem, *, tf32=True, batch=16, optimizer="sgd"):
    stack = make_stack(
        problem, optimizer, precision="float32", device=device, lr=[0.1, 0.3, 0.2],
        momentum=0.5, l2=0.01, eps=1e-4, batch_size=batch, steps=12,
    )  # fmt: skip
    settings = replace(stack.settings, tf32=tf32)
    return Stack(device, stack._model, stack.rows, problem.outputs, settings)


def trained(stack, problem, steps=None):
    """The weights and the loss of every step."""
    state = start(stack, *initial(problem, K))
    records = train(stack, state, steps)
    return stack.device.to_host(state.weights), joined(records, "loss")


def rounded(a):
    """The nearest numbers of 10 bits behind the first."""
    fraction, power = np.frexp(a)
    return np.ldexp(np.rint(fraction * 2**11), power - 11).astype(a.dtype)


@with_our_kernels
@pytest.mark.parametrize("batches", BATCHES)
@pytest.mark.parametrize("features", [4, 5])
@pytest.mark.parametrize("model", LOSSES)
def test_a_step_is_one_whose_products_round_what_they_multiply(
    model, features, batches, monkeypatch
):
    problem, cupy = make_problem(*model, features=features), Cupy()
    ours = trained(stack_of(place(cupy), problem, batch=BATCHES[batches]), problem, 1)
    stack = stack_of(place(Cupy()), problem, tf32=False, batch=BATCHES[batches])
    plain = trained(stack, problem, 1)
    true = np.matmul

    def in_tf32(self, a, b, out):
        if out.shape[-1] == problem.outputs * K:  # sums over rows are no products of a step
            a, b = rounded(a), rounded(b)
        true(a, b, out=out)

    monkeypatch.setattr(devices.Device, "matmul", in_tf32)
    text = stack_of(replace(CPU, twin="none"), problem, batch=BATCHES[batches])
    right = trained(text, problem, 1)
    for one, expected, other in zip(ours, right, plain, strict=True):
        largest = np.abs(expected).max()
        off, apart = np.abs(one - expected).max() / largest, np.abs(one - other).max() / largest
        assert off <= 3e-7
        assert apart >= 1e-6


@with_our_kernels
@pytest.mark.parametrize("batches", BATCHES)
@pytest.mark.parametrize("features", [1, 4, 5, 8])
def test_rows_begin_at_16_bytes_and_every_product_of_a_step_is_in_tf32(features, batches):
    problem, cupy = make_problem("softmax", features=features), Cupy()
    stack = stack_of(place(cupy), problem, batch=BATCHES[batches])
    cupy.cuda.products.clear()
    trained(stack, problem)
    assert {one.compute for one in cupy.cuda.products} == {77}
    width = -(-features // 4) * 4
    of_scores, of_gradient = cupy.cuda.products[0], cupy.cuda.products[1]
    assert of_scores.steps == (problem.outputs * K, width, problem.outputs * K)
    assert of_gradient.steps == (problem.outputs * K, width, problem.outputs * K)
    assert of_scores.addresses[1] == of_gradient.addresses[1]


@with_our_kernels
@pytest.mark.parametrize("batches", BATCHES)
def test_graphs_have_the_bits_of_steps_one_by_one(batches, monkeypatch):
    problem = make_problem("softmax", features=5)

    def training():
        stack = stack_of(place(Cupy()), problem, batch=BATCHES[batches], optimizer="adam")
        return [one.tobytes() for one in trained(stack, problem)]

    found = training()
    monkeypatch.setenv("STACKED_TRAINER_GRAPHS", "0")
    assert found == training()


@with_our_kernels
def test_padded_rows_are_made_once_for_all_stacks():
    problem, device = make_problem("softmax", features=5), place(Cupy())
    stack = stack_of(device, problem, batch=None)
    rows = stack.rows
    (wide,) = rows.wide.values()
    assert device.to_host(wide[:, :5]).tobytes() == device.to_host(rows.X).tobytes()
    assert not device.to_host(wide[:, 5:]).any()
    again = Stack(device, stack._model, rows.weighted(device, problem.p), 3, stack.settings)
    assert again.rows.wide[8] is wide
    assert rows.part(slice(0, 9)).wide == {}
    other = device.xp.zeros((60, 5), np.float32)
    assert rows.rotated(device, other, problem.p, problem.w).wide == {}
    four = stack_of(device, make_problem("softmax", features=4), batch=None)
    assert four.rows.wide == {}


@with_our_kernels
@pytest.mark.parametrize("batches", BATCHES)
@pytest.mark.parametrize(("features", "numbers"), [(4, 0), (5, 8)])
def test_the_bytes_of_a_stack_count_padded_rows(features, numbers, batches):
    problem, device = make_problem("softmax", features=features), place(Cupy())
    batch = BATCHES[batches]
    shape, padded = (features, 3, K), 4 * numbers * (batch or 60)
    plain, ours = (stack_bytes(device, shape, 60, batch, 4, 1, tf32=tf32) for tf32 in (False, True))
    assert ours - plain == padded
    of, pool, used = stack_of(device, problem, tf32=False, batch=batch), device.xp.pool, []
    for tf32 in (False, True):
        before = pool.used
        stack = Stack(device, of._model, of.rows, 3, replace(of.settings, tf32=tf32), held=10)
        used.append(pool.used - before)
        del stack
    assert 0 <= used[1] - used[0] - padded < 512


# --- runs -----------------------------------------------------------------------------------------


@with_our_kernels
def test_a_run_says_that_it_multiplies_in_tf32(tmp_path, monkeypatch):
    for name, device, words in (
        ("a", place(Cupy()), "products in TF32"),
        ("b", replace(place(Cupy()), products=None, no_graphs="no library"),
         "products in float32, not in TF32"),
    ):  # fmt: skip
        monkeypatch.setattr(devices, "choose", lambda wanted, chosen=device: chosen)
        trainer.run(SPEC, out=tmp_path / name)
        assert f"; {words}" in (tmp_path / name / "run.log").read_text("utf-8")
    fitted = trainer.load_model(tmp_path / "a")
    assert fitted.weights.dtype == np.float32


@pytest.mark.parametrize("value", ["0", "1", None])
def test_what_turns_tf32_off_in_nvidias_libraries_is_said(value, monkeypatch):
    monkeypatch.delenv("STACKED_TRAINER_COMPILED", raising=False)
    if value is None:
        monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    else:
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", value)
    off = "products in float32, not in TF32: NVIDIA_TF32_OVERRIDE is 0, which turns it off"
    assert kernels.told_of_tf32(True) == (off if value == "0" else "products in TF32")


@with_our_kernels
def test_trials_in_tf32_and_in_float32_are_stacks_of_their_own(tmp_path, monkeypatch):
    cupy = Cupy()
    monkeypatch.setattr(devices, "choose", lambda wanted: place(cupy))
    sweep = {"parameters": {"precision": ["float32", "tf32"]}}
    trainer.run({**SPEC, "sweep": sweep}, out=tmp_path / "r")
    assert {one.compute for one in cupy.cuda.products} == {68, 77}


def test_a_cpu_and_an_older_gpu_are_refused_in_one_line(tmp_path, monkeypatch):
    with pytest.raises(DeviceError) as caught:
        trainer.run({**SPEC, "device": "cpu"}, out=tmp_path / "r")
    assert str(caught.value) == (
        "precision: tf32 is for NVIDIA GPUs from Ampere on, and the device is the CPU (asked for);"
        " write float32"
    )
    assert not (tmp_path / "r").exists()
    with pytest.raises(DeviceError, match=re.escape(str(caught.value))):
        plan(load_spec({**SPEC, "device": "cpu"}))
    old = devices.from_cupy(Cupy(), "NVIDIA T4", major=7)
    with pytest.raises(
        DeviceError, match="from Ampere on, and NVIDIA T4 is none of them; write float32"
    ):
        old.check_tf32()
    devices.from_cupy(Cupy(), "NVIDIA A100", major=8).check_tf32()
