"""The CUDA text of a round of L-BFGS, on a CPU by tests/shim.py, against the NumPy functions."""

from dataclasses import replace

import numpy as np
import pytest
import shim
import solving
from double import Cupy
from problems import problems
from stacks import CPU

from trainer import device as devices
from trainer.model import MODELS, compiled, round_kernels
from trainer.model.round_kernels import KERNELS, RoundBlocks
from trainer.solvers.basis import Basis
from trainer.solvers.directions import Directions
from trainer.solvers.hessians import Hessians
from trainer.solvers.kernel_rounds import kernel_rounds
from trainer.solvers.problem import Problem
from trainer.solvers.progress import SolverState, at_start
from trainer.solvers.slopes import SLOPES, Tried
from trainer.train.batches import RowSet

pytestmark = pytest.mark.skipif(shim.COMPILER is None, reason=shim.WHY_NOT)
PAIRS = 4
# r, C, K, whether there is a bias; the last with many blocks and tiles of rows
SHAPES = [(1, 1, 1, False), (5, 1, 1, True), (30, 1, 7, True), (9, 3, 16, False), (40, 5, 33, True)]
COUNTS = [(1, 0), (3, 2), (12, 4)]  # steps, and pairs there are then
ARRAYS = ("w", "g", "s", "y", "rho")


@pytest.fixture(autouse=True)
def text_on_the_cpu(monkeypatch):
    monkeypatch.delenv("STACKED_TRAINER_COMPILED", raising=False)  # of a suite without the library
    monkeypatch.setattr(compiled, "load", lambda: (None, "the text"))


@pytest.fixture(params=["blocks of a GPU", "small blocks"])
def _blocks(request, monkeypatch):
    if request.param == "small blocks":
        monkeypatch.setattr(round_kernels, "_BLOCKS", 16)
        monkeypatch.setattr(round_kernels, "_TILE", 7)
        monkeypatch.setattr(round_kernels, "_THREADS", 64)


def on_double():
    return devices.from_cupy(Cupy(), "the double", twin="cuda")


class Round:
    """Directions of a device at a state that is drawn: the same numbers on any device."""

    def __init__(
        self,
        device,
        shape,
        step,
        l1=0.0,
        pairs=PAIRS,
        change=lambda name, array: array,
        model="linear",
    ):
        r, C, K, bias = shape
        draw = np.random.default_rng(7)
        P = r + bias
        self.device, self.shape = device, (P, C, K)

        def drawn(name, *shape, low=None):
            found = draw.standard_normal(shape) if low is None else draw.uniform(low, 2, shape)
            return device.to_device(change(name, found))

        s, rise = draw.standard_normal((2, pairs, P, C, K))
        y = s + 0.3 * rise
        rho = 1 / (s * y).sum(axis=(1, 2))
        rho[1::2, ::2] = 0  # pairs that do not count
        basis = Basis(np.zeros(r), None, drawn("spectrum", r, low=0.1), 0)
        columns = Problem(
            device,
            MODELS[model, "auto"],
            basis._replace(mean=device.to_device(basis.mean)),
            C,
            bias,
            np.where(np.arange(K) % 4 == 1, 0, draw.uniform(0.1, 2, K)),
            np.full(K, l1),
        )
        rows = RowSet(device, np.ones((1, r)), np.ones((1, C)), np.ones(1), np.ones(1), C)
        free = device.xp.empty(self.shape)
        self.directions = Directions(columns, Hessians(columns, rows), pairs, free)
        progress = at_start(K, draw.uniform(0.1, 1, K), np.zeros(K, bool))
        self.state = SolverState(step, progress, live=np.ones(K, bool))
        kept = {"s": s, "y": y, "rho": rho}
        w = draw.standard_normal((P, C, K))
        w[draw.uniform(size=w.shape) < 0.4] = 0  # as l1 has them
        self.state.arrays = {
            "w": device.to_device(change("w", w)),
            "g": drawn("g", P, C, K),
            "d": drawn("d", P, C, K),
            **{name: device.to_device(change(name, array)) for name, array in kept.items()},
        }
        self.tried = Tried(*(drawn(name, P, C, K) for name in Tried._fields))
        self.columns, self.which = columns, np.arange(K) % 5 != 1
        self.l1 = l1

    def try_points(self):
        length, within = np.linspace(0, 1, self.shape[2]), np.arange(self.shape[2]) % 4 != 1
        self.directions.try_points(self.state, length, within, self.tried)
        return [self.device.to_host(one) for one in (self.tried.point, self.tried.step)]

    def slopes(self):
        found = self.device.to_host(self.directions.slopes(self.state, self.tried))
        return dict(zip(SLOPES, found, strict=False))

    def take(self, slopes):
        moved = np.arange(self.shape[2]) % 3 != 2
        self.directions.take(self.state, self.which, moved & self.which, self.tried, slopes)
        return {name: self.device.to_host(self.state.arrays[name]) for name in ARRAYS}

    def direct(self):
        """The directions of some columns, 0 of all others; and the state after."""
        device, shape = self.device, self.shape
        xp, a = device.xp, self.state.arrays
        new, free = xp.zeros(shape), xp.empty(shape)
        self.directions.quasi_newton(self.state, self.which, free, new)
        return device.to_host(new), device.to_host(a["rho"])


def rounds(shape, step, **given):
    return Round(on_double(), shape, step, **given), Round(CPU, shape, step, **given)


def agree(found, right):
    np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-12 * max(np.abs(right).max(), 1))


def test_the_tables_are_whole():
    assert tuple(shim._KERNEL.findall(round_kernels.text())) == KERNELS
    assert len(SLOPES) == round_kernels.SUMS
    assert len(SHAPES) * len(COUNTS) == 15
    assert round_kernels.text().isascii()


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("l1", [0.0, 0.5])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_a_round_decides_on_is_the_texts(shape, l1):
    ours, text = rounds(shape, 3, l1=l1)
    found, right = ours.slopes(), text.slopes()
    assert (tuple(found), tuple(right)) == (SLOPES, SLOPES[:-1])
    for name, value in right.items():
        agree(found[name], value)
    gradient = text.tried.gradient[: shape[0]]
    agree(found["grad_squares"], (gradient * gradient).sum(axis=(0, 1)))


@pytest.mark.parametrize("l1", [0.0, 0.5])
@pytest.mark.parametrize("shape", SHAPES)
def test_points_along_the_directions_are_the_texts(shape, l1):
    ours, text = rounds(shape, 3, l1=l1)
    for found, right in zip(ours.try_points(), text.try_points(), strict=True):
        np.testing.assert_array_equal(found, right)
    assert not l1 or shape == SHAPES[0] or (right == -CPU.to_host(text.state.arrays["w"])).any()


@pytest.mark.parametrize("shape", SHAPES)
def test_points_are_taken_and_pairs_are_written(shape):
    ours, text = rounds(shape, 6)
    slopes = text.slopes()
    found, right = ours.take(slopes), text.take(slopes)
    for name in ARRAYS:
        np.testing.assert_array_equal(found[name], right[name])
    np.testing.assert_array_equal(ours.state.progress.gamma, text.state.progress.gamma)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("l1", [0.0, 0.5])
@pytest.mark.parametrize(("step", "count"), COUNTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_directions_are_the_texts(shape, step, count, l1):
    assert min(PAIRS, step - 1) == count
    ours, text = rounds(shape, step, l1=l1)
    (found, rho), (right, same) = ours.direct(), text.direct()
    agree(found, right)
    np.testing.assert_array_equal(rho, same)
    assert not found[..., ~ours.which].any()
    if l1:
        assert ((found == 0) == (right == 0)).all()


@pytest.mark.parametrize("l1", [0.0, 0.5])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_gauge_of_softmax_is_fixed_as_by_the_text(shape, l1):
    ends = []
    for one in rounds(shape, 3, l1=l1, model="softmax"):
        new = one.device.xp.zeros(one.shape)
        new += one.tried.point
        none = np.zeros(shape[2], bool)
        one.directions.fix_gauge(one.state, none, new)
        ends.append(one.device.to_host(new))
    agree(*ends)
    assert l1 or shape[1] == 1 or abs(ends[0] - CPU.to_host(one.tried.point)).min() > 0


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_not_downhill_is_the_slope_and_its_pairs_are_forgotten(shape):
    def faint(name, array):  # pairs that hardly count
        if name == "rho":
            array[:, 0] = 1e-4
        return array

    ours, text = rounds(shape, 12, change=faint)
    for one in (ours, text):
        one.state.progress.gamma[0] = -50  # H₀ and all of H point the wrong way
    (found, rho), (right, same) = ours.direct(), text.direct()
    agree(found, right)
    np.testing.assert_array_equal(rho, same)
    assert (rho[:, 0] == 0).all()
    curvature = -50 * text.directions._spectrum
    curvature[: shape[0]] += text.columns.host_l2[0]
    slope = text.state.arrays["g"][:, :, 0]
    np.testing.assert_allclose(found[:, :, 0], -slope / curvature[:, None], rtol=1e-13)


def test_many_pairs_leave_their_table_in_shared_memory():
    for pairs in (10, 40, 64):
        for columns in (1, 7, 200):
            blocks = RoundBlocks.of(500, 5, columns, pairs)
            for how in (blocks.sums, blocks.products, blocks.factors):
                assert 8 * how.shared <= shim.SHARED
    ours, text = rounds((9, 3, 16, True), 60, pairs=40)
    agree(ours.direct()[0], text.direct()[0])
    assert kernel_rounds(ours.columns, 77, ours.directions._spectrum) is None


@pytest.mark.usefixtures("_blocks")
def test_the_order_of_threads_changes_no_bit(monkeypatch):
    ends = []
    for order in (0, 1, 7):
        monkeypatch.setattr(shim.RawModule, "order", order)
        one = Round(on_double(), (40, 5, 33, True), 12)
        sums = one.slopes()
        taken = one.take(sums)
        arrays = [*sums.values(), *taken.values(), *one.direct()]
        ends.append([array.tobytes() for array in arrays])
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.parametrize("columns", [3, 40])
def test_a_columns_bits_are_the_same_in_any_place(columns):
    def alike(name, array):
        array[...] = array[..., :1] if name != "spectrum" else array
        return array

    one = Round(on_double(), (9, 3, columns, True), 12, change=alike)
    one.columns.host_l2[:] = one.columns.host_l2[0]
    one = Round(on_double(), (9, 3, columns, True), 12, change=alike)
    one.columns.l2[...] = one.columns.l2[:1]
    one.state.progress.gamma[:] = one.state.progress.gamma[0]
    one.which[:] = True
    for array in (*one.slopes().values(), *one.direct()):
        assert (array == array[..., :1]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_broken_column_breaks_no_other(value):
    def broken(name, array):
        if name in ("g", "d", "s", "gradient"):
            array[..., 3] = value
        return array

    healthy, other = (
        Round(on_double(), (9, 3, 16, True), 12, change=change)
        for change in (lambda name, array: array, broken)
    )
    ends = []
    for one in (healthy, other):
        with np.errstate(all="ignore"):
            points, slopes = one.try_points(), one.slopes()
            ends.append([*points, *slopes.values(), *one.direct(), *one.take(slopes).values()])
    rest = np.arange(16) != 3
    for right, found in zip(*ends, strict=True):
        assert found[..., rest].tobytes() == right[..., rest].tobytes()
    assert not np.isfinite(ends[1][2 + SLOPES.index("end")][3])


# --- whole solves ---------------------------------------------------------------------------------

WHOLE = [p for p in problems(240) if len(p.X) == 60 and p.X.shape[1] <= 6][:12]
METHODS = ("lbfgs", "auto")


def solved(device, problem, name, l2, l1):
    return solving.solved(problem, name, l2, np.full(len(l2), l1), 1e-7, device=device)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("problem", WHOLE, ids=lambda p: p.name)
def test_a_solve_ends_where_numpys_does(problem, name):
    l2 = np.array([1e-2, 1.0, 1e-1])
    cupy = Cupy()
    device = devices.from_cupy(cupy, "the double", twin="cuda")
    ours = solved(device, problem, name, l2, problem.l1)
    text = solved(CPU, problem, name, l2, problem.l1)
    assert {"error_sums", "point_sums"} <= set(cupy.launched)
    assert ("pair_products" in cupy.launched) == any(o.step > 2 for o in ours.outcomes) or (
        name == "auto"
    )
    for k in range(len(l2)):
        assert ours.outcomes[k].status == text.outcomes[k].status == "converged"
        one = replace(problem, l2=l2[k])
        W, b = ours.weights[..., k], ours.bias[..., k]
        assert one.steepest(W, b) <= 1.01e-7
        least = one.value(text.weights[..., k], text.bias[..., k])
        assert abs(one.value(W, b) - least) <= 1e-11 * max(1, abs(least))


@pytest.mark.parametrize("problem", WHOLE[:4], ids=lambda p: p.name)
def test_a_stack_is_its_single_runs(problem):
    l2 = np.geomspace(1e-2, 1, 4)
    together = solved(on_double(), problem, "lbfgs", l2, problem.l1)
    for k in range(4):
        alone = solved(on_double(), problem, "lbfgs", l2[k : k + 1], problem.l1)
        assert alone.outcomes[0].status == together.outcomes[k].status
        apart = abs(alone.weights[..., 0] - together.weights[..., k]).max()
        assert apart <= 1e-5 * abs(alone.weights).max()
