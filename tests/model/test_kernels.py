"""The CUDA text of a step, run on a CPU by tests/shim.py, against the NumPy functions."""

import itertools
import types

import numpy as np
import pytest
import shim
from shim import RawModule

from trainer.model import MODELS, kernels
from trainer.model.compiled_errors import RULES, rule_of
from trainer.model.kernels import ERROR_STEPS, LOGGED, ErrorBlocks, UpdateBlocks
from trainer.model.models import Scratch
from trainer.model.penalties import add_l2_gradient, soft_threshold
from trainer.model.step import error
from trainer.optim.first_order import OPTIMIZERS, Room
from trainer.train.twins import _UPDATES, COEFFICIENTS

pytestmark = pytest.mark.skipif(shim.COMPILER is None, reason=shim.WHY_NOT)
CLOSE = {"float32": 7e-7, "float64": 1e-13}  # of the largest value
LOOSE = 2e-5  # in float32, of squared error on a sigmoid: ŷ is taken from ŷ − y again
KEYS = [
    ("linear", "auto"),
    ("logistic", "auto"),
    ("softmax", "auto"),
    ("poisson", "auto"),
    ("logistic", "squared_error"),
]
ORDERS = [0, 1, 7]  # of threads: forward, in reverse, shuffled
SHAPES = [(1, 1, 1), (37, 1, 1), (70, 3, 1), (29, 10, 5), (41, 1, 33), (19, 40, 3), (33, 3, 70)]
TARGETS = ["rows", "labels of each column", "codes"]
WEIGHTS = [(0, 0), (0, 1), (1, 0), (1, 1)]  # whether q differs by output, by column
SMALL = ErrorBlocks((4, 2, 8), 16, 24, 0)  # many blocks of few rows, some of several tiles


@pytest.fixture
def order(monkeypatch):
    return lambda number: monkeypatch.setattr(RawModule, "order", number)


def module(precision, text=None):
    if text is None:
        return kernels.kernels_of(types.SimpleNamespace(RawModule=RawModule), precision)
    return RawModule(code=text, options=kernels.options(precision))


def launch(kernel, how, numbers, arrays):
    """Launch with a plan of these numbers and the addresses of NumPy's arrays."""
    plan, given = kernels.new_plan(**numbers)
    for name, array in arrays.items():
        assert array is None or array.flags.c_contiguous, name
        setattr(plan, name, 0 if array is None else array.ctypes.data)
    (itemsize,) = {a.itemsize for a in arrays.values() if a is not None and a.dtype.kind == "f"}
    kernel(how.grid, how.block, (given,), shared_mem=how.shared * itemsize)


def off(found, right):
    """The largest difference, as a share of the largest number."""
    assert np.isfinite(found).all()
    return np.abs(found - right).max() / max(np.abs(right).max(), 1e-30)


class Rows:
    """Rows of a problem: z, and by place in a shuffled order targets and weights."""

    def __init__(self, model, shape, targets, weights, precision, seed=0):
        draw = np.random.default_rng(seed)
        self.model, (B, C, K) = model, shape
        self.start, N = 3, B + 5
        self.z = (2 * draw.standard_normal((B, C, K))).astype(precision)
        self.bias = draw.standard_normal((C, K)).astype(precision)
        self.codes = draw.integers(0, C, N) if targets == "codes" else None
        wide = K if targets == "labels of each column" else 1
        if model[0] == "softmax":
            y = np.moveaxis(draw.dirichlet(np.ones(C), (N, wide)), 2, 1)
        elif model[0] == "logistic":
            y = draw.integers(0, 2, (N, C, wide))
        else:
            y = draw.poisson(1.0, (N, C, wide))
        self.y = np.ascontiguousarray(y.astype(precision))
        self.order = None if targets == "codes" else draw.permutation(N)
        by_output, by_column = weights
        shape = N, C if by_output else 1, K if by_column else 1
        self.q = draw.uniform(0.5, 2, shape).astype(precision)
        self.r = draw.uniform(0.5, 2, N).astype(precision)

    def plan(self, rows):
        _, C, K = self.z.shape
        _, outputs, columns = self.q.shape
        return {
            "outputs": C,
            "columns": K,
            "y_row": C * self.y.shape[2],
            "y_output": self.y.shape[2],
            "y_column": int(self.y.shape[2] > 1),
            "q_row": outputs * columns,
            "q_output": columns * (outputs > 1),
            "q_column": int(columns > 1),
            "r_row": 1,
            "start": self.start,
            "rows": rows,
        }

    def arrays(self):
        held = {name: getattr(self, name) for name in ("order", "codes", "y", "q", "r")}
        return held | {"parameters": self.bias}  # D = 0: no weights above the bias

    def by_numpy(self, z):
        """dL/dz ⊙ q (B, C, K) of z, and in float64 its sums over rows with what is logged."""
        B, C, K = z.shape
        at = slice(self.start, self.start + B)
        if self.codes is None:
            y = self.y[self.order[at]]
        else:
            y = np.eye(C, dtype=z.dtype)[self.codes[at]][:, :, None]
        e, dz, losses = np.empty_like(z), np.empty_like(z), np.empty((B, K), z.dtype)
        for k in range(K):
            scratch = Scratch.of(np, B, C, 1, z.dtype)
            one, own = np.empty((B, C, 1), z.dtype), y[:, :, [k if y.shape[2] > 1 else 0]]
            loss = np.empty((B, 1), z.dtype)
            scores = np.ascontiguousarray(z[:, :, [k]] + self.bias[:, [k]])
            slopes = error(MODELS[self.model], np, scores, np.ascontiguousarray(own), one, loss,
                           scratch)  # fmt: skip
            e[:, :, k], dz[:, :, k], losses[:, k] = one[..., 0], slopes[..., 0], loss[:, 0]
        weighted = dz * self.q[at]
        e, d = e.astype(float), dz.astype(float)
        logged = self.r[at].astype(float) @ losses, (e**2).sum((0, 1)), (e**2).max((0, 1))
        sums = [*weighted.astype(float).sum(0), *logged, (d**2).sum((0, 1))]
        return weighted, np.array(sums)


def errors_of(kernel, rows, blocks):
    """Both parts of a step through the kernel: dL/dz ⊙ q of each, and the sums of their parts."""
    B, C, K = rows.z.shape
    wide = blocks.block[0]
    blocks = ErrorBlocks(blocks.block, blocks.tile, blocks.rows, -(-K // wide))
    partial = np.full((blocks.count(B), C + LOGGED, K), np.nan, rows.z.dtype)
    found = []
    for first, size in ((True, B), (False, (B + 1) // 2)):
        z = rows.z[:size].copy()
        plan = rows.plan(size) | {"first": first, "block_rows": blocks.rows, "tile": blocks.tile}
        launch(kernel, blocks.launch(size), plan, rows.arrays() | {"z": z, "partial": partial})
        found.append(z)
    sums = partial.sum(0)
    sums[C + 2] = partial[:, C + 2].max(0)
    return found, sums


def disagreement(kernel, rows, blocks):
    """How far errors and their sums are off, each as a share of the largest."""
    (whole, half), sums = errors_of(kernel, rows, blocks)
    C = whole.shape[1]
    right, told = rows.by_numpy(rows.z)
    more, too = rows.by_numpy(rows.z[: len(half)])
    added = told + too
    added[C + 2] = np.maximum(told[C + 2], too[C + 2])
    offs = [off(whole, right), off(half, more), off(sums[:C], added[:C])]
    return max(offs + [off(sums[C + j], added[C + j]) for j in range(LOGGED)])


ERRORS = [case for case in itertools.product(KEYS, TARGETS, CLOSE) if not (
    case[1] == "codes" and case[0] != ("softmax", "auto"))]  # fmt: skip


@pytest.mark.parametrize(("model", "targets", "precision"), ERRORS)
def test_errors_are_those_of_numpy(model, targets, precision, order):
    kernel = module(precision).get_function(ERROR_STEPS[RULES[rule_of(MODELS[model])]])
    close = LOOSE if model[1] == "squared_error" and precision == "float32" else CLOSE[precision]
    for (seed, shape), weights in itertools.product(enumerate(SHAPES), WEIGHTS):
        rows = Rows(model, shape, targets, weights, precision, seed)
        for number in ORDERS:
            order(number)
            for blocks in (SMALL, ErrorBlocks.of(*shape)):
                assert disagreement(kernel, rows, blocks) <= close, (shape, weights, number)


def test_the_tables_are_whole():
    assert len(ERRORS) == (5 * 2 + 1) * 2
    assert set(RULES.values()) == set(range(len(ERROR_STEPS)))
    assert set(_UPDATES.values()) == set(range(len(kernels.UPDATES)))
    assert len(MOVES) == 5 * 2 * 2 * 2
    found = shim._KERNEL.findall(kernels.text())
    own = (kernels.TAKE_ROWS, *ERROR_STEPS, *kernels.UPDATES, kernels.ERROR_SUMS)
    own += tuple(kernels.WEIGHT_SQUARES.values())
    assert {*own} == set(found)
    assert len(own) == len(found)


@pytest.mark.parametrize("shape", [(1000, 280, 1), (20, 3000, 32)])
def test_sums_of_many_numbers_lose_no_digits(shape):
    """In float32, of many rows in one block and of many outputs: chains of additions are short."""
    kernel, worst = module("float32").get_function(ERROR_STEPS[0]), 0.0
    blocks = ErrorBlocks.of(*shape)
    blocks = ErrorBlocks(blocks.block, blocks.tile, 1000, 0)
    for seed in range(3):
        rows = Rows(("linear", "auto"), shape, "rows", (0, 0), "float32", seed)
        rows.bias += 3
        (_, half), sums = errors_of(kernel, rows, blocks)
        true = rows.by_numpy(rows.z)[1] + rows.by_numpy(rows.z[: len(half)])[1]
        of = slice(shape[1], shape[1] + 2)  # losses and squares, which all have one sign
        worst = max(worst, np.abs(sums[of] / true[of] - 1).max())
    assert worst < 2.5e-7


def test_the_text_is_ascii():
    assert kernels.text().isascii()  # CuPy writes it to a file in the letters of the system


def test_threads_in_another_order_change_no_bit(order):
    kernel = module("float32").get_function(ERROR_STEPS[2])
    rows = Rows(("softmax", "auto"), (70, 3, 33), "codes", (0, 0), "float32")
    ends = []
    for number in ORDERS:
        order(number)
        found, sums = errors_of(kernel, rows, SMALL)
        ends.append([one.tobytes() for one in (*found, sums)])
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.parametrize("precision", CLOSE)
@pytest.mark.parametrize("model", KEYS)
def test_a_columns_bits_are_the_same_in_any_place(model, precision):
    kernel = module(precision).get_function(ERROR_STEPS[RULES[rule_of(MODELS[model])]])
    for columns in (3, 40):
        rows = Rows(model, (70, 3, columns), "rows", (1, 0), precision)
        rows.z[:], rows.bias[:] = rows.z[:, :, :1], rows.bias[:, :1]
        (whole, _), sums = errors_of(kernel, rows, ErrorBlocks.of(70, 3, columns))
        assert (whole == whole[:, :, :1]).all()
        assert (sums == sums[:, :1]).all()


@pytest.mark.parametrize("precision", CLOSE)
@pytest.mark.parametrize("model", KEYS)
def test_a_broken_column_breaks_no_other(model, precision):
    kernel = module(precision).get_function(ERROR_STEPS[RULES[rule_of(MODELS[model])]])
    blocks = ErrorBlocks.of(40, 3, 5)
    healthy = Rows(model, (40, 3, 5), "rows", (0, 0), precision)
    (right, _), told = errors_of(kernel, healthy, blocks)
    for value in (np.nan, np.inf, -np.inf, 1e4, -1e4):
        rows = Rows(model, (40, 3, 5), "rows", (0, 0), precision)
        rows.z[7, 1, 2] = value
        (whole, _), sums = errors_of(kernel, rows, blocks)
        rest = np.arange(5) != 2
        assert whole[..., rest].tobytes() == right[..., rest].tobytes()
        assert sums[..., rest].tobytes() == told[..., rest].tobytes()
        with np.errstate(all="ignore"):
            true, logged = rows.by_numpy(rows.z)
        for one, other in ((whole, true), (sums[3:6], logged[3:6])):
            assert (np.isfinite(one) == np.isfinite(other)).all(), value
            assert (np.isnan(one) == np.isnan(other)).all(), value


# --- update -------------------------------------------------------------------------------------

MOVES = list(itertools.product(OPTIMIZERS, [False, True], [False, True], CLOSE))
PARAMETERS = [(1, 1, 1), (7, 3, 1), (9, 2, 40), (300, 4, 3), (2500, 1, 1)]


class Moves:
    """Parameters, gradients and coefficients of some steps."""

    def __init__(self, name, l1, shape, precision):
        draw = np.random.default_rng(3)
        D, C, K = shape
        self.optimizer = OPTIMIZERS[name]
        self.number = _UPDATES[self.optimizer.update]
        self.l2 = draw.uniform(0, 0.1, K).astype(precision)
        hyper = {
            "l1": draw.uniform(0.1, 0.5, K) * l1 * (np.arange(K) % 3 != 1),
            "momentum": draw.uniform(0.3, 0.9, K),
            "beta1": np.full(K, 0.9),
            "beta2": np.full(K, 0.999),
            "eps": np.full(K, 1e-3),
            "weight_decay": draw.uniform(0, 0.3, K),
            "trust_coefficient": draw.uniform(0.01, 2, K),
        }
        lr = draw.uniform(0.05, 0.2, (4, K))
        lr[2, 0] = 0
        self.tables = self.optimizer.tables(lr, hyper, 1)
        assert tuple(self.tables) == COEFFICIENTS[self.number]
        self.table = np.stack(list(self.tables.values()), axis=1).astype(precision)
        whole = D + 1, C, K
        self.p = draw.standard_normal(whole).astype(precision)
        self.slots = [draw.uniform(0.1, 1, whole).astype(precision) for _ in self.optimizer.slots]
        self.g = draw.standard_normal((3, *whole)).astype(precision)
        self.partial = draw.standard_normal((5, C + LOGGED, K)).astype(precision)

    def by_numpy(self, bias, prox):
        """Parameters and slots after three steps, and the squared norms (3, K) of the gradients."""
        (D, C, K), xp = self.p[1:].shape, np
        p, slots, norms = self.p.copy(), [one.copy() for one in self.slots], []
        into = self.partial[:, :C].astype(float).sum(0).astype(p.dtype)
        for step, g in enumerate(self.g.copy()):
            g[D] = into
            weights = flat(g[:D])
            add_l2_gradient(xp, weights, flat(p[:D]), np.tile(self.l2, C), np.empty_like(weights))
            norms.append((g[:D].astype(float) ** 2).sum((0, 1)))
            for part, shrunk in ((slice(0, D), True), (slice(D, D + 1), False))[: 1 + bias]:
                row = {
                    name: np.tile(self.table[step, j], C) * (
                        shrunk or name not in self.optimizer.of_weights)
                    for j, name in enumerate(self.tables)
                    if shrunk or name not in self.optimizer.not_of_bias
                }  # fmt: skip
                room = Room.of(xp, np.empty_like(p[part]), K, np.ones((1, D * C), p.dtype))
                self.optimizer.update(
                    xp, flat(p[part]), flat(g[part]), [flat(one[part]) for one in slots], row,
                    room, prox if shrunk else None,
                )  # fmt: skip
        return p, slots, np.array(norms)

    def by_kernel(self, kernel, blocks, bias, prox, norms=None):
        (D, C, K), dtype = self.p[1:].shape, self.p.dtype
        p, slots = self.p.copy(), [one.copy() for one in self.slots]
        ring = np.full((3, LOGGED + 1, K), np.nan, dtype)
        squares = np.full((3, blocks.weights, K), np.nan, dtype)
        held = dict(zip(("slot0", "slot1"), slots, strict=False))
        held |= {"parameters": p, "l2": self.l2, "table": self.table, "partial": self.partial}
        for step in range(3):
            plan = {
                "features": D,
                "outputs": C,
                "columns": K,
                "coefficients": len(self.tables),
                "bias": bias,
                "prox": prox is not None,
                "decay": self.optimizer is OPTIMIZERS["adamw"],
                "row_blocks": len(self.partial),
                "weight_blocks": blocks.weights,
                "slot": step,
            }
            g = self.g[step].copy()
            g[D] = np.nan  # which stands in `partial`
            arrays = held | {"gradient": g, "ring": ring, "squares": squares}
            if norms is not None:
                arrays["lengths"] = np.full((2, blocks.weights, K), np.nan, dtype)
                of_weights = blocks.weights, blocks.launch.grid[1]
                launch(norms, blocks.launch._replace(grid=of_weights), plan, arrays)
            launch(kernel, blocks.launch, plan, arrays)
        return p, slots, squares.sum(1), ring


def flat(array):
    return array.reshape(len(array), -1)


def apart_in_moves(kernel, moves, blocks, bias, prox, close, before=None):
    p, slots, norms, ring = moves.by_kernel(kernel, blocks, bias, prox, before)
    right, kept, squares = moves.by_numpy(bias, prox)
    offs = [off(p, right), *map(off, slots, kept), off(norms, squares)]
    C = p.shape[1]
    logged = moves.partial[:, C:].astype(float)
    told = logged.sum(0)
    told[2] = np.maximum(logged[:, 2].max(0), 0)
    assert np.isnan(ring[:, LOGGED]).all()  # the squares of a stretch are summed at its end
    offs += [off(one[:LOGGED], told) for one in ring]
    assert ((p[:-1] == 0) == (right[:-1] == 0)).mean() > (0.99 if p.dtype == "f4" else 0.9999)
    return max(offs)


@pytest.mark.parametrize(("name", "l1", "bias", "precision"), MOVES)
def test_updates_are_those_of_numpy(name, l1, bias, precision, order):
    l1 = l1 and name not in ("adamw", "lars")
    prox = soft_threshold if l1 else None
    for shape in PARAMETERS:
        moves = Moves(name, l1, shape, precision)
        update = kernels.UPDATES[moves.number]
        kernel, before = module(precision).get_function(update), None
        if update in kernels.WEIGHT_SQUARES:
            before = module(precision).get_function(kernels.WEIGHT_SQUARES[update])
        for number in ORDERS:
            order(number)
            of = UpdateBlocks.of(*shape)
            apart = apart_in_moves(kernel, moves, of, bias, prox, CLOSE[precision], before)
            assert apart <= 4 * CLOSE[precision], (shape, number)


def test_an_l1_penalty_leaves_zeros():
    moves = Moves("sgd", True, (9, 2, 40), "float64")
    kernel = module("float64").get_function("update_sgd")
    p, *_ = moves.by_kernel(kernel, UpdateBlocks.of(9, 2, 40), True, soft_threshold)
    assert 0.01 < (p[:-1] == 0).mean() < 0.9
    assert (p[-1] != 0).all()


# --- what the shim is there to catch --------------------------------------------------------------

FAULTS = {
    "the lanes of a row are not summed": (
        "  total = over_lanes(total, a.step, a.lanes, false);\n",
        "",
    ),
    "no barrier before rows are added up": (
        "    __syncthreads();\n    add_up(",
        "    add_up(",
    ),
    "the next rows overwrite what is told of these": (
        "    __syncthreads(); /* before the next rows",
        "    /* before the next rows",
    ),
    "sums overwrite those of the part before": ("at > from || !s.first", "at > from"),
    "no barrier before lanes are folded": (
        "    const int half = (n + 1) / 2;\n    __syncthreads();\n",
        "    const int half = (n + 1) / 2;\n",
    ),
    "a thread leaves before its warp is whole": (
        "const int b = b0 + threadIdx.z;\n",
        "const int b = b0 + threadIdx.z;\n      if (b >= n) break;\n",
    ),
    "more is written than was asked for": (
        "real *own = room + lane * KX + threadIdx.x;",
        "real *own = room + lane * KX + threadIdx.x + 1;",
    ),
}


def worst(text, order):
    """How far a text is off, over shapes and orders; a fault that the shim names is infinite."""
    offs = [0.0]
    of = module("float64", text)
    for number, weights in itertools.product(ORDERS, [(0, 0), (1, 1)]):
        order(number)
        try:
            kernel = of.get_function(ERROR_STEPS[2])
            for shape in ((70, 3, 1), (19, 40, 3), (33, 3, 70)):
                rows = Rows(("softmax", "auto"), shape, "rows", weights, "float64")
                offs += [disagreement(kernel, rows, b) for b in (SMALL, ErrorBlocks.of(*shape))]
            moves = Moves("adam", False, (300, 4, 3), "float64")
            apart = apart_in_moves(
                of.get_function("update_adam"), moves, UpdateBlocks.of(300, 4, 3), True, None, 0
            )
            offs.append(apart)
        except AssertionError:
            return np.inf
    return max(offs)


def test_the_text_as_it_is_passes_what_its_faults_do_not(order):
    assert worst(kernels.text(), order) <= 4 * CLOSE["float64"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(fault, order):
    right, wrong = FAULTS[fault]
    assert kernels.text().count(right) == 1
    assert worst(kernels.text().replace(right, wrong), order) > 1e-6


def test_the_shim_refuses_what_a_gpu_would():
    kernel = module("float32").get_function("update_sgd")
    _, plan = kernels.new_plan()
    for grid, block, shared in (
        ((1, 1), (512,), 0),  # more threads than the kernel is compiled for
        ((1, 65536), (32,), 0),
        ((0, 1), (32,), 0),
        ((1, 1), (32,), 2**20),
    ):
        with pytest.raises(AssertionError):
            kernel(grid, block, (plan,), shared_mem=shared)
    with pytest.raises(AssertionError, match="by value"):
        kernel((1,), (32,), (plan.ctypes.data,))
    with pytest.raises(AssertionError, match="one element"):
        kernel((1,), (32,), (np.concatenate([plan, plan]),))


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("precision", CLOSE)
@pytest.mark.parametrize(("rows", "features", "width"), [(1, 1, 1), (37, 5, 8), (9, 300, 300)])
def test_rows_are_taken_by_the_order_of_the_epoch(rows, features, width, precision, counted, order):
    draw = np.random.default_rng(0)
    X = draw.standard_normal((rows + 9, features)).astype(precision)
    places, now = draw.permutation(len(X)), np.array([4, 7])
    for number in ORDERS:
        order(number)
        taken = np.zeros((rows + 1, width), precision)
        launch(
            module(precision).get_function(kernels.TAKE_ROWS),
            kernels.take_launch(rows, features),
            {"features": features, "width": width, "rows": rows, "start": 2},
            {"X": X, "order": places, "taken": taken, "now": now if counted else None},
        )
        at = 2 + 4 * counted
        assert (taken[:rows, :features] == X[places[at : at + rows]]).all()
        assert not taken[rows:].any()
        assert not taken[:, features:].any()
    assert now.tolist() == [4, 7]


def test_blocks_have_room_for_all_there_is():
    for rows, features in itertools.product((1, 256, 10**6), (1, 3, 31, 784, 10**6)):
        (across, beside), (wide, deep, _), shared = kernels.take_launch(rows, features)
        assert across * deep >= rows
        assert wide * deep == 256
        assert shared == 0
        assert 4 * beside * wide >= features
        assert (beside - 1) * wide < features
    for rows, outputs, columns in itertools.product(
        (1, 256, 10**7), (1, 10, 1000), (1, 3, 64, 999)
    ):
        blocks = ErrorBlocks.of(rows, outputs, columns)
        wide, lanes, deep = blocks.block
        assert wide * lanes <= 32
        assert wide * lanes * deep == 256
        assert blocks.column_blocks * wide >= columns
        assert blocks.count(rows) * blocks.rows >= rows
        assert blocks.count(rows) * blocks.column_blocks <= 396 + columns
        assert 8 * blocks.launch(rows).shared <= shim.SHARED
        of = UpdateBlocks.of(50, outputs, columns)
        grid, block, shared = of.launch
        assert block[0] * grid[1] >= columns
        assert grid[0] == of.weights + outputs + LOGGED
        assert block[0] * block[1] == shared <= 256
