"""What any stack can do: both kinds can, and nobody asks which one it is."""

import ast
from pathlib import Path

import numpy as np
import pytest
from problems import problems
from solving import stack_of
from stacks import make_problem, make_stack

import trainer
from trainer.train.protocol import AnyStack
from trainer.train.stack import Stack

MEMBERS = [name for name in vars(AnyStack) if not name.startswith("_")]
KINDS = {"Stack", "SolverStack", "Settings", "SolverSettings", "State"}


def either(kind):
    if kind == "first order":
        return make_stack(make_problem("linear"), lr=[0.1, 0.2], steps=[7, 9])
    return stack_of(problems(1)[0], "auto", [1e-2, 1.0], [0.0, 0.0], 1e-6, max_iter=50)


def test_the_protocol_is_read_whole():
    assert len(MEMBERS) == 22


@pytest.mark.parametrize("kind", ["first order", "solver"])
def test_a_stack_has_every_member(kind):
    stack = either(kind)
    assert [name for name in MEMBERS if not hasattr(stack, name)] == []
    features, outputs, columns = stack.shape
    assert columns == 2
    assert stack.budget.shape == (2,)
    assert stack.batch_rows == len(stack.rows)
    state = stack.start(np.zeros(stack.shape), np.zeros(stack.shape[1:]))
    stack.rehearse(state)
    assert state.weights.shape == (features, outputs, columns)
    assert stack.take(np.array([1])).shape == (features, outputs, 1)


def test_a_rehearsal_of_a_solver_moves_nothing_and_of_a_step_one():
    for kind, steps in (("first order", 1), ("solver", 0)):
        stack = either(kind)
        state = stack.start(np.zeros(stack.shape), np.zeros(stack.shape[1:]))
        stack.rehearse(state)
        assert state.step == steps


def test_only_newtons_method_has_hessians_to_plan():
    problem = next(p for p in problems(240) if p.model == "softmax" and p.bias)
    P, N = problem.X.shape[1] + 1, len(problem.X)
    newton = stack_of(problem, "newton", [1e-2] * 2, np.zeros(2), 1e-6)
    work = newton.hessian_work()
    assert (work.start, work.parameters) == (0, newton.problem.shape[0])
    assert work.operations > 2 * 3 * 2 * N * work.parameters**2  # two columns, three pairs
    assert work.bytes >= 8 * (3 * min(P, work.parameters)) ** 2
    assert stack_of(problem, "lbfgs", [1e-2], [0.0], 1e-6).hessian_work() is None
    assert make_stack(make_problem("linear")).hessian_work() is None


def test_nobody_asks_which_stack_it_is():
    asked, files = [], sorted(Path(trainer.__file__).parent.rglob("*.py"))
    assert len(files) > 100
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
                named = {n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)}
                asked += [f"{path.name}:{node.lineno}"] * bool(named & KINDS)
    assert asked == []
    assert Stack.__name__ in KINDS
