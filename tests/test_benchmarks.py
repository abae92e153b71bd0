"""The benchmark of sweeps: what is run of each, that ours runs right, and its page."""

import sys
from pathlib import Path

import numpy as np
import pytest

import trainer

sys.path.append(str(Path(trainer.__file__).parent.parent))

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
