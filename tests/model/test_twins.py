"""The compiled halves of a step against the NumPy text, from equal states."""

import itertools

import numpy as np
import pytest
from huber import ROW as HUBER

from trainer import device as devices
from trainer.model import MODELS, compiled
from trainer.model.compiled_errors import RULES, errors_of
from trainer.model.step import errors
from trainer.optim.first_order import OPTIMIZERS
from trainer.optim.schedules import LrSchedule
from trainer.train.batches import FullBatch, RowSet
from trainer.train.buffers import Buffers
from trainer.train.halves import NumpyHalves
from trainer.train.stack import Settings, Stack
from trainer.train.step_record import StepRecorder
from trainer.train.twins import _UPDATES, COEFFICIENTS, CompiledHalves

LIBRARY, WHY = compiled.load()
pytestmark = pytest.mark.skipif(LIBRARY is None, reason=WHY)
CPU = devices.cpu("the tests")
ROWS, FEATURES, BATCH = 70, 20, 32  # 32 + 32 + 6
CLOSE = {"float32": 7e-7, "float64": 1e-13}  # of the largest value
KEYS = [
    ("linear", "auto"),
    ("logistic", "auto"),
    ("softmax", "auto"),
    ("poisson", "auto"),
    ("logistic", "squared_error"),
]
OPTIMIZER_OF = {name: name for name in OPTIMIZERS} | {"momentum": "sgd"}
WIDTHS = [1, 2, 7, 16, 33, 64, 200]
OUTPUTS = [1, 2, 10, 100, 1000]


def stack_of(model, optimizer, C, K, precision, *, l1=False, weights=True, codes=None, scale=1.0,
             features=FEATURES, batch=BATCH, bias=True, row=None):  # fmt: skip
    draw = np.random.default_rng(C * 1000 + K)
    X = scale * draw.standard_normal((ROWS, features)).astype(precision)
    if codes if codes is not None else model[0] == "softmax":
        y = draw.integers(0, C, ROWS)
    elif model[0] == "softmax":
        y = draw.dirichlet(np.ones(C), ROWS).astype(precision)
    elif model[0] == "logistic":
        y = draw.integers(0, 2, (ROWS, C)).astype(precision)
    else:
        y = draw.poisson(1.0, (ROWS, C)).astype(precision)
    w = draw.uniform(0, 2, ROWS) * (draw.uniform(size=ROWS) > 0.2) if weights else np.ones(ROWS)
    w = w * 10.0 ** draw.integers(-20, 12, ROWS) if weights == "huge" else w
    rows = RowSet(CPU, X, y, w / w.sum(), np.full(ROWS, 1 / ROWS), C)
    each = {
        "l2": draw.uniform(0, 0.1, K),
        "l1": draw.uniform(0, 0.05, K) * l1,
        "momentum": draw.uniform(0, 0.9, K) * (optimizer != "sgd"),
        "beta1": draw.uniform(0, 0.9, K),
        "beta2": draw.uniform(0.9, 0.99, K),
        "eps": np.full(K, 1e-3),
        "weight_decay": draw.uniform(0, 0.5, K),
        "trust_coefficient": draw.uniform(0.01, 2, K),
    }
    lr = draw.uniform(0.01, 0.1, K)
    same = {name: np.full(K, value) for name, value in (("steps", 9), ("warmup", 0))}
    plan = LrSchedule(
        name="constant",
        milestones=np.zeros(0),
        length=same["steps"].astype(float),
        lr=lr,
        final=np.zeros(K),
        gamma=np.ones(K),
        **{name: value.astype(float) for name, value in same.items()},
    )
    settings = Settings(OPTIMIZER_OF[optimizer], plan, each, bias, batch, 1)
    return Stack(CPU, row or MODELS[model], rows, C, settings)


def initial(stack, size=0.3):
    draw = np.random.default_rng(7)
    D, C, K = stack.shape
    return size * draw.standard_normal((D, C, K)), size * draw.standard_normal((C, K))


def both(monkeypatch, *arguments, start=None, steps=1, **keys):
    """(arrays, records) of the twin and of the text after `steps` steps from equal states."""
    ends = []
    for text in (False, True):
        with monkeypatch.context() as patch:
            if text:
                patch.setattr(compiled, "load", lambda: (None, "the text"))
            stack = stack_of(*arguments, **keys)
        assert isinstance(stack._halves, NumpyHalves if text else CompiledHalves)
        state = stack.start(*(start or initial)(stack))
        draw = np.random.default_rng(8)
        for name in stack.optimizer.slots:  # of a run that has begun: adam divides by 0 nearly
            state.arrays[name][:] = draw.uniform(0.1, 1, state.arrays[name].shape)
        records = [stack.advance(state, steps)]
        while state.step < steps:
            records.append(stack.advance(state, steps))
        logged = {
            name: np.concatenate([one.values[name] for one in records])
            for name in records[0].values
        }
        ends.append(({n: a.copy() for n, a in state.arrays.items()}, logged))
    return ends


def apart(found, right):
    """The largest difference, as a share of the largest number of its column that is finite."""
    with np.errstate(all="ignore"):
        size = np.where(np.isfinite(right), np.abs(right), 0)
        size = np.maximum(size.max(axis=tuple(range(right.ndim - 1))), 1e-30)
        off = np.where(np.isfinite(right), np.abs(found - right), 0) / size
    return float(off.max())


def agree(ends, tolerance, of_sums=0.0):
    """Equal to the tolerance; `of_sums`: what the text's own sums may be off, if that is more."""
    (arrays, logged), (right, told) = ends
    for name in right:
        assert (np.isnan(arrays[name]) == np.isnan(right[name])).all(), name
        assert (np.isinf(arrays[name]) == np.isinf(right[name])).all(), name
        assert ((arrays[name] == 0) == (right[name] == 0)).all(), name
        assert apart(arrays[name], right[name]) <= tolerance, name
    for name in told:
        assert (np.isnan(logged[name]) == np.isnan(told[name])).all(), name
        assert (np.isinf(logged[name]) == np.isinf(told[name])).all(), name
        assert apart(logged[name], told[name]) <= max(4 * tolerance, of_sums), name


def test_the_tables_of_the_twin_are_whole():
    rules = {(one.activation, one.loss, one.dz) for one in MODELS.values()}
    assert rules == set(RULES)
    assert len(RULES) == 5
    assert {one.update for one in OPTIMIZERS.values()} == set(_UPDATES)
    hyper = dict.fromkeys(
        ("l1", "momentum", "beta1", "beta2", "eps", "weight_decay", "trust_coefficient"),
        np.full(1, 0.5),
    )
    for one in OPTIMIZERS.values():
        names = tuple(one.tables(np.ones((2, 1)), hyper, 1))
        assert names == COEFFICIENTS[_UPDATES[one.update]]


STEPS = list(itertools.product(KEYS, OPTIMIZER_OF, [False, True], [False, True], CLOSE))


@pytest.mark.parametrize(("model", "optimizer", "l1", "weights", "precision"), STEPS)
def test_a_step_of_every_rule_equals_the_text(
    model, optimizer, l1, weights, precision, monkeypatch
):
    loose = 30 if model[1] == "squared_error" and precision == "float32" else 1
    l1 = l1 and optimizer not in ("adamw", "lars")
    for C, K in ((3, 2), (1, 1), (2, 33)):
        keys = {"l1": l1, "weights": weights}
        ends = both(monkeypatch, model, optimizer, C, K, precision, **keys)
        agree(ends, loose * CLOSE[precision])


@pytest.mark.parametrize("K", [1, 5, 200])
def test_lars_leaves_zeros_as_sgd_does(K, monkeypatch):
    def start(stack):
        weights, bias = initial(stack)
        weights[:, :, ::2] = 0
        return weights, bias

    keys = {"start": start, "steps": 3}
    agree(both(monkeypatch, ("softmax", "auto"), "lars", 3, K, "float64", **keys), 1e-12)


def test_the_table_of_cases_is_whole():
    assert len(STEPS) == 5 * 6 * 2 * 2 * 2
    assert len(SHAPES) == 265 + 17
    assert {shape[1:] for shape in SHAPES} == {*itertools.product(OUTPUTS, WIDTHS, CLOSE)}


SHAPES = [
    (model, C, K, precision)
    for model in KEYS
    for C, K in itertools.product(OUTPUTS, WIDTHS)
    if C * K <= 8000 or (C, K) == (100, 200)
    for precision in CLOSE
    if precision == "float32" or C * K <= 640
]
SHAPES += [  # the large ones, each of one model
    (KEYS[at % len(KEYS)], *shape)
    for at, shape in enumerate(itertools.product(OUTPUTS, WIDTHS, CLOSE))
    if shape not in {one[1:] for one in SHAPES}
]


@pytest.mark.parametrize(("model", "C", "K", "precision"), SHAPES)
def test_a_step_of_every_shape_equals_the_text(model, C, K, precision, monkeypatch):
    loose = 30 if model[1] == "squared_error" and precision == "float32" else 1
    ends = both(monkeypatch, model, "sgd", C, K, precision, l1=True)
    # products with ones of 32,000 numbers a column are off by 3e-5, the twin's short chains are not
    agree(ends, loose * CLOSE[precision], 5e-5 if (C, precision) == (1000, "float32") else 0)
    if (C, precision) == (1000, "float32") and K <= 64:
        true = both(monkeypatch, model, "sgd", C, K, "float64", l1=True)[1][1]
        for name, value in true.items():
            assert apart(ends[0][1][name], value) <= 1e-6 * loose, name


@pytest.mark.parametrize("codes", [True, False])
@pytest.mark.parametrize("K", [1, 2, 16, 40])
def test_softmax_takes_codes_and_shares(codes, K, monkeypatch):
    ends = both(monkeypatch, ("softmax", "auto"), "sgd", 5, K, "float32", codes=codes)
    agree(ends, CLOSE["float32"])


@pytest.mark.parametrize("batch", [ROWS - 1, None, 6])
@pytest.mark.parametrize("K", [1, 3, 40])
@pytest.mark.parametrize("features", [1, 16, 37])
def test_an_epoch_with_a_ragged_batch_equals_the_text(batch, K, features, monkeypatch):
    keys = {"batch": batch, "features": features}
    ends = both(monkeypatch, ("softmax", "auto"), "sgd", 3, K, "float64", steps=7, **keys)
    agree(ends, 1e-12)
    ends = both(monkeypatch, ("logistic", "auto"), "nesterov", 1, K, "float64", steps=7, **keys)
    agree(ends, 1e-12)


@pytest.mark.parametrize("model", KEYS)
@pytest.mark.parametrize(("C", "K"), [(3, 1), (3, 5), (3, 40), (40, 1), (2, 16), (33, 3)])
def test_extreme_scores_end_in_the_same_places(model, C, K, monkeypatch):
    for precision in CLOSE:
        for size in (30.0, 300.0, 1e4):

            def start(stack, size=size):
                return initial(stack, size)

            ends = both(monkeypatch, model, "momentum", C, K, precision, start=start, scale=0.3)
            agree(ends, 30 * CLOSE[precision])


@pytest.mark.parametrize("precision", CLOSE)
@pytest.mark.parametrize(("C", "K"), [(3, 2), (1, 1), (2, 33), (40, 1)])
@pytest.mark.parametrize("model", KEYS)
def test_row_weights_of_every_size_weigh_the_same(model, C, K, precision, monkeypatch):
    loose = 30 if model[1] == "squared_error" and precision == "float32" else 1
    ends = both(monkeypatch, model, "momentum", C, K, precision, weights="huge", l1=True)
    agree(ends, loose * CLOSE[precision])


@pytest.mark.parametrize("instructions", compiled.SETS)
@pytest.mark.parametrize("model", KEYS)
def test_every_instruction_set_equals_the_text(model, instructions, monkeypatch):
    monkeypatch.setenv("STACKED_TRAINER_COMPILED", instructions)
    found, why = compiled.load.__wrapped__()
    if found is None:
        pytest.skip(why)
    monkeypatch.setattr(compiled, "load", lambda: (found, instructions))
    shapes = itertools.product([(3, 2), (1, 1), (2, 33), (40, 1), (10, 40)], CLOSE)
    for (at, ((C, K), precision)), optimizer in zip(
        enumerate(shapes), itertools.cycle(OPTIMIZER_OF), strict=False
    ):
        loose = 30 if model[1] == "squared_error" and precision == "float32" else 1
        features = (1, 16, 37)[at % 3]
        keys = {"l1": optimizer not in ("adamw", "lars"), "features": features}
        ends = both(monkeypatch, model, optimizer, C, K, precision, **keys)
        agree(ends, loose * CLOSE[precision])


@pytest.mark.parametrize("model", KEYS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("C", "K"), [(3, 4), (3, 20), (3, 40), (1, 16), (20, 7), (1, 200)])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "lars"])
def test_a_broken_column_breaks_no_other(model, value, C, K, optimizer, monkeypatch):
    def broken(stack):
        weights, bias = initial(stack)
        weights[3, 0, 1] = bias[0, 2] = value
        return weights, bias

    ends = both(monkeypatch, model, optimizer, C, K, "float32", start=broken, steps=2)
    healthy = both(monkeypatch, model, optimizer, C, K, "float32", steps=2)
    rest = np.delete(np.arange(K), [1, 2])
    for name in ends[0][0]:
        kept = ends[0][0][name][..., rest], healthy[0][0][name][..., rest]
        assert kept[0].tobytes() == kept[1].tobytes(), name
    for found, right in zip(*ends, strict=True):  # arrays, records
        for name in right:
            assert (np.isnan(found[name]) == np.isnan(right[name])).all(), name
            assert (np.isinf(found[name]) == np.isinf(right[name])).all(), name


@pytest.mark.parametrize("K", [3, 20, 150])
@pytest.mark.parametrize("model", KEYS[1:3])
def test_a_columns_bits_are_the_same_in_any_place(model, K, monkeypatch):
    def alike(stack):
        weights, bias = initial(stack)
        weights[:], bias[:] = weights[:, :, :1], bias[:, :1]
        return weights, bias

    stack = stack_of(model, "adam", 3, K, "float32", l1=True)
    for value in (*stack.settings.hyper.values(), stack.settings.schedule.lr):
        value[:] = value[0]
    stack = Stack(CPU, MODELS[model], stack.rows, 3, stack.settings)
    state = stack.start(*alike(stack))
    records = stack.advance(state, 3)
    parameters = state.arrays["parameters"]
    assert (parameters == parameters[..., :1]).all()
    for value in records.values.values():
        assert (value == value[:, :1]).all()


def test_rules_that_the_twin_does_not_know_run_as_they_are_written():
    row = HUBER.with_parameters({"delta": np.ones(2)})
    stack = stack_of(("linear", "auto"), "sgd", 1, 2, "float64", row=row)
    assert isinstance(stack._halves, NumpyHalves)
    state = stack.start(*initial(stack))
    stack.advance(state, 1)
    assert np.isfinite(state.weights).all()


def test_without_a_bias_it_stays_where_it_is():
    stack = stack_of(("softmax", "auto"), "adam", 3, 2, "float32", bias=False)
    state = stack.start(*initial(stack))
    before = state.bias.copy()
    stack.advance(state, 2)
    assert (state.bias == before).all()


@pytest.mark.parametrize("batch", [None, 35])
@pytest.mark.parametrize(("C", "K"), [(1, 1), (10, 1), (15, 17), (31, 3), (100, 1), (33, 128)])
@pytest.mark.parametrize("model", [("logistic", "auto"), ("softmax", "auto")])
def test_the_loss_of_equal_scores_is_known(model, C, K, batch):
    C = max(C, 2) if model[0] == "softmax" else C
    stack = stack_of(model, "sgd", C, K, "float32", batch=batch, weights=False)
    logged = stack.advance(stack.start(*initial(stack, 0.0)), 1).values["loss"]
    true = C * np.log(2) if model[0] == "logistic" else np.log(C)  # each of many terms rounds alike
    np.testing.assert_allclose(logged, true, rtol=1e-6)


@pytest.mark.parametrize("precision", CLOSE)
@pytest.mark.parametrize(("C", "K"), [(3, 2), (1, 1), (40, 1), (2, 33)])
@pytest.mark.parametrize("model", KEYS)
def test_errors_of_whole_rows_equal_the_text(model, C, K, precision):
    stack = stack_of(model, "sgd", C, K, precision)
    batches = FullBatch(CPU, stack.rows, 30)  # 30 + 30 + 10
    twin = errors_of(np, stack.model, stack.rows.y, batches.placed(), K)
    draw = np.random.default_rng(3)
    offset = draw.standard_normal((C, K)).astype(precision)
    found, right = np.zeros((6, K), precision), np.zeros((6, K), precision)
    into, true = np.empty((C, K), precision), np.empty((C, K), precision)
    for part in batches.parts(1):
        z = draw.standard_normal((part.stop - part.start, C, K)).astype(precision)
        b, log = Buffers(np, len(z), C, K, precision), StepRecorder(right[1:])
        b.z[:] = z
        rows = batches.targets(part)
        dz = errors(CPU, stack.model, b.z, offset, rows, true, log, b, lambda *shown: None)
        right[0] += (rows.q.reshape(1, -1) @ b.loss)[0]
        twin.begin(offset, found)
        ours = twin.run(part, z, into)
        assert ours is z
        for one, other in ((ours, dz), (into, true)):
            assert np.abs(one - other).max() <= 30 * CLOSE[precision] * np.abs(other).max()
    first = 0 if precision == "float64" else 1
    np.testing.assert_allclose(found[first:4], right[first:4], rtol=30 * CLOSE[precision])
    np.testing.assert_allclose(found[4], right[4], rtol=30 * CLOSE[precision])
    assert not found[5].any()
    assert not found[0].any() or precision == "float64"


def test_errors_of_rules_that_are_not_compiled_are_none():
    stack = stack_of(("linear", "auto"), "sgd", 1, 2, "float64")
    batches = FullBatch(CPU, stack.rows, 30)
    for model in (HUBER, HUBER.with_parameters({"delta": np.ones(2)})):
        assert errors_of(np, model, stack.rows.y, batches.placed(), 2) is None


@pytest.mark.parametrize("precision", CLOSE)
@pytest.mark.parametrize("model", [*KEYS[:2], KEYS[3]])
def test_scores_of_any_size_have_the_texts_zeros_infinities_and_numbers(model, precision):
    ends = [1e4, 750, 745.2, 744, 710, 709.5, 104.5, 103, 100, 89, 88.8, 88.5, 87, 17, 1, 1e-9, 0]
    at = np.array([*ends, *(-one for one in ends), np.inf, -np.inf, np.nan], precision)
    rows = RowSet(CPU, np.ones((1, 1), precision), np.zeros((1, 1), precision), np.ones(1),
                  np.ones(1), 1)  # fmt: skip
    batches, K = FullBatch(CPU, rows, 1), len(at)
    twin = errors_of(np, MODELS[model], rows.y, batches.placed(), K)
    b, log = Buffers(np, 1, 1, K, precision), StepRecorder(np.zeros((5, K), precision))
    z, none, into = at[None, None].copy(), np.zeros((1, K), precision), np.empty((1, K), precision)
    found, (part,) = np.zeros((6, K), precision), batches.parts(1)
    twin.begin(none, found)
    ours = twin.run(part, z, into)
    b.z[:] = at
    with np.errstate(all="ignore"):
        targets = batches.targets(part)
        true = errors(CPU, MODELS[model], b.z, none, targets, into, log, b, lambda *shown: None)
        tiny = 4 * np.finfo(precision).smallest_subnormal
        for one, right in ((ours, true), (found[1], log.loss)):
            assert ((one == 0) == (right == 0)).all()
            np.testing.assert_allclose(one, right, rtol=CLOSE[precision], atol=tiny)
