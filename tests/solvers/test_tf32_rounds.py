"""Rounds of L-BFGS in TF32 on the double of CuPy, whose products have TF32's roundings."""

from itertools import product

import numpy as np
import pytest
import shim
from double import Cupy
from problems import Problem, reference
from solving import solved, stack_of, start

from trainer import device as devices
from trainer.solvers import tf32_passes, tf32_sizes
from trainer.solvers.choose import Method
from trainer.solvers.objective import Objective
from trainer.solvers.tf32_passes import Tf32Objective

pytestmark = pytest.mark.skipif(shim.COMPILER is None, reason=shim.WHY_NOT)
MODELS = ("linear", "logistic", "softmax", "poisson")
PENALTIES = ([1e-1, 1e-3, 1e-5], [3e-2, 1e-2, 1e-3])  # l2 of three columns without l1, and with it
L1 = 1e-2
CASES = list(product(MODELS, (False, True)))
TOL = 1e-6


@pytest.fixture(autouse=True)
def our_kernels(monkeypatch):
    monkeypatch.delenv("STACKED_TRAINER_COMPILED", raising=False)


@pytest.fixture
def passes(monkeypatch):
    """How many passes over the rows there have been, by precision."""
    counts = {"tf32": 0, "float64": 0}

    def counting(cls, name):
        true = cls.value

        def value(self, *given, **named):
            counts[name] += 1
            return true(self, *given, **named)

        monkeypatch.setattr(cls, "value", value)

    counting(Tf32Objective, "tf32")
    counting(Objective, "float64")
    return counts


def gpu():
    return devices.from_cupy(Cupy(), "the double", twin="cuda", major=8)


def problem_of(model, rows=400, features=12, spread=1.5, bias=True, seed=0):
    """Rows whose features go together, in directions that differ by 10^spread."""
    draw = np.random.default_rng(seed)
    turn = np.linalg.qr(draw.standard_normal((features, features)))[0]
    X = draw.standard_normal((rows, features)) * np.logspace(0, -spread, features) @ turn
    C = 3 if model == "softmax" else 1
    z = X @ draw.standard_normal((features, C))
    y = {
        "linear": z + draw.standard_normal(z.shape),
        "logistic": (z + draw.logistic(size=z.shape) > 0) * 1.0,
        "softmax": np.eye(C)[(z + draw.gumbel(size=z.shape)).argmax(axis=1)],
        "poisson": draw.poisson(np.exp(np.clip(z, -3, 3))) * 1.0,
    }[model]
    p = draw.uniform(0.2, 2, rows)
    return Problem(model, model, X, y, p / p.sum(), 0, 0, bias)


def of_column(problem, k, l2, l1):
    return Problem(*[problem.name, problem.model, problem.X, problem.y, problem.p], l2[k], l1[k],
                   problem.bias)  # fmt: skip


# --- passes ---------------------------------------------------------------------------------------


def test_the_table_is_whole():
    assert len(CASES) == 8


@pytest.mark.parametrize("form", ["in place", "turned", "few rows", "no bias"])
@pytest.mark.parametrize(("model", "sparse"), CASES)
def test_a_pass_is_off_by_what_the_noise_says(model, sparse, form):
    rows = 10 if form == "few rows" else 400
    spread = 5.0 if form == "turned" else 1.0
    problem = problem_of(model, rows, spread=spread, bias=form != "no bias")
    stack = stack_of(
        problem, "lbfgs", PENALTIES[0], [L1 * sparse] * 3, TOL, device=gpu(), tf32=True
    )
    device, rounds = stack.device, stack._tf32
    w = 0.3 * np.random.default_rng(1).standard_normal(stack.problem.shape)
    w, found = device.to_device(w), []
    for objective in (stack.objective, rounds.objective):
        gradient = device.xp.zeros(stack.problem.shape)
        sums = objective.value(w, gradient, full=True)
        found.append((device.to_host(sums), device.to_host(gradient)))
    (sums, right), (ours, gradient) = found
    np.testing.assert_allclose(ours[:-1], sums, rtol=1e-2)
    off = np.sqrt(((gradient - right) ** 2).sum(axis=(0, 1)))
    noise = rounds.noise(ours, stack.objective.curvature(w))
    assert (off <= 1.5 * noise).all(), off / noise
    assert (off >= noise / 50).all(), off / noise


def test_where_nothing_is_left_to_explain_noise_is_that_of_scores():
    plain = problem_of("linear", spread=0.5)
    true = np.random.default_rng(2).standard_normal((12, 1))
    problem = Problem("exact", "linear", plain.X, plain.X @ true, plain.p, 0, 0, False)
    stack = stack_of(problem, "lbfgs", [1e-9], [0], TOL, device=gpu(), tf32=True)
    w = stack.problem.parameters(true[:, :, None], np.zeros((1, 1)))
    found = [stack.device.xp.zeros(w.shape) for _ in range(2)]
    stack.objective.value(w, found[0], full=True)
    sums = stack._tf32.objective.value(w, found[1], full=True).get()
    off, noise = np.linalg.norm((found[1] - found[0]).get()), stack._tf32.noise(sums, np.ones(1))
    assert noise / 50 <= off <= 1.5 * noise


@pytest.mark.parametrize("features", [4, 5])
def test_rows_begin_at_16_bytes_and_products_are_in_tf32(features):
    cupy = Cupy()
    device = devices.from_cupy(cupy, "the double", twin="cuda", major=8)
    problem = problem_of("softmax", 50, features)
    stack = stack_of(problem, "lbfgs", [0.1, 0.01], [0, 0], TOL, device=device, tf32=True)
    w = device.xp.zeros(stack.problem.shape)
    cupy.cuda.products.clear()
    stack._tf32.objective.value(w, w.copy(), full=True)
    assert [one.compute for one in cupy.cuda.products] == [77] * 3
    width = -(-features // 4) * 4
    assert [one.steps for one in cupy.cuda.products] == [(6, width, 6)] * 3
    assert all(one.addresses[1] % 16 == 0 for one in cupy.cuda.products)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_rules_of_somebodys_own_go_by_their_text(model, bias, monkeypatch):
    problem, found = problem_of(model, bias=bias), []
    for _ in range(2):
        stack = stack_of(problem, "lbfgs", [0.1, 0.01], [0, 0], TOL, device=gpu(), tf32=True)
        ours, xp = stack._tf32.objective, stack.device.xp
        w = xp.asarray(0.3 * np.random.default_rng(1).standard_normal(stack.problem.shape))
        grad = xp.zeros(stack.problem.shape)
        found.append((ours.value(w, grad, full=True).get(), grad.get(), ours._errors))
        monkeypatch.setattr(tf32_passes, "kernel_errors_of", lambda *_: None)
    (sums, grad, kernel), (right, slopes, text) = found
    assert (kernel is None, text) == (False, None)
    np.testing.assert_allclose(sums, right, rtol=1e-4)
    np.testing.assert_allclose(grad, slopes, atol=3e-5 * np.abs(slopes).max())


def test_a_chunk_is_five_launches_and_a_pass_neither_copies_nor_waits(monkeypatch):
    counts = []
    for rows in (400, 100):
        monkeypatch.setattr(tf32_sizes, "MOST_ROWS", rows)
        cupy = Cupy()
        device = devices.from_cupy(cupy, "the double", twin="cuda", major=8)
        problem = problem_of("softmax")
        stack = stack_of(problem, "lbfgs", [0.1, 0.01], [0, 0], TOL, device=device, tf32=True)
        w = cupy.zeros(stack.problem.shape)
        grad, before = w.copy(), cupy.counts.now()
        stack._tf32.objective.value(w, grad, full=False)
        counts.append(cupy.counts.since(before)[:4])
    (copies, syncs, allocations, launches), (*_, more) = counts
    assert (copies, syncs, more - launches) == (0, 0, 3 * 5)
    assert (allocations, launches) == (7, 27)


# --- solves ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "sparse"), CASES)
def test_the_optimum_and_its_certificate_are_float64s(model, sparse, passes):
    problem, l2, l1 = problem_of(model), PENALTIES[sparse], [L1 * sparse] * 3
    right = solved(problem, "lbfgs", l2, l1, TOL, device=gpu())
    alone = passes["float64"]
    passes.update(float64=0)
    ours = solved(problem, "lbfgs", l2, l1, TOL, device=gpu(), tf32=True)
    assert [one.status for one in ours.outcomes] == ["converged"] * 3
    for k in range(3):
        one = of_column(problem, k, l2, l1)
        w, b = ours.weights[..., k], ours.bias[..., k]
        assert one.steepest(w, b) <= TOL * (1 + 1e-6)
        least = one.value(*(part[..., k] for part in (right.weights, right.bias)))
        assert one.value(w, b) - least <= ours.facts["gap"][k] + 1e-14
        assert right.facts["gap"][k] + 1e-14 >= least - one.value(w, b)
    assert passes["tf32"] > 0
    assert passes["float64"] < alone or model == "linear"  # of which one step is all without l1


def test_most_passes_are_in_tf32_where_there_are_many(passes):
    problem = problem_of("softmax", 2000, spread=2.0)
    ours = solved(problem, "lbfgs", [1e-3, 1e-5, 1e-6], [0] * 3, 1e-5, device=gpu(), tf32=True)
    in_tf32, rest = passes["tf32"], passes["float64"]
    assert [one.status for one in ours.outcomes] == ["converged"] * 3
    assert in_tf32 >= 8
    assert rest <= in_tf32 / 2, passes
    assert ours.facts["evaluations"].max() <= in_tf32 + rest  # of both


def ended(stack, state):
    """The state where all have settled; nobody leaves: the width stays."""
    while not stack.settled(state).all():
        state.live &= ~stack.due(state)
        stack.advance(state, 1 << 40)
        state.live &= ~stack.due(state)
    return state


def test_at_one_width_a_column_has_the_same_bits_whatever_its_neighbours():
    problem = problem_of("softmax")
    found = []
    for neighbour, l2 in ((0.0, 1e-1), (1e200, 1e-1), (0.3, 1e-7)):
        stack = stack_of(problem, "lbfgs", [1e-3, l2, 1e-5], [0] * 3, 1e-8, device=gpu(), tf32=True)
        weights = np.zeros(stack.shape)
        weights[:, 0, 1] = neighbour
        found.append(ended(stack, start(stack, weights)))
    tame, *others = found
    assert (tame.progress.before > 2).all()  # all of them had rounds in TF32
    assert others[0].progress.lost[1]
    assert len({one.step for one in found}) > 1  # some wait for another column
    for other in others:
        for k in (0, 2):
            assert tame.weights[..., k].get().tobytes() == other.weights[..., k].get().tobytes()
            for name in ("iterations", "evaluations", "gradient_max", "value", "before"):
                assert getattr(tame.progress, name)[k] == getattr(other.progress, name)[k], name


@pytest.mark.parametrize("sparse", [False, True])
def test_from_the_end_of_tf32_on_all_is_as_if_it_began_there(sparse, monkeypatch):
    problem = problem_of("logistic")
    monkeypatch.setattr("solving.choose_method", lambda *_: Method("lbfgs"))
    given = problem, "lbfgs", [1e-2, 1e-3], [L1 * sparse] * 2, 1e-7
    stack = stack_of(*given, device=gpu(), tf32=True)
    state = start(stack)
    while state.step < 2 or state.progress.tf32.any():
        stack.advance(state, state.step + 1)
    plain = stack_of(*given, device=gpu())
    again = start(plain)
    again.arrays["w"][...] = state.arrays["w"]
    again.progress.gamma[:], again.progress.at_zeros[:] = state.progress.gamma, False
    done, right = ended(stack, state), ended(plain, again)
    assert done.arrays["w"].get().tobytes() == right.arrays["w"].get().tobytes()
    evaluations = done.progress.evaluations - done.progress.before
    assert evaluations.tolist() == right.progress.evaluations.tolist()


@pytest.mark.parametrize("model", ["linear", "logistic", "softmax"])
def test_where_rows_are_nearly_dependent_tf32_does_not_wander(model, passes):
    problem = problem_of(model, spread=7.0)
    l2 = [1e-3, 1e-8, 1e-12]
    solved(problem, "lbfgs", l2, [0] * 3, 1e-8, device=gpu())
    alone = passes["float64"]
    passes.update(float64=0)
    ours = solved(problem, "lbfgs", l2, [0] * 3, 1e-8, device=gpu(), tf32=True)
    assert [one.status for one in ours.outcomes] == ["converged"] * 3
    assert passes["tf32"] <= alone + 10
    assert passes["float64"] <= 1.5 * alone + 10


def test_a_column_that_begins_at_its_optimum_has_no_round_in_tf32(passes):
    problem, l2 = problem_of("logistic"), [1e-1, 1e-3, 1e-5]
    right = solved(problem, "lbfgs", l2, [0] * 3, 1e-8, device=gpu())
    passes.update(float64=0)
    first = right.weights, right.bias
    again = solved(problem, "lbfgs", l2, [0] * 3, 2e-8, first=first, device=gpu(), tf32=True)
    assert (passes["tf32"], again.facts["evaluations"].tolist()) == (0, [1, 1, 1])
    # near it one tells that TF32 has nothing to say
    near = solved(problem, "lbfgs", l2, [0] * 3, 1e-10, first=first, device=gpu(), tf32=True)
    assert passes["tf32"] == 1
    assert [one.status for one in near.outcomes] == ["converged"] * 3


def test_first_weights_that_are_not_finite_end_as_in_float64():
    problem, first = problem_of("logistic"), np.zeros((12, 1, 3))
    first[0, 0, 1] = np.nan
    given = problem, "lbfgs", [1e-2] * 3, [0] * 3, TOL
    ends = [solved(*given, first=(first, None), device=gpu(), tf32=on) for on in (False, True)]
    for done in ends:
        assert [one.status for one in done.outcomes] == ["converged", "diverged", "converged"]
    assert ends[0].outcomes[1] == ends[1].outcomes[1]


def test_what_is_past_float32_goes_on_in_float64(passes):
    problem = problem_of("poisson")
    bias = np.array([[0.0, 95.0, 0.0]])  # e^95 is past float32, and not past float64
    done = solved(
        problem, "lbfgs", [1e-2] * 3, [0] * 3, 1e-6, device=gpu(), tf32=True,
        first=(np.full((12, 1, 3), 1e-9), bias),
    )  # fmt: skip
    right = solved(problem, "lbfgs", [1e-2], [0], 1e-6, device=gpu())
    assert [one.status for one in done.outcomes] == ["converged"] * 3
    np.testing.assert_allclose(done.weights, right.weights.repeat(3, -1), atol=1e-4)
    assert passes["tf32"] > 0


def test_a_column_whose_iterations_are_used_up_has_its_certificate_in_float64():
    problem = problem_of("softmax")
    done = solved(problem, "lbfgs", [1e-5], [0], 1e-9, max_iter=4, device=gpu(), tf32=True)
    (outcome,) = done.outcomes
    assert (outcome.status, outcome.step) == ("not_converged", 4)
    assert done.facts["evaluations"][0] >= 4 + 3  # where it began, twice, and where it ended
    told = of_column(problem, 0, [1e-5], [0]).steepest(done.weights[..., 0], done.bias[..., 0])
    np.testing.assert_allclose(done.facts["gradient_max"], told, rtol=1e-9)


@pytest.mark.parametrize("rounds", [2, 5])
def test_what_is_said_of_a_column_that_is_interrupted_in_tf32_is_float64s(rounds):
    problem, l2 = problem_of("logistic"), [1e2, 1e-3, 1e-5]
    stack = stack_of(problem, "lbfgs", l2, [0] * 3, 1e-9, device=gpu(), tf32=True)
    state = start(stack)
    stack.advance(state, rounds)
    n = state.progress
    assert n.tf32.any()
    held = {name: getattr(n, name).copy() for name in ("value", "data", "tf32", "before")}
    g = state.arrays["g"].get()
    facts = stack.facts(state, np.ones(3, bool))
    assert all((getattr(n, name) == one).all() for name, one in held.items())
    assert (state.arrays["g"].get() == g).all()
    weights, bias = state.weights.get(), state.bias.get()
    for k in range(3):
        one = of_column(problem, k, l2, [0] * 3)
        w, b = reference(one)
        steepest = one.steepest(weights[..., k], bias[..., k])
        # biases may have been brought to their optimum for the bound
        assert facts["gradient_max"][k] <= steepest * (1 + 1e-6)
        above = one.value(weights[..., k], bias[..., k]) - one.value(w, b)
        assert above <= facts["gap"][k] * (1 + 1e-6)


def test_where_second_derivatives_are_due_tf32_is_over(passes, monkeypatch):
    problem = problem_of("softmax")
    method = Method("lbfgs, then newton", 10, 3)
    monkeypatch.setattr("solving.choose_method", lambda *_: method)
    stack = stack_of(problem, "auto", [1e-5], [0], 1e-9, device=gpu(), tf32=True)
    state = ended(stack, start(stack))
    n = state.progress
    assert n.gradient_max[0] <= 1e-9
    assert passes["tf32"] <= 5
    assert n.iterations[0] <= 14


def test_columns_that_stay_have_rounds_in_tf32_still():
    problem = problem_of("softmax")
    stack = stack_of(problem, "lbfgs", [1e-1, 1e-3, 1e-5], [0] * 3, 1e-9, device=gpu(), tf32=True)
    state = start(stack)
    stack.advance(state, 3)
    keep = np.array([1, 2])
    part, xp = stack.take(keep), stack.device.xp
    state = state.take(keep, lambda array: xp.take(array, xp.asarray(keep), axis=-1))
    assert part._tf32.objective.rows is stack._tf32.objective.rows
    assert state.progress.tf32.all()
    assert (ended(part, state).progress.gradient_max <= 1e-9).all()
