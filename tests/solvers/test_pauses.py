"""Where a solver pauses changes no bit: from any state on, elsewhere too, all is the same."""

import copy
from dataclasses import fields, replace
from itertools import count

import numpy as np
import pytest
import shim
from double import Cupy
from problems import Problem
from solving import stack_of, start

from trainer import device as devices
from trainer.machine.interrupted import Interrupted
from trainer.model import compiled
from trainer.solvers import certificates, compiled_newton, passes, tf32_sizes
from trainer.solvers.choose import Method, Size
from trainer.solvers.costs import rounds_of_a_stretch
from trainer.solvers.directions import Directions
from trainer.solvers.objective import Objective
from trainer.solvers.solver import SolverStack

CPU = devices.cpu("the tests")
IN_TF32 = " in TF32"


def rows(model, N=60, D=6, C=3):
    draw = np.random.default_rng(3)
    X = draw.standard_normal((N, D)) * np.geomspace(0.3, 3, D)
    z = X @ draw.standard_normal((D, C)) + draw.standard_normal((N, C))
    y = {
        "linear": z,
        "logistic": (z[:, :1] > 0).astype(float),
        "softmax": np.eye(C)[z.argmax(axis=1)],
        "poisson": draw.poisson(np.exp(z[:, :1] / 2)).astype(float),
    }[model]
    p = draw.uniform(0.2, 2, N)
    return Problem(model, model, X, y, p / p.sum(), 0, 0, True)


def made(case, device=CPU, **sizes):
    """A stack of a case, whose name says where rounds are in TF32."""
    model, name, l1, columns = case
    tf32 = name.endswith(IN_TF32)
    l2 = np.geomspace(1e-2 if tf32 else 1e-4, 1e-1, columns)
    name = name.removesuffix(IN_TF32)
    given = rows(model, **sizes), name.partition(",")[0], l2, np.full(columns, l1), 1e-9
    found = stack_of(*given, device=device, tf32=tf32)
    if "," not in name:
        return found
    settings = replace(found.settings, method=Method(name, hessian_from=4))  # in a short run too
    single = found._tf32.objective.rows if tf32 else None
    return SolverStack(found.problem, found.rows, found.objective.rows, settings, single=single)


def saved(stack, state):
    """A state as a file has it."""
    host = {name: np.array(stack.device.to_host(one)) for name, one in state.arrays.items()}
    return copy.deepcopy((state.step, host, state.progress, state.live))


def restored(stack, kept):
    """It in another process, whose stack and scratch are new."""
    step, arrays, progress, live = copy.deepcopy(kept)
    found = start(stack)
    found.arrays = {name: stack.device.to_device(one) for name, one in arrays.items()}
    found.step, found.progress, found.live = step, progress, live
    return found


def spoil(stack):
    """Nothing that a stack has room for may be read before it is written."""
    room = [*stack._tried, stack._new, stack._free]
    if stack._tf32:
        own = stack._tf32.objective
        room += [own._large, own._small, own._free, own._part, own._bias, own._row, own._sum]
    for one in room:
        one[...] = np.nan


def logged(records):
    """Every record of a stretch, by its round."""
    names = ("loss", "lr", "error_rms", "error_max", "dz_rms", "grad_norm")
    return {
        int(step): [records.values[name][i].tobytes() for name in names]
        + [records.takes[i].tobytes()]
        for i, step in enumerate(records.step)
    }


def ended(stack, state):
    """All that there is of a state at its end, to the bit."""
    facts = stack.facts(state, np.ones(stack.shape[2], bool))
    found = {name: stack.device.to_host(one).tobytes() for name, one in state.arrays.items()}
    progress = state.progress
    found |= {one.name: getattr(progress, one.name).tobytes() for one in fields(progress)}
    return found | {name: value.tobytes() for name, value in facts.items()} | {"step": state.step}


def go_on(stack, state, log, should_stop=lambda: False):
    """Rounds as a run takes them, to the end or to a signal."""
    while state.step < ROUNDS and not stack.settled(state).all():
        state.live &= ~stack.due(state)
        records = stack.advance(state, ROUNDS, should_stop=should_stop)
        log |= logged(records)
        if not records.whole or (not len(records.step) and should_stop()):
            return


def unbroken(case, device, **sizes):
    """A run in one go: its log, its end, and how often it asked whether to stop."""
    stack, log, asked = made(case, device, **sizes), {}, []
    state = start(stack)
    go_on(stack, state, log, lambda: asked.append(0))
    return (log, ended(stack, state)), len(asked)


def broken(case, at, device, **sizes):
    """A run that a signal ends at some question, or at its end, and that goes on elsewhere."""
    stack, log, asked = made(case, device, **sizes), {}, count()
    state = start(stack)
    go_on(stack, state, log, lambda: next(asked) >= at)
    later = made(case, device, **sizes)
    spoil(later)
    state = restored(later, saved(stack, state))
    go_on(later, state, log)
    return log, ended(later, state)


# model, solver, l1, columns
CASES = [
    *((model, "lbfgs", l1, columns) for model in ("linear", "logistic", "softmax", "poisson")
      for l1 in (0.0, 5e-3) for columns in (1, 5)),
    *((model, "newton", l1, columns) for model in ("linear", "logistic", "softmax", "poisson")
      for l1 in (0.0, 5e-3) for columns in (1, 5)),
    *((model, "lbfgs, then newton", l1, 5) for model in ("logistic", "softmax")
      for l1 in (0.0, 5e-3)),
    ("linear", "exact", 0.0, 5),
]  # fmt: skip
ROUNDS = 14


def test_the_table_of_cases_is_whole():
    assert len(CASES) == 16 + 16 + 4 + 1


@pytest.fixture(params=["compiled", "text"])
def _library(request, monkeypatch):
    if request.param == "text":
        monkeypatch.setattr(compiled, "load", lambda: (None, "there is none"))
    elif compiled.load()[0] is None:
        pytest.skip(compiled.load()[1])


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("case", CASES)
def test_a_run_that_goes_on_elsewhere_has_the_same_bits(case, monkeypatch):
    monkeypatch.setattr(passes, "_WORK", 1)  # passes ask between all chunks
    monkeypatch.setattr(compiled_newton, "_WORK", 1)  # and compiled rounds between columns
    right, asked = unbroken(case, CPU)
    assert asked >= 2
    for at in range(CASES.index(case) % 3, asked + 1, max(1, asked // 5)):
        assert broken(case, at, CPU) == right, at


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("case", [("logistic", "newton", 5e-3, 5), ("softmax", "lbfgs", 0.0, 5)])
def test_columns_leave_once_the_directions_of_the_others_are_made(case, monkeypatch):
    """Those of a narrower stack would have other last bits."""
    monkeypatch.setattr(passes, "_WORK", 1)
    cut = 0
    for at in range(unbroken(case, CPU)[1]):
        stack, asked = made(case), []
        state = start(stack)

        def should_stop(at=at, asked=asked):
            asked.append(0)
            return len(asked) > at

        while len(asked) <= at and state.step < ROUNDS and not stack.settled(state).all():
            state.live &= ~stack.due(state)
            records = stack.advance(state, ROUNDS, should_stop=should_stop)
            assert not records.whole or state.progress.aimed[stack._moving(state)].all(), at
        if not records.whole and stack.due(state).any():
            cut, step = cut + 1, state.step
            assert stack.advance(state, ROUNDS).whole
            assert state.step == step
            assert state.progress.aimed[stack._moving(state)].all()
    assert cut or case[1] == "lbfgs"  # whose directions nothing stops


WIDE = [("logistic", "lbfgs", 0.0, 1), ("poisson", "lbfgs", 0.0, 2), ("softmax", "lbfgs", 0.0, 1)]


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("case", WIDE)
def test_scores_that_are_kept_leave_no_trace(case, monkeypatch):
    """Wide rows, whose scores are kept from one pass to what comes after it."""
    monkeypatch.setattr(passes, "_WORK", 1)
    monkeypatch.setattr(passes, "_CACHED", 1 << 13)  # more rows of scores than of features
    monkeypatch.setattr(passes, "is_narrow", lambda *_: True)  # products of our own
    sizes = {"N": 600, "D": 48}
    kept = made(case, CPU, **sizes).objective._passes[0]
    assert len(kept._buffers.z) > kept._batches.chunk_rows
    right, asked = unbroken(case, CPU, **sizes)
    for at in range(2, asked + 1, 3):
        assert broken(case, at, CPU, **sizes) == right, at
    assert broken(case, asked, CPU, **sizes) == right
    stack, fresh = (made(case, CPU, **sizes) for _ in range(2))
    state = start(stack)
    stack.advance(state, 1)
    w = state.arrays["w"]
    found = [one.objective.bias_hessian(w).tobytes() for one in (stack, fresh)]
    assert found[0] == found[1]


def lacking(monkeypatch, owner, name, at, after=False):
    """Let the call of some number run out of memory, before or after what it does."""
    call, calls = getattr(owner, name), count()

    def failing(*args, **given):
        lacks = next(calls) == at
        if lacks and not after:
            raise MemoryError
        found = call(*args, **given)
        if lacks:
            raise MemoryError
        return found

    monkeypatch.setattr(owner, name, failing)


LACKING = {
    "points": (Directions, "try_points", True),
    "passes": (Objective, "value", True),
    "slopes": (Directions, "slopes", True),
    "directions": (Directions, "fix_gauge", True),
    "compiled rounds": (compiled_newton.CompiledNewton, "_call", False),
}


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("where", LACKING)
@pytest.mark.parametrize(
    "case", [case for case in CASES if case[0] == "softmax" and case[3] == 5], ids=str
)
def test_rounds_that_had_no_room_are_taken_again_with_the_same_bits(case, where, monkeypatch):
    right, _ = unbroken(case, CPU)
    owner, name, after = LACKING[where]
    for at in (0, 3, 6):
        stack, log, lacked = made(case, CPU), {}, 0
        state = start(stack)
        with monkeypatch.context() as patch:
            lacking(patch, owner, name, at, after)
            while state.step < ROUNDS and not stack.settled(state).all():
                state.live &= ~stack.due(state)
                step = state.step
                try:
                    log |= logged(stack.advance(state, ROUNDS))
                except MemoryError:
                    lacked += 1
                    assert state.step == step
                    assert step == 0 or lacked == 1
        assert lacked <= 1
        assert (log, ended(stack, state)) == right


def test_bounds_that_had_no_room_change_nothing(monkeypatch):
    monkeypatch.setattr(certificates, "certified_at_once", lambda *_: 2)
    stack = made(("softmax", "lbfgs", 0.0, 5), CPU)
    state, due = start(stack), np.ones(5, bool)
    stack.advance(state, 5)
    before = saved(stack, state)[2]
    with monkeypatch.context() as patch:
        lacking(patch, certificates, "certify", 1)
        with pytest.raises(MemoryError):
            stack.facts(state, due)
    for one in fields(before):
        np.testing.assert_array_equal(getattr(state.progress, one.name), getattr(before, one.name))
    assert (stack.facts(state, due)["gap"] > 0).all()


ON_GPU = [
    *((model, "lbfgs", l1, 5) for model in ("logistic", "softmax") for l1 in (0.0, 5e-3)),
    ("softmax", "lbfgs, then newton", 0.0, 5),
    ("logistic", "newton", 5e-3, 5),
]


@pytest.mark.skipif(shim.COMPILER is None, reason=shim.WHY_NOT)
@pytest.mark.parametrize("case", ON_GPU)
@pytest.mark.parametrize("twin", ["none", "cuda"])
def test_nor_do_they_on_a_gpu(case, twin, monkeypatch):
    monkeypatch.delenv("STACKED_TRAINER_COMPILED", raising=False)  # of a suite without the library
    monkeypatch.setattr(passes, "_WORK", 1)
    double = devices.from_cupy(Cupy(), "the double", twin=twin)
    right, asked = unbroken(case, double)
    for at in range(ON_GPU.index(case) % 3, asked, asked // 3):
        assert broken(case, at, double) == right, at


TF32 = [
    *((model, f"lbfgs{IN_TF32}", l1, 5) for model in ("linear", "logistic", "softmax", "poisson")
      for l1 in (0.0, 2e-2)),
    ("softmax", f"lbfgs{IN_TF32}", 0.0, 1),
    ("softmax", f"lbfgs, then newton{IN_TF32}", 0.0, 5),
]  # fmt: skip


@pytest.fixture
def ampere(monkeypatch):
    """A GPU that multiplies in TF32, to which the rows are several chunks."""
    monkeypatch.delenv("STACKED_TRAINER_COMPILED", raising=False)  # of a suite without the library
    monkeypatch.setattr(passes, "_WORK", 1)
    monkeypatch.setattr(tf32_sizes, "MOST_ROWS", 25)
    monkeypatch.setitem(globals(), "ROUNDS", 60)  # so that all columns leave TF32
    return devices.from_cupy(Cupy(), "the double", twin="cuda", major=8)


@pytest.mark.skipif(shim.COMPILER is None, reason=shim.WHY_NOT)
@pytest.mark.parametrize("case", TF32)
def test_nor_do_they_in_tf32(case, ampere):
    assert len(TF32) == 10
    stack, phases = made(case, ampere), []  # of each question

    def ask():
        n = state.progress
        phases.append("TF32" if n.tf32.any() else "float64" if (n.before > 1).any() else "first")

    state, log = start(stack), {}
    go_on(stack, state, log, ask)
    right = log, ended(stack, state)
    where = {name: phases.index(name) for name in ("first", "TF32", "float64")}
    end = where["float64"]  # the first question after TF32, which columns leave one by one
    for at in {where["TF32"] + 2, end - 4, end - 1, end}:
        assert broken(case, at, ampere) == right, (at, where)


@pytest.mark.skipif(shim.COMPILER is None, reason=shim.WHY_NOT)
def test_a_round_in_tf32_is_whole_or_has_not_been(ampere):
    stack, asked = made(TF32[4], ampere), count()
    state = start(stack)
    stack.advance(state, 1)
    assert not state.arrays["d"].get().any()  # no direction is made where columns begin again
    stack.advance(state, 3)
    assert state.progress.tf32.all()
    before, passes = saved(stack, state), stack._tf32.objective
    for at in range(1 + len(passes._steps)):  # before it, and before each chunk
        asked = count()
        assert len(stack.advance(state, 4, should_stop=lambda: next(asked) >= at).step) == 0  # noqa: B023
        assert next(asked) == at + 1
        after = saved(stack, state)
        assert after[0] == 3
        for name, one in before[1].items():
            assert one.tobytes() == after[1][name].tobytes(), name
        for one in fields(state.progress):
            values = (getattr(kept[2], one.name).tobytes() for kept in (before, after))
            assert len(set(values)) == 1, one.name
    assert stack.advance(state, 4).step.tolist() == [4]


@pytest.mark.skipif(shim.COMPILER is None, reason=shim.WHY_NOT)
def test_how_far_columns_are_does_not_shrink_where_tf32_ends(ampere):
    stack, shares = made(("softmax", f"lbfgs{IN_TF32}", 0.0, 3), ampere), []
    state = start(stack)
    while not stack.settled(state).all() and state.step < 100:
        state.live &= ~stack.due(state)
        stack.advance(state, state.step + 1)
        shares.append(stack.done(state))
    assert (state.progress.before > 2).all()
    assert (np.diff(shares, axis=0) >= -0.05).all()  # roundings have made a slope too small
    assert (shares[-1] == 1).all()


def test_a_stretch_is_as_many_rounds_as_shapes_say():
    size = Size(20_000, 3_000, 1)
    assert rounds_of_a_stretch(CPU, size, 30, 10, 0.0) == 2
    assert rounds_of_a_stretch(CPU, Size(500, 30, 1), 1, 10, 0.0) == CPU.sizes.stretch_steps
    assert rounds_of_a_stretch(CPU, size, 30, 10, 1e11) == 1
    assert rounds_of_a_stretch(CPU, Size(10, 2, 1), 1 << 17, 10, 0.0) == 2


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("name", ["lbfgs", "newton"])
def test_stretches_end_where_they_would_without_the_signal(name):
    stack = made(("logistic", name, 0.0, 2), CPU)
    stack._stretch, state = 3, start(stack)
    asked = count()
    ends = [stack.advance(state, 2).step[-1]]
    ends += [stack.advance(state, 1 << 40, should_stop=lambda: next(asked) < 0).step[-1]]
    ends += [stack.advance(state, 1 << 40).step[-1]]
    assert ends == [2, 3, 6]


def test_columns_are_due_where_enough_have_settled_wherever_it_pauses():
    stack = made(("logistic", "lbfgs", 0.0, 8), CPU)
    state, n = start(stack), None
    stack.advance(state, 2)
    n = state.progress
    n.lost[:2] = True
    assert not stack.due(state).any()
    n.lost[:3] = True
    assert stack.due(state).tolist() == [True] * 3 + [False] * 5
    assert len(stack.advance(state, 1 << 40).step) == 0  # they come first
    state.live[:3] = False
    assert not stack.due(state).any()


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("name", ["lbfgs", "newton"])
def test_how_far_columns_are_grows_to_the_end(name):
    stack = made(("logistic", name, 0.0, 3), CPU)
    state, shares = start(stack), []
    while not stack.settled(state).all() and state.step < 100:
        state.live &= ~stack.due(state)
        stack.advance(state, state.step + 1)
        shares.append(stack.done(state))
    assert (np.diff(shares, axis=0) >= 0).all()
    assert (shares[0] < 0.2).all()
    assert (shares[-1] == 1).all()
    assert ((np.array(shares) > 0.2) & (np.array(shares) < 1)).any()


def test_bounds_that_take_long_are_left_to_a_run_that_goes_on(monkeypatch):
    monkeypatch.setattr(passes, "_WORK", 1)
    stack = made(("logistic", "lbfgs", 0.0, 2), CPU)
    state = start(stack)
    stack.advance(state, 3)
    with pytest.raises(Interrupted):
        stack.facts(state, np.ones(2, bool), lambda: True)
    assert np.isnan(stack.facts(state, np.zeros(2, bool))["gap"]).all()
    assert (stack.facts(state, np.ones(2, bool))["gap"] > 0).all()
