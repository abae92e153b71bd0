"""Newton's rounds in C against the NumPy text; columns are on their own, bit for bit."""

import ctypes
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from solving import solved, stack_of, start
from stacks import DEVICE

from trainer.model import compiled
from trainer.solvers import compiled_newton, hessian_sizes, line_search, objective, solver
from trainer.solvers.compiled_newton import _Newton

needs_library = pytest.mark.skipif(
    compiled.load()[0] is None or DEVICE.xp is not np, reason=f"{compiled.load()[1]}, {DEVICE.name}"
)
SOURCE = (Path(compiled.FOLDER) / "newton_body.h").read_text(encoding="utf-8")
STRENGTHS = np.array([1e-4, 1.0, 1e-2, 0.0, 1e-6, 1e-1, 3e-3])  # l2 of columns
WIDTHS = (1, 2, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 47, 64, 65, 100, 127)
# model, outputs: those that have second derivatives
MODELS = [("linear", 1), ("linear", 3), ("logistic", 1), ("softmax", 2), ("softmax", 5)]
MODELS += [("poisson", 1), ("poisson", 2)]


def rows(model, outputs, N=150, D=6, bias=True, seed=0):
    """A problem whose rows differ in weight, some of them 0."""
    draw = np.random.default_rng(seed)
    X = draw.standard_normal((N, D)) + 0.5
    z = X @ draw.standard_normal((D, outputs)) / np.sqrt(D) + draw.standard_normal((N, outputs))
    if model == "softmax":
        y = np.eye(outputs)[z.argmax(axis=1)]
    elif model == "logistic":
        y = (z > 0).astype(float)
    else:
        y = np.floor(np.exp(z)) if model == "poisson" else z
    p = draw.uniform(0.5, 1.5, N)
    p[5::17] = 0
    return SimpleNamespace(model=model, X=X, y=y, p=p / p.sum(), bias=bias)


def by_text(monkeypatch):
    monkeypatch.setattr(solver, "compiled_newton", lambda *given: None)


def both(monkeypatch, problem, l2, first=(None, None), tol=1e-9):
    """The results of the twin and of the text."""
    twin = solved(problem, "newton", l2, 0 * l2, tol, first=first)
    with monkeypatch.context() as text:
        by_text(text)
        return twin, solved(problem, "newton", l2, 0 * l2, tol, first=first)


@needs_library
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("model", "outputs"), MODELS)
def test_the_twin_goes_where_the_text_goes(monkeypatch, model, outputs, bias):
    problem = rows(model, outputs, bias=bias)
    twin, text = both(monkeypatch, problem, STRENGTHS)
    assert [one.status for one in twin.outcomes] == [one.status for one in text.outcomes]
    np.testing.assert_allclose(twin.weights, text.weights, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(twin.bias, text.bias, rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(twin.facts["iterations"], text.facts["iterations"])
    assert "converged" in {one.status for one in twin.outcomes}


@needs_library
@pytest.mark.parametrize("N", [1, 2, 63, 64, 65, 130])  # rows go by 64 at a time
def test_any_number_of_rows(monkeypatch, N):
    problem = rows("logistic", 1, N=N, D=5)
    twin, text = both(monkeypatch, problem, np.array([0.1, 1.0]))
    np.testing.assert_allclose(twin.weights, text.weights, rtol=1e-7, atol=1e-10)
    assert np.abs(twin.weights).max() > 0 or N == 1


def one_step(model, outputs, D):
    """A stack after its first round, and the direction that the text has for it."""
    problem = rows(model, outputs, N=300, D=D, bias=False)
    stack = stack_of(problem, "newton", STRENGTHS[:3], np.zeros(3), 1e-12)
    draw = np.random.default_rng(1)
    shape = stack.shape
    state = start(stack, draw.normal(size=shape) / D, draw.normal(size=shape[1:]))
    records = stack.advance(state, 1)
    a, hessians = state.arrays, stack.hessians
    right = hessians.step(a["w"], a["g"], stack.problem.l2)
    return stack, state, records, right


@needs_library
@pytest.mark.parametrize("D", WIDTHS)
def test_a_direction_is_the_texts_at_any_width(D):
    stack, state, _, right = one_step("logistic", 1, D)
    assert stack._newton is not None
    scale = np.abs(right).max(axis=(0, 1))
    np.testing.assert_allclose(state.arrays["d"] / scale, right / scale, rtol=0, atol=1e-9)


def test_widths_go_around_every_block():
    assert len(WIDTHS) == 19
    assert {width % 8 for width in WIDTHS} >= {0, 1, 7}


@needs_library
@pytest.mark.parametrize(("model", "outputs"), MODELS)
def test_what_rounds_log_is_the_texts(monkeypatch, model, outputs):
    def logged():
        """Of columns that start so far off that some steps are refused."""
        stack = stack_of(rows(model, outputs), "newton", STRENGTHS[:3], np.zeros(3), 1e-300)
        shape, draw = stack.shape, np.random.default_rng(2)
        state = start(stack, draw.normal(size=shape) * 4, draw.normal(size=shape[1:]))
        return stack.advance(state, 2 if model == "linear" else 5)  # which is there in one

    records = logged()
    by_text(monkeypatch)
    text = logged()
    assert sorted(records.values) == sorted(text.values)
    for name, value in text.values.items():
        np.testing.assert_allclose(records.values[name], value, rtol=1e-6, atol=1e-12, err_msg=name)
    assert model != "logistic" or not text.takes.all()
    np.testing.assert_array_equal(records.takes, text.takes)
    assert (text.values["lr"] > 0).any()


@needs_library
def test_the_gradients_norm_is_of_full_records():
    stack = stack_of(rows("logistic", 1), "newton", 1e-3, 0, 1e-9)
    every = replace(stack.settings, log_every=2)
    again = solver.SolverStack(stack.problem, stack.rows, stack.objective.rows, every)
    norms = again.advance(start(again), 4).values["grad_norm"][:, 0]
    assert (norms[::2] == 0).all()
    assert (norms[1::2] > 0).all()


@needs_library
@pytest.mark.parametrize(("model", "outputs"), MODELS)
def test_a_column_has_the_bits_it_has_alone(model, outputs):
    problem = rows(model, outputs)

    def after(rounds, *l2):
        stack = stack_of(problem, "newton", np.array(l2), np.zeros(len(l2)), 1e-9)
        state = start(stack)
        for _ in range(rounds):  # `advance` ends where many have converged
            stack.advance(state, state.step + 1)
        assert stack._newton is not None
        return state.arrays["w"]

    together = after(12, *STRENGTHS)
    assert len(STRENGTHS) == 7
    for k, one in enumerate(STRENGTHS):
        np.testing.assert_array_equal(together[..., k], after(12, one)[..., 0])


@needs_library
@pytest.mark.parametrize("bad", [np.nan, -1e200])
def test_a_column_that_fails_changes_no_other(monkeypatch, bad):
    problem, l2 = rows("logistic", 1), np.array([1e-3, 1e-2, 1e-3])
    shape = (problem.X.shape[1], 1, 3)
    weights, bias = np.zeros(shape), np.zeros(shape[1:])
    healthy = solved(problem, "newton", l2, 0 * l2, 1e-9, first=(weights.copy(), bias))
    weights[2, 0, 1] = bad
    mixed = solved(problem, "newton", l2, 0 * l2, 1e-9, first=(weights, bias))
    for k in (0, 2):
        np.testing.assert_array_equal(mixed.weights[..., k], healthy.weights[..., k])
    by_text(monkeypatch)
    text = solved(problem, "newton", l2, 0 * l2, 1e-9, first=(weights, bias))
    found = [one.status for one in mixed.outcomes]
    assert found == [one.status for one in text.outcomes] == ["converged", "diverged", "converged"]


class Helped:
    """Rounds of a twin in which column 1 asks for help that it does not need."""

    def __init__(self, twin, which, at):
        self._twin, self._which, self._at = twin, which, at
        self._run = twin._run
        twin._run = self.run

    def run(self, plan, first, rounds, *columns):
        done = self._run(plan, first, 1, *columns)
        if first == self._at:
            asks = np.ctypeslib.as_array((ctypes.c_uint8 * 3).from_address(self._twin._plan.asks))
            asks[1] = self._which
        return done


@needs_library
@pytest.mark.parametrize("which", [1, 2])
def test_the_text_helps_the_column_that_asks(which):
    problem, l2 = rows("softmax", 3), np.array([1e-3, 1e-2, 1e-1])
    alone = solved(problem, "newton", l2, 0 * l2, 1e-9)
    stack = stack_of(problem, "newton", l2, 0 * l2, 1e-9)
    state = start(stack)
    Helped(stack._newton, which, 2)
    stack.advance(state, 2)
    before = state.arrays["d"].copy()
    plain = state.progress.plain.copy()
    assert plain.tolist() == [False, which == 1, False]
    w, g = state.arrays["w"], state.arrays["g"]
    right = stack.hessians.step(w, g, stack.problem.l2)
    right[-1] -= right[-1].mean(axis=0)  # all biases alike change nothing
    if which == 2:
        np.testing.assert_allclose(before[..., 1], right[..., 1], rtol=1e-6, atol=1e-9)
    else:
        assert np.abs(before[..., 1] - right[..., 1]).max() > 1e-3
        assert (before[..., 1] * g[..., 1]).sum() < 0
    while not stack.settled(state).all():
        state.live &= ~stack.settled(state)
        stack.advance(state, 1000)
    np.testing.assert_allclose(state.arrays["weights"], alone.weights, atol=1e-6)


@needs_library
def test_a_hessian_without_a_factor_is_the_texts(monkeypatch):
    helped = []
    text = solver.Directions.newton

    def newton(self, state, which, *rest):
        helped.append(which.copy())
        return text(self, state, which, *rest)

    monkeypatch.setattr(solver.Directions, "newton", newton)
    problem = rows("softmax", 3)
    stack = stack_of(problem, "newton", np.array([1e-3, 1e-2]), np.zeros(2), 1e-9)
    stack._newton._held[1]["floor"][2] = -1e9  # whose pivot is below 0
    stack.advance(start(stack), 1)
    assert [one.tolist() for one in helped] == [[True, True]]


@needs_library
@pytest.mark.parametrize("N", [150, 15])  # rows as they are, and turned ones
def test_slopes_are_those_of_the_features_as_they_are(N):
    problem = rows("logistic", 1, N=N)
    stack = stack_of(problem, "newton", np.array([1e-2, 0.1]), np.zeros(2), 1e-3)
    assert (stack.problem.basis.directions is None) == (N == 150)
    state = start(stack)
    stack.advance(state, 100)
    right = stack.problem.largest(state.arrays["w"], state.arrays["g"])
    assert stack.settled(state).all()
    np.testing.assert_allclose(state.progress.gradient_max, right, rtol=1e-9)


@needs_library
def test_a_signal_ends_rounds():
    stack = stack_of(rows("logistic", 1), "newton", 1e-3, 0, 1e-9)
    stack._newton._most = 2
    asked = iter([False, False, True])
    state = start(stack)
    records = stack.advance(state, 1000, should_stop=lambda: next(asked))
    assert records.step.tolist() == [1, 2, 3, 4]
    assert state.step == 4
    assert next(asked, None) is None


def in_calls_of_two(monkeypatch, l2):
    """A stack two of whose columns are as much work as a call may be."""
    work = 150 * 16 * 7  # rows, padded features, parameters
    monkeypatch.setattr(compiled_newton, "_WORK", 2 * work + 1)
    stack = stack_of(rows("logistic", 1), "newton", l2, 0 * l2, 1e-9)
    assert (stack._newton._together, stack._newton._most) == (2, 1)
    return stack, start(stack)


@needs_library
def test_a_signal_ends_a_round_between_columns(monkeypatch):
    l2 = np.geomspace(1e-3, 1e-1, 5)
    alone = solved(rows("logistic", 1), "newton", l2, 0 * l2, 1e-9)
    stack, state = in_calls_of_two(monkeypatch, l2)
    stack.advance(state, 1)
    asked = iter([False, False, True])  # before the round, and twice in it
    records = stack.advance(state, 1000, should_stop=lambda: next(asked))
    assert next(asked, None) is None
    assert state.progress.evaluations.tolist() == [1] * 5  # the first four had theirs
    assert records.takes.shape == records.values["loss"].shape == (0, 5)
    assert state.step == 1
    stack.advance(state, 1000)
    assert stack.settled(state).all()
    np.testing.assert_array_equal(state.arrays["weights"], alone.weights)


@needs_library
def test_a_signal_within_the_first_round_comes_before_it(monkeypatch):
    stack, state = in_calls_of_two(monkeypatch, np.geomspace(1e-3, 1e-1, 5))
    asked = iter([False, True])
    records = stack.advance(state, 1000, should_stop=lambda: next(asked))
    assert len(records.step) == state.step == 0
    assert state.progress.evaluations.tolist() == [0] * 5
    assert not state.arrays["d"].any()


@needs_library
def test_a_column_whose_round_takes_long_goes_by_the_text(monkeypatch):
    work = 150 * 16 * 7 * 3  # and pairs of outputs
    monkeypatch.setattr(hessian_sizes, "_MOST_WORK", work)
    assert stack_of(rows("softmax", 3), "newton", 0.1, 0, 1e-6)._newton is not None
    monkeypatch.setattr(hessian_sizes, "_MOST_WORK", work - 1)
    assert stack_of(rows("softmax", 3), "newton", 0.1, 0, 1e-6)._newton is None


@needs_library
def test_a_stretch_ends_where_it_is_to():
    stack = stack_of(rows("logistic", 1), "newton", 1e-6, 0, 1e-12)
    state = start(stack)
    assert stack.advance(state, 3).step.tolist() == [1, 2, 3]
    assert stack.advance(state, 4).step.tolist() == [4]


@needs_library
def test_few_parameters_alone_go_this_way(monkeypatch):
    def twin(model, outputs, D, l1=0.0, name="newton"):
        problem = rows(model, outputs, N=200, D=D)
        return stack_of(problem, name, 0.1, l1, 1e-6)._newton

    assert twin("logistic", 1, 127) is not None
    assert twin("logistic", 1, 128) is None
    assert twin("softmax", 3, 43) is None  # 44 x 3 are 132
    assert twin("softmax", 17, 3) is None  # more outputs than a narrow product has
    assert twin("logistic", 1, 6, l1=0.1) is None
    assert twin("logistic", 1, 6, name="lbfgs") is None
    monkeypatch.setattr(hessian_sizes, "_MOST_BYTES", 8 * 200 * 7 - 1)
    assert twin("logistic", 1, 6) is None


@needs_library
def test_a_direction_that_is_not_finite_is_the_texts():
    stack = stack_of(rows("logistic", 1), "newton", np.zeros(2), np.zeros(2), 1e-9)
    text = stack.hessians.step
    tiny, none = np.full(7, 1e-320), np.zeros(150)  # a curvature that slopes overflow by
    compiled_newton.point_to(stack._newton._plan, {"floor": tiny, "q": none})
    helped = []
    stack.hessians.step = lambda *given: helped.append(given[0].shape[2]) or text(*given)
    state = start(stack)
    stack.advance(state, 1)
    assert helped == [2]
    assert np.isfinite(state.arrays["d"]).all()


def test_both_have_the_same_numbers():
    """Of a line search, and of when a column is lost."""
    defined = {line.split()[1]: line.split(maxsplit=2)[2]
               for line in SOURCE.splitlines() if line.startswith("#define")}  # fmt: skip
    assert {name: eval(number) for name, number in defined.items()} == {
        "DECREASE": line_search._DECREASE,
        "STEEP": line_search._STEEP,
        "SHORTEST": line_search._SHORTEST,
        "LONGEST": line_search._LONGEST,
        "SMALLER": line_search._SMALLER,
        "FLAT": objective._FLAT,
    }
    tries, stalled = line_search._TRIES, line_search._STALLED
    assert f"enum {{ MOST_TRIES = {tries}, MOST_STALLED = {stalled} }};" in SOURCE
    assert "enum { NOTHING, STEEPEST, DIRECTION };" in SOURCE
    assert (compiled_newton._STEEPEST, compiled_newton._DIRECTION) == (1, 2)
    header = (Path(compiled.FOLDER) / "step.h").read_text(encoding="utf-8")
    assert f"enum {{ GRAM_ROOM = {compiled_newton._ROWS} }};" in header


def test_it_is_laid_out_as_the_source_says():
    struct = SOURCE.partition("typedef struct {")[2].partition("} newton;")[0]
    lines = [line.partition("/*")[0] for line in struct.splitlines()]
    named = " ".join(lines)
    for word in ("const", "int64_t", "uint8_t", "double", "plan", "*", ",", ";"):
        named = named.replace(f"{word} " if word.isalpha() else word, " ")
    assert named.split() == [name for name, _ in _Newton._fields_]
    assert len(named.split()) == 47
