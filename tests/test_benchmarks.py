"""The benchmarks of sweeps and solvers: what is run, that ours runs right, and their pages."""

import contextlib
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import trainer

sys.path.append(str(Path(trainer.__file__).parent.parent))

from benchmarks.solvers import cases as solvers
from benchmarks.solvers.command import PARTS, tasks
from benchmarks.solvers.contenders import Contender, contenders
from benchmarks.solvers.limits import OutOfTimeError, limited
from benchmarks.solvers.table import page as solver_page
from benchmarks.solvers.tasks import lasso, penalties, ridge, sparse
from benchmarks.solvers.timing import Measured as Solved
from benchmarks.solvers.timing import measure
from benchmarks.sweep.cases import BATCH, SIZES, Case, case, grid
from benchmarks.sweep.contenders import CONTENDERS
from benchmarks.sweep.ours import Loop, Trained, Whole
from benchmarks.sweep.table import Measured, page
from benchmarks.sweep.timing import Timing
from benchmarks.sweep.work import Work, few_steps, looped, stacked


def empty(rows: int, columns: int, outputs: int, folds: int) -> Case:
    X = np.broadcast_to(np.float32(0), (rows, columns))
    return Case("empty", "softmax", X, np.zeros(rows, int), outputs, folds)


@pytest.mark.parametrize("folds", [1, 5])
@pytest.mark.parametrize("name", SIZES)
def test_all_batches_of_the_whole_and_of_its_parts_are_whole(name, folds):
    whole = empty(*SIZES[name], folds)
    assert len(SIZES) == 4
    for K in (16, 1024):
        work = stacked(whole, K, 0.4)
        assert work.case.train_rows % BATCH == 0
        assert work.times == pytest.approx(len(whole.X) / len(work.case.X) * 3 / work.case.epochs)
        one = stacked(whole, K, 0.001, apart=True)
        assert one.case.only == 1
        assert one.times / (3 / one.case.epochs) == folds * len(whole.X) / len(one.case.X)
        assert len(work.lr) == K
        assert bool(work.words) == (len(work.case.X) < len(whole.X))


def test_a_loop_runs_fewer_trials_then_folds_then_epochs():
    whole = empty(1000, 3, 2, 5)
    ran = [looped(whole, 16, seconds, 1.0) for seconds in (100, 10, 2, 0.1)]
    parts = [(len(w.lr), w.case.only, w.case.epochs) for w in ran]
    assert parts == [(16, None, 3), (2, 5, 3), (1, 2, 3), (1, 1, 1)]
    assert [w.times for w in ran] == [1, 8, 40, 240]
    assert ran[3].words == "1 trial, 1 of 5 folds, 1 of 3 epochs"
    assert len(looped(whole, 16, 0.1, 1.0, least=2).lr) == 2


def test_the_grid_has_every_pair_once():
    lr, l2 = grid(64)
    assert len(set(zip(lr, l2, strict=True))) == 64
    assert len(set(lr)) == len(set(l2)) == 8


@pytest.mark.parametrize("folds", [1, 5])
def test_our_sweep_is_our_loop_in_the_order_of_the_grid(folds):
    work = Work(case("digits", folds, quick=True), *grid(4))
    loop = Loop(work).run()
    assert len(set(loop.tolist())) == 4
    np.testing.assert_allclose(Trained(work).run(), loop, rtol=1e-5)
    np.testing.assert_allclose(Whole(work).run(), loop, rtol=1e-5)


def test_memory_is_measured_on_all_rows_and_a_few_steps():
    whole = case("327000", 1, quick=True)
    assert few_steps(whole, 16, looped=False).case.fit_steps == 2
    assert len(few_steps(whole, 16, looped=False).lr) == 16
    assert len(few_steps(whole, 16, looped=True).lr) == 2


def test_the_page_has_a_row_for_each_contender():
    names = [contender.name for contender in CONTENDERS]
    timings = [
        Timing(name, np.array([2.0, 3.0, 4.0]) * (i + 1), "250 rows" if i else "")
        for i, name in enumerate(names)
    ]
    measured = Measured("3 x 2", 5, {16: timings, 64: timings}, dict.fromkeys(names, 0.5))
    measured.peaks[names[0], 64] = 1234.5
    text = page([measured], "here", 3)
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == 1 + len(names) + 2
    assert "## 3 x 2, 5 folds" in text
    cell = "6.00, **2.00** (2.00–2.00)<br>[250 rows]"
    assert f"| {names[1]} | {cell} | {cell} | 5e-01 |" in lines
    assert f"| {names[0]} | – | 1,234 |" in lines


def two_classes(rows: int = 60) -> solvers.Case:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((rows, 4))
    y = (X[:, 0] + rng.standard_normal(rows) > 0).astype(np.int64)
    return solvers.Case("tiny", "logistic", X, y, 1)


def three_classes() -> solvers.Case:
    one = two_classes()
    return replace(one, model="softmax", y=one.y + (one.X[:, 1] > 1), outputs=3)


TASKS = {
    "logistic": penalties(two_classes(), 3, 1),
    "one penalty, softmax": penalties(three_classes(), 1, 1),
    "folds": penalties(three_classes(), 2, 5),
    "ridge": ridge(two_classes(), 1, K=3),
    "ridge, folds": ridge(two_classes(), 5, K=3),
    "lasso": lasso(two_classes(), K=4, ratio=0.1),
    "l1": sparse(two_classes(), K=3, ratio=0.1),
}


@pytest.mark.parametrize("name", TASKS)
def test_solvers_reach_the_same_objective(name):
    pytest.importorskip("sklearn")
    task = TASKS[name]
    who = [one for one in contenders(task) if not one.package and "GridSearch" not in one.name]
    measured = measure(task, rounds=1, seconds=600, who=who)
    slow = {"scikit-learn liblinear, cold", "scikit-learn saga, warm"}  # an intercept, the last bit
    for result in measured.results:
        if result.contender.checked and result.contender.name not in slow:
            assert not result.words, result.contender.name
            assert result.gap <= task.target
            assert task.form != "l1" or result.support >= task.K - 1  # where all weights just are 0
    assert len(measured.results) == len(who) >= 2
    assert not measured.lowered
    text = solver_page([measured], "here", ["a note"], (1, 600, 1e-11))
    lines = [line for line in text.splitlines() if line.startswith(f"| {task.K} | ")]
    assert len(lines) == len(who)
    assert "\n- a note\n" in text


def test_zero_weights_are_where_gaps_are_counted_from():
    for task in TASKS.values():
        if task.folds == 1:
            shape = (4, task.case.outputs, task.K)
            bias = np.full(shape[1:], task.case.y.mean() if task.case.model == "linear" else 0)
            start = task.objective([(np.zeros(shape), bias)])
            np.testing.assert_allclose(start, np.repeat(task.start, task.K, axis=1))


def test_what_is_not_installed_or_fails_or_is_slow_is_said():
    pytest.importorskip("sklearn")
    task = TASKS["logistic"]
    ours = contenders(task)[0]
    absent = Contender("absent", "others.glum", package="no_such_package")
    failing = Contender("failing", "sklearns.logistic", settings={"solver": "none such"})
    results = measure(task, rounds=1, seconds=600, who=[ours, absent, failing]).results
    assert results[1].words == "not installed"
    assert results[2].words.startswith("InvalidParameterError at 1e-02: ")
    assert not results[1].seconds
    text = solver_page([Solved(task, results, {})], "here", [], (1, 600, 1e-11))
    assert "| 3 | absent | – | not installed | – | – | – |" in text
    with pytest.raises(OutOfTimeError), limited(0.01):
        time.sleep(10)
    went_on = []

    def cross_validate():  # makes a NaN of a fit that fails
        with contextlib.suppress(Exception):
            time.sleep(10)
        went_on.append("score")

    with pytest.raises(OutOfTimeError), limited(0.01):
        cross_validate()
    assert not went_on


def test_a_part_has_its_tasks():
    counts = {part: len(list(tasks(two_classes(), [part], [1, 2]))) for part in PARTS}
    assert counts == {"l2": 2, "folds": 2, "ridge": 0, "lasso": 0, "l1": 0}
    assert solvers.case("embeddings", None) is None
