"""What a step costs a GPU, counted on the double: launches and bytes; no copy, sync or allocation.

The tables are of the steps as they are: what makes a step cheaper, or dearer, changes a row.
"""

import numpy as np
import pytest
import shim
from double import Cupy
from stacks import LOSSES, make_problem, make_stack, start

from trainer import device as devices
from trainer.data.rows import Rows
from trainer.model import MODELS
from trainer.optim.first_order import OPTIMIZERS
from trainer.train.evaluate import Evaluator, HeldOut
from trainer.train.stack import Stack

B, D, C, K = 32, 5, 3, 4
with_our_kernels = pytest.mark.skipif(shim.COMPILER is None, reason=shim.WHY_NOT)


def watch(stack, cupy, full=True):
    """The list of the counts of each step from now on."""
    counted = []

    def watched(state, number, slot, _, snapshot):
        before = cupy.counts.now()
        Stack._step(stack, state, number, slot, full, snapshot)
        counted.append(cupy.counts.since(before))

    stack._step = watched
    stack._halves.at_once = 1  # no graph takes steps that are not seen
    return counted


def step(model, loss, optimizer, full, *, twin="none", outputs=C, columns=K, batch=B, **settings):
    """The counts of a step; one that is not `full` logs its loss alone."""
    cupy = Cupy()
    problem = make_problem(model, loss, rows=3 * B, features=D, outputs=outputs)
    stack = make_stack(
        problem,
        optimizer,
        precision="float32",
        device=devices.from_cupy(cupy, "the double", twin=twin),
        batch_size=batch,
        lr=[0.01] * columns,
        steps=9,
        **settings,
    )
    counted = watch(stack, cupy, full)
    stack.advance(start(stack), 3)
    assert len(set(counted)) == 1  # each step of an epoch costs the same
    return counted[0]


# (launches, bytes) of a step that is logged whole, and of one whose loss alone is
STEPS = {
    ("linear", "auto", "sgd"): ((35, 44268), (25, 34848)),
    ("linear", "auto", "nesterov"): ((39, 45868), (29, 36448)),
    ("linear", "auto", "adam"): ((53, 51180), (43, 41760)),
    ("linear", "auto", "adamw"): ((57, 52716), (47, 43296)),
    ("linear", "auto", "lars"): ((51, 47300), (41, 37880)),
    ("logistic", "auto", "sgd"): ((45, 74860), (35, 65440)),
    ("logistic", "auto", "nesterov"): ((49, 76460), (39, 67040)),
    ("logistic", "auto", "adam"): ((63, 81772), (53, 72352)),
    ("logistic", "auto", "adamw"): ((67, 83308), (57, 73888)),
    ("logistic", "auto", "lars"): ((61, 77892), (51, 68472)),
    ("softmax", "auto", "sgd"): ((39, 53228), (29, 43808)),
    ("softmax", "auto", "nesterov"): ((43, 54828), (33, 45408)),
    ("softmax", "auto", "adam"): ((57, 60140), (47, 50720)),
    ("softmax", "auto", "adamw"): ((61, 61676), (51, 52256)),
    ("softmax", "auto", "lars"): ((55, 56260), (45, 46840)),
    ("poisson", "auto", "sgd"): ((36, 49772), (26, 40352)),
    ("poisson", "auto", "nesterov"): ((40, 51372), (30, 41952)),
    ("poisson", "auto", "adam"): ((54, 56684), (44, 47264)),
    ("poisson", "auto", "adamw"): ((58, 58220), (48, 48800)),
    ("poisson", "auto", "lars"): ((52, 52804), (42, 43384)),
    ("logistic", "squared_error", "sgd"): ((44, 75772), (32, 59808)),
    ("logistic", "squared_error", "nesterov"): ((48, 77372), (36, 61408)),
    ("logistic", "squared_error", "adam"): ((62, 82684), (50, 66720)),
    ("logistic", "squared_error", "adamw"): ((66, 84220), (54, 68256)),
    ("logistic", "squared_error", "lars"): ((60, 78804), (48, 62840)),
}
# bytes of a step by our own kernels, however it is logged; it is five launches, and lars's six
FUSED = {
    ("linear", "auto", "sgd"): 12368,
    ("linear", "auto", "nesterov"): 12384,
    ("linear", "auto", "adam"): 13040,
    ("linear", "auto", "adamw"): 13040,
    ("linear", "auto", "lars"): 12928,
    ("logistic", "auto", "sgd"): 12368,
    ("logistic", "auto", "nesterov"): 12384,
    ("logistic", "auto", "adam"): 13040,
    ("logistic", "auto", "adamw"): 13040,
    ("logistic", "auto", "lars"): 12928,
    ("softmax", "auto", "sgd"): 11984,
    ("softmax", "auto", "nesterov"): 12000,
    ("softmax", "auto", "adam"): 12656,
    ("softmax", "auto", "adamw"): 12656,
    ("softmax", "auto", "lars"): 12544,
    ("poisson", "auto", "sgd"): 12368,
    ("poisson", "auto", "nesterov"): 12384,
    ("poisson", "auto", "adam"): 13040,
    ("poisson", "auto", "adamw"): 13040,
    ("poisson", "auto", "lars"): 12928,
    ("logistic", "squared_error", "sgd"): 12368,
    ("logistic", "squared_error", "nesterov"): 12384,
    ("logistic", "squared_error", "adam"): 13040,
    ("logistic", "squared_error", "adamw"): 13040,
    ("logistic", "squared_error", "lars"): 12928,
}
LOGGED = {"whole": True, "the loss": False}
# (launches, allocations) of a softmax step of sgd, nesterov and adam that is logged whole; and
# launches by our own kernels
SETTINGS = {
    "l1": ({"l1": 0.1}, (44, 0), (48, 0), (62, 0), 5),
    "no bias": ({"bias": False}, (35, 0), (37, 0), (44, 0), 5),
    "the full batch": ({"batch": None}, (38, 0), (42, 0), (56, 0), 4),  # no rows are taken
    # sums over rows are products with ones, and CuPy allocates for one that is a number
    "one column": ({"columns": 1}, (48, 9), (52, 9), (66, 9), 5),
}


def test_the_tables_are_whole():
    assert (
        STEPS.keys()
        == FUSED.keys()
        == {(*model, optimizer) for model in LOSSES for optimizer in OPTIMIZERS}
    )
    assert {case[:2] for case in STEPS} | {("linear", "squared_error")} == set(MODELS)
    assert len(STEPS) * len(LOGGED) == 50
    assert (len(SETTINGS), len(EVALUATIONS), len(BESIDE)) == (4, 4, 4)


@pytest.mark.parametrize("logged", LOGGED)
@pytest.mark.parametrize("case", STEPS)
def test_a_step_launches_what_it_did_and_neither_copies_waits_nor_allocates(case, logged):
    counted = step(*case, full=LOGGED[logged])
    expected = STEPS[case][list(LOGGED).index(logged)]
    assert counted == (0, 0, 0, *expected)


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_the_settings_of_a_step_add(setting):
    given, *expected, _ = SETTINGS[setting]
    for optimizer, (launches, allocations) in zip(OPTIMIZERS, expected, strict=False):
        counted = step("softmax", "auto", optimizer, True, **given)
        assert counted[:4] == (0, 0, allocations, launches), optimizer


@with_our_kernels
@pytest.mark.parametrize("logged", LOGGED)
@pytest.mark.parametrize("case", FUSED)
def test_a_step_by_our_own_kernels_is_five_launches(case, logged):
    launches = 5 + (case[-1] == "lars")
    assert step(*case, full=LOGGED[logged], twin="cuda") == (0, 0, 0, launches, FUSED[case])


@with_our_kernels
@pytest.mark.parametrize("setting", SETTINGS)
def test_no_setting_adds_a_launch_to_our_own_kernels(setting):
    given, *_, launches = SETTINGS[setting]
    for optimizer in OPTIMIZERS:
        counted = step("softmax", "auto", optimizer, True, twin="cuda", **given)
        assert counted[:4] == (0, 0, 0, launches + (optimizer == "lars")), optimizer


# (copies, syncs, allocations, launches) of an evaluation, on few rows or on many
EVALUATIONS = {
    "linear": (1, 1, 6, 16),
    "logistic": (2, 2, 15, 36),  # the scores too, for areas under curves
    "softmax": (1, 1, 30, 49),
    "poisson": (1, 1, 14, 24),
}
# the same of what is beside the steps of a stretch, and of one that begins an epoch
BESIDE = {
    "a stretch": ({"until": 2}, (2, 1, 3, 1)),
    "a stretch of the full batch": ({"until": 2, "batch": None}, (2, 1, 3, 1)),
    "an epoch of few rows": ({"until": 1}, (3, 1, 4, 7)),
    "an epoch of many rows": ({"until": 1, "rows": 10_000}, (2, 1, 9, 34)),
}


@pytest.mark.parametrize("rows", [100, 20_000])
@pytest.mark.parametrize("model", EVALUATIONS)
def test_an_evaluation_is_one_pass_and_one_wait(model, rows):
    cupy = Cupy()
    device = devices.from_cupy(cupy, "the double")
    problem = make_problem(model, features=D, rows=rows)
    stack = make_stack(problem, precision="float32", device=device, lr=[0.01] * K)
    X = problem.X.astype(np.float32)
    held = HeldOut(device, Rows("val", X, problem.y, problem.w, np.arange(rows)), np.ones(C))
    evaluator, state = Evaluator(stack, held), start(stack)
    evaluator.metrics(state)  # has its buffers made
    before = cupy.counts.now()
    evaluator.metrics(state)
    assert cupy.counts.since(before)[:4] == EVALUATIONS[model]


@pytest.mark.parametrize("what", BESIDE)
def test_what_is_beside_the_steps_of_a_stretch(what):
    given, expected = BESIDE[what]
    cupy = Cupy()
    device = devices.from_cupy(cupy, "the double")
    problem = make_problem("softmax", features=D, rows=given.get("rows", 3 * B))
    batch = given.get("batch", B)
    stack = make_stack(problem, device=device, lr=[0.01] * K, steps=9, batch_size=batch)
    state = start(stack)
    for step in range(1, given["until"]):
        stack.advance(state, step)
    counted, before = watch(stack, cupy), cupy.counts.now()
    stack.advance(state, given["until"])
    (own,) = counted
    beside = [
        every - of_step for every, of_step in zip(cupy.counts.since(before), own, strict=True)
    ]
    assert tuple(beside[:4]) == expected
