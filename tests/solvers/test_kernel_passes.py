"""A solver's pass over the rows through the CUDA text, on the double of CuPy, against NumPy's."""

from dataclasses import replace

import numpy as np
import pytest
import shim
import solving
from double import Cupy
from huber import ROW as HUBER
from problems import Problem
from stacks import CPU

from trainer import device as devices
from trainer.device import Sizes
from trainer.model import MODELS, compiled
from trainer.model.kernel_errors import KernelErrors
from trainer.solvers import passes
from trainer.solvers import problem as problem_module
from trainer.solvers.choose import Size
from trainer.solvers.costs import solver_bytes
from trainer.solvers.objective import Objective
from trainer.solvers.passes import NAMES, chunk_rows
from trainer.solvers.rotated_rows import rotate
from trainer.train.batches import RowSet

pytestmark = pytest.mark.skipif(shim.COMPILER is None, reason=shim.WHY_NOT)
SHAPES = [(1, 1, 1, 1), (70, 3, 2, 5), (150, 4, 3, 33), (40, 6, 12, 1)]  # N, D, C, K
CASES = [(*model, shape) for model in MODELS if model != ("linear", "squared_error")
         for shape in SHAPES]  # fmt: skip
CHUNKS = (9, 31, 1 << 20)  # rows at once


@pytest.fixture(autouse=True)
def text_on_the_cpu(monkeypatch):
    monkeypatch.delenv("STACKED_TRAINER_COMPILED", raising=False)  # of a suite without the library
    monkeypatch.setattr(compiled, "load", lambda: (None, "the text"))


@pytest.fixture
def chunks(monkeypatch):
    """Set how many rows go by at once."""

    def chosen(rows):
        monkeypatch.setattr(passes, "_CACHED", 0)
        monkeypatch.setattr(passes, "_FEWEST_ROWS", rows)

    return chosen


def on_double(twin="cuda"):
    """The double, as a device that wants no more at once than a CPU."""
    found = devices.from_cupy(Cupy(), "the double", twin=twin)
    return replace(found, sizes=Sizes(0, 1, 1e10, 256))


def objective(device, model, loss, shape, codes=False, bias=True, row=None):
    """The objective of K columns on drawn rows, with class weights."""
    N, D, C, K = shape
    draw = np.random.default_rng(5)
    X, p, r = draw.standard_normal((N, D)), draw.uniform(0.2, 2, N), draw.uniform(0.2, 2, N)
    label = draw.integers(0, C, N)
    y = {
        "linear": draw.standard_normal((N, C)),
        "logistic": draw.integers(0, 2, (N, C)).astype(float),
        "softmax": label if codes else np.eye(C)[label],
        "poisson": draw.poisson(2.0, (N, C)).astype(float),
    }[model]
    rows = RowSet(device, X, y, p / p.sum(), r / r.sum(), C)
    own = rotate(device, rows, p / p.sum(), r / r.sum(), bias, False, False, 0.1)
    l2 = np.linspace(0.1, 1, K)
    columns = problem_module.Problem(
        device, row or MODELS[model, loss], own.basis, C, bias, l2, np.zeros(K)
    )
    return Objective(columns, own.rows)


def evaluated(found, times=1):
    """Sums and gradient at drawn weights, after as many passes."""
    device, shape = found.device, found.problem.shape
    w = device.to_device(np.random.default_rng(1).standard_normal(shape))
    grad = device.xp.zeros(shape)
    for _ in range(times):
        sums = found.value(w, grad, full=True)
    return device.to_host(sums), device.to_host(grad)


def test_the_table_is_whole():
    assert len(CASES) == 5 * len(SHAPES)
    assert NAMES == ("mean", "loss", "error_squares", "error_max", "dz_squares", "grad_squares")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("model", "loss", "shape"), CASES)
def test_a_pass_is_the_texts(model, loss, shape, bias, chunks):
    right = evaluated(objective(CPU, model, loss, shape, bias=bias))
    for rows in CHUNKS:
        chunks(rows)
        ours = objective(on_double(), model, loss, shape, bias=bias)
        assert isinstance(ours._passes[0]._errors, KernelErrors)
        assert ours.chunk_rows == min(rows, shape[0])
        for one, expected in zip(evaluated(ours, 2), right, strict=True):
            np.testing.assert_allclose(one, expected, rtol=1e-11, atol=1e-13)


def test_targets_as_codes_are_the_same_targets():
    shape = (70, 3, 4, 5)
    ours = evaluated(objective(on_double(), "softmax", "auto", shape, codes=True))
    right = evaluated(objective(CPU, "softmax", "auto", shape))
    for one, expected in zip(ours, right, strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("model", ["linear", "softmax"])
def test_a_chunk_is_three_launches_and_nothing_is_allocated_but_the_sums(model):
    shape = (70, 3, 3, 4)
    cupy = Cupy()
    device = devices.from_cupy(cupy, "the double", twin="cuda")
    one = objective(device, model, "auto", shape)._passes[0]
    weights, offset = cupy.zeros((3, 3, 4)), cupy.zeros((3, 4))
    one.run(weights, offset, True, False)
    before = cupy.counts.now()
    one.run(weights, offset, True, False)
    assert cupy.counts.since(before)[:4] == (0, 0, 1, 4)  # and one that ends the pass


def test_the_order_of_threads_changes_no_bit(monkeypatch, chunks):
    chunks(31)
    found = []
    for order in (0, 1, 7):
        monkeypatch.setattr(shim.RawModule, "order", order)
        ours = objective(on_double(), "softmax", "auto", (150, 3, 3, 5))
        found.append([one.tobytes() for one in evaluated(ours)])
    assert found[0] == found[1] == found[2]


def test_a_broken_column_breaks_no_other():
    ours = objective(on_double(), "logistic", "auto", (70, 3, 2, 5))
    device = ours.device
    w = np.random.default_rng(1).standard_normal(ours.problem.shape)
    ends = []
    for value in (w[1, 0, 3], np.nan):
        w[1, 0, 3] = value
        grad = device.xp.zeros(w.shape)
        sums = ours.value(device.to_device(w), grad, full=True)
        ends.append([device.to_host(one) for one in (sums, grad)])
    rest = np.arange(5) != 3
    for healthy, broken in zip(*ends, strict=True):
        assert healthy[..., rest].tobytes() == broken[..., rest].tobytes()
        assert np.isnan(broken[..., 3]).any()


def test_rules_of_somebodys_own_go_by_their_text(monkeypatch):
    row = HUBER.with_parameters({"delta": 1.0})
    shape = (20, 3, 2, 4)
    assert objective(on_double(), "linear", "auto", shape, row=row)._passes[0]._errors is None
    plain = on_double(twin="none")
    assert objective(plain, "linear", "auto", shape)._passes[0]._errors is None
    monkeypatch.setenv("STACKED_TRAINER_COMPILED", "0")
    assert objective(on_double(), "linear", "auto", shape)._passes[0]._errors is None


@pytest.mark.parametrize(("model", "outputs"), [("logistic", 1), ("softmax", 5)])
def test_the_bytes_that_are_told_hold_a_gpus_chunks(model, outputs):
    rows, D, K = 20_000, 5, 32
    cupy, draw = Cupy(2**33), np.random.default_rng(0)
    device = devices.from_cupy(cupy, "the double", twin="cuda")
    label = draw.integers(0, max(outputs, 2), rows)
    y = np.eye(outputs)[label] if outputs > 1 else label[:, None] * 1.0
    p = np.full(rows, 1 / rows)
    problem = Problem(model, model, draw.standard_normal((rows, D)), y, p, 0, 0, True)
    l2 = np.geomspace(1e-3, 0.1, K)
    stack = solving.stack_of(problem, "lbfgs", l2, np.zeros(K), 1e-9, device=device)
    state = solving.start(stack)
    stack.advance(state, 3)
    stack.facts(state, np.ones(K, bool))
    assert stack.chunk_rows == rows
    size, method = Size(rows, D, outputs), stack.settings.method
    told = solver_bytes(size, K, MODELS[model, "auto"], method, False, device)
    assert cupy.pool.peak <= told <= 2 * cupy.pool.peak  # evaluations would take buffers too


def test_how_many_rows_go_by_at_once_is_the_devices_to_say():
    gpu = devices.from_cupy(Cupy(), "the double")
    assert chunk_rows(CPU, 10**7, 28, 64) == (3 << 18) // (8 * 92)
    assert chunk_rows(gpu, 10**7, 28, 64) == gpu.sizes.chunk_bytes // (8 * 92)
    assert chunk_rows(CPU, 100, 28, 64) == 100
    assert chunk_rows(CPU, 10**7, 2000, 96_000) == 256
