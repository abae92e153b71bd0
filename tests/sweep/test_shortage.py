"""Memory that runs out in training: stacks go alone, then in halves; or a run ends in a line."""

import csv
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from double import Cupy
from double_costs import OutOfMemoryError, Pool
from stacks import CPU

import trainer
from trainer import device as devices
from trainer.config import load_spec
from trainer.machine.interrupted import never
from trainer.model import compiled
from trainer.solvers import solver
from trainer.solvers.solver import SolverStack
from trainer.sweep import build, fit_memory, jobs
from trainer.sweep.scheduler import Scheduler
from trainer.sweep.sweep import set_up, train
from trainer.train import twins
from trainer.train.evaluate import Evaluator
from trainer.train.halves import NumpyHalves
from trainer.train.state import State
from trainer.train.training import Training
from trainer.workflow.recorder import NullObserver

ROWS = {"synthetic": {"rows": 400, "columns": 8, "outputs": 3}}
VAL = {"synthetic": {"rows": 150, "columns": 8, "outputs": 3, "seed": 1}}
NUMBERS = {"geomspace": {"start": 1e-3, "stop": 0.1, "num": 6}}
STEPS = {"name": "adam", "epochs": 4, "batch_size": 100}


def sweep_of(path, model="softmax", val=VAL, **keys):
    data = {"train": ROWS} | ({"val": val} if val else {})
    sweep = {"parameters": {path: NUMBERS}} | keys.pop("sweep", {})
    return {"model": model, "data": data, "sweep": sweep, **keys}


STOPPING = {"early_stopping": {"metric": "val_loss", "patience": 1}}
HALVING = {"metric": {"name": "val_loss"}, "early_terminate": {"type": "hyperband", "min_iter": 1}}
KINDS = {
    "steps": sweep_of("optimizer.lr", optimizer=STEPS, **STOPPING),
    "full batches and halving": sweep_of(
        "optimizer.lr", "linear", optimizer={"epochs": 6, "batch_size": "full"}, sweep=HALVING
    ),
    "folds and a refit": sweep_of(
        "optimizer.lr", val=None, optimizer=STEPS, repeat={"folds": 3}, **STOPPING
    ),
    "lbfgs": sweep_of("penalty.l2", optimizer={"name": "lbfgs"}),
    "newton": sweep_of("penalty.l2", optimizer={"name": "newton"}),
    "l1": sweep_of("penalty.l1", "linear", optimizer={"name": "auto"}),
}
SOLVERS = "lbfgs", "newton", "l1"


@pytest.fixture
def on_the_double(tmp_path, monkeypatch, capsys):
    """Carry a spec out on the double: the run, its pool and the lines said of memory."""
    count = iter(range(10**6))

    def carry_out(spec):
        cupy = Cupy(2**26)
        monkeypatch.setattr(devices, "choose", lambda _: devices.from_cupy(cupy, "the double"))
        capsys.readouterr()
        found = trainer.run(spec | {"device": "gpu"}, out=tmp_path / str(next(count)))
        return found, cupy.pool, Counter(capsys.readouterr().err.splitlines())

    return carry_out


def trials(run):
    with open(run.folder / "trials.csv", newline="", encoding="utf-8") as file:
        return {row["trial"]: row for row in csv.DictReader(file)}


def history(run):
    with open(run.folder / "history.csv", newline="", encoding="utf-8") as file:
        return sorted(
            (row.get("trial"), row.get("repeat"), int(row["step"])) for row in csv.DictReader(file)
        )


def assert_alike(run, whole, solves):
    """The same trials; of steps also the same log, of which nothing is lost or there twice."""
    found, wanted = trials(run), trials(whole)
    assert found.keys() == wanted.keys()
    losses = [name for name in wanted["0"] if name.endswith("loss")]
    assert losses
    for name in losses:
        values = [[float(row[name] or "nan") for row in one.values()] for one in (found, wanted)]
        np.testing.assert_allclose(*values, rtol=1e-3 if solves else 1e-4, atol=1e-6)
    if not solves:
        assert [row["status"] for row in found.values()] == [
            row["status"] for row in wanted.values()
        ]
        assert history(run) == history(whole)
        assert run.steps().num_rows == whole.steps().num_rows


@pytest.mark.parametrize("kind", KINDS)
def test_stacks_that_have_no_room_go_on_in_halves(kind, on_the_double, monkeypatch):
    whole, pool, said = on_the_double(KINDS[kind])
    assert not said
    peak, begin = pool.peak, Scheduler.run

    def with_less(scheduler):
        pool = scheduler.members[0]._cache.device.xp.pool
        pool.limit = int(pool.used + 0.4 * (peak - pool.used))
        begin(scheduler)
        pool.limit = 0  # of others, who are gone

    monkeypatch.setattr(Scheduler, "run", with_less)
    run, _, said = on_the_double(KINDS[kind])
    assert_alike(run, whole, kind in SOLVERS)
    assert all(line.startswith("warning: memory ran out (Out of memory") for line in said)
    assert said
    assert kind.startswith("folds") or any(
        line.endswith(
            "a stack of 6 columns goes on in two halves; results are the same to rounding,"
            " as of another width"
        )
        for line in said
    )


@pytest.mark.parametrize("kind", ["steps", "newton"])
def test_an_allocation_that_fails_ends_in_the_same_results_or_in_one_line(
    kind, on_the_double, monkeypatch
):
    malloc, made, fails = Pool.malloc, [0], [0]

    def failing(pool, nbytes):
        made[0] += 1
        if made[0] == fails[0]:
            raise OutOfMemoryError("Out of memory allocating 5 bytes")
        return malloc(pool, nbytes)

    monkeypatch.setattr(Pool, "malloc", failing)
    whole, *_ = on_the_double(KINDS[kind])
    ends, said = Counter(), []
    for n in np.linspace(1, made[0], 10).astype(int).tolist():
        made[0], fails[0] = 0, n
        try:
            run, *_ = on_the_double(KINDS[kind])
        except trainer.DeviceError as error:
            ends["a line"] += 1
            said.append(str(error))
        else:
            ends["results"] += 1
            assert_alike(run, whole, kind in SOLVERS)
    assert ends.total() == 10
    assert all("has not enough memory (Out of memory allocating 5 bytes)" in one for one in said)
    assert not any("\n" in one for one in said)
    assert ends["results"] >= 4  # what fails before training, or amid a step, is a line


class Heard(NullObserver):
    def __init__(self):
        super().__init__(lambda: None)
        self.told, self.steps, self.evaluations = [], Counter(), Counter()

    def on_shortage(self, told):
        self.told.append(told)

    def on_stretch(self, stack, stretch):
        self.steps.update(stretch.records.step.tolist() * len(stretch.columns))

    def on_evaluation(self, stack, columns, evaluation):
        self.evaluations.update(evaluation.step[evaluation.due].tolist())


def arranged(monkeypatch, record=None, cores=1, **keys):
    monkeypatch.setattr(fit_memory, "cores", lambda: cores)
    monkeypatch.setattr(fit_memory, "_SCORES", 1)
    spec = {"model": "softmax", "data": {"train": ROWS, "val": VAL}, "optimizer": STEPS}
    spec |= {"sweep": {"parameters": {"optimizer.lr": NUMBERS}}} | keys
    return set_up(load_spec(spec), None, CPU, record)


def weights_of(sweep):
    found = {}
    for job in sweep.jobs:
        for k, trial in enumerate(job.trial.tolist()):
            found[trial] = job.training.result.weights[:, :, k]
    return np.stack([found[trial] for trial in sorted(found)])


def too_wide(most, *, times=10**6):
    """A step that has no memory for stacks of more columns, so often."""
    left = [times]

    def check(columns):
        if columns > most and left[0]:
            left[0] -= 1
            raise MemoryError("Unable to allocate 7 GiB")

    return check


def unbroken(monkeypatch, **keys):
    sweep = arranged(monkeypatch, **keys)
    heard = Heard()
    train(sweep, heard)
    return weights_of(sweep), heard


@pytest.mark.parametrize("where", ["build", "advance", "evaluation", "compaction"])
def test_a_wide_stack_is_cut_wherever_memory_runs_out(where, monkeypatch):
    halving = {"sweep": {"parameters": {"optimizer.lr": NUMBERS}} | HALVING}
    keys = halving if where == "compaction" else {}
    wanted, whole = unbroken(monkeypatch, **keys)
    sweep, check = arranged(monkeypatch, **keys), too_wide(2)
    made, read = build.Stack, Evaluator.metrics

    class Wide(made):
        def __init__(self, *args):
            super().__init__(*args)
            if where == "build":
                check(self.columns)

        def advance(self, state, *args):
            if where == "advance" and state.step:
                check(self.columns)
            return super().advance(state, *args)

    def metrics(evaluator, state, should_stop=never):
        if where == "evaluation":
            check(state.weights.shape[2])
        return read(evaluator, state, should_stop)

    takes = []

    def taken(stack, columns):
        takes.append(columns)
        raise MemoryError("Unable to allocate 7 GiB")

    monkeypatch.setattr(build, "Stack", Wide)
    monkeypatch.setattr(Evaluator, "metrics", metrics)
    if where == "compaction":  # what stays is built anew, with nothing beside it
        monkeypatch.setattr(made, "take", taken)
    heard = Heard()
    train(sweep, heard)
    widths = [6] if where == "compaction" else [2, 2, 1, 1]
    assert [len(job.trial) for job in sweep.jobs] == widths
    assert len(heard.told) == len(widths) - 1
    assert [one.columns for one in sweep.arrangement.stacks] == [
        job.planned.columns for job in sweep.jobs
    ]
    assert sorted(np.concatenate([job.trial for job in sweep.jobs]).tolist()) == list(range(6))
    assert all(job.facts.l2.shape == job.trial.shape for job in sweep.jobs)
    assert (heard.steps, heard.evaluations) == (whole.steps, whole.evaluations)
    assert bool(takes) == (where == "compaction")
    np.testing.assert_allclose(weights_of(sweep), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_columns_leave_when_they_would_though_memory_runs_out_as_they_do(
    optimizer, times, monkeypatch
):
    """Left in the stack a while longer they would change the last bits of those that stay."""
    keys = {"sweep": {"parameters": {"optimizer.lr": NUMBERS}} | HALVING}
    if optimizer == "lbfgs":
        keys = {"sweep": {"parameters": {"penalty.l2": NUMBERS}}, "optimizer": {"name": "lbfgs"}}
    wanted, _ = unbroken(monkeypatch, **keys)
    left, take = [times], State.take

    def taken(state, *which):
        if left[0]:
            left[0] -= 1
            raise MemoryError("Unable to allocate 7 GiB")
        return take(state, *which)

    monkeypatch.setattr(State, "take", taken)
    sweep, heard = arranged(monkeypatch, **keys), Heard()
    train(sweep, heard)
    assert left == [0]
    assert heard.told == []
    if times == 1:
        np.testing.assert_array_equal(weights_of(sweep), wanted)
    else:  # parked, they have no room either
        np.testing.assert_allclose(weights_of(sweep), wanted, rtol=1e-3, atol=1e-4)


def test_halves_have_the_coordinates_of_the_whole(monkeypatch):
    """Which hang on the least l2 of all, where features depend on each other."""
    draw = np.random.default_rng(0)
    X = draw.standard_normal((80, 5)) @ draw.standard_normal((5, 8))
    y = X[:, 0] + draw.standard_normal(80) > 0
    spec = {"model": "logistic", "data": {"train": "arrays"}, "optimizer": {"name": "lbfgs"}}
    spec |= {"sweep": {"parameters": {"penalty.l2": [1e-10, 0.1]}}, "precision": "float64"}

    def sweep():
        monkeypatch.setattr(fit_memory, "cores", lambda: 1)
        return set_up(load_spec(spec), {"train": (X, y)}, CPU)

    whole = sweep()
    train(whole, Heard())
    cut, check, advance = sweep(), too_wide(1), SolverStack.advance

    def advanced(stack, state, *args):
        if state.step:
            check(stack.shape[2])
        return advance(stack, state, *args)

    monkeypatch.setattr(solver, "rounds_of_a_stretch", lambda *_: 3)
    monkeypatch.setattr(SolverStack, "advance", advanced)
    train(cut, Heard())
    assert [len(job.trial) for job in cut.jobs] == [1, 1]
    wanted = weights_of(whole)
    np.testing.assert_allclose(weights_of(cut), wanted, rtol=1e-5, atol=1e-6 * abs(wanted).max())


class Left(Heard):
    """Observer that keeps a record of each round, and says stop from some question on."""

    def __init__(self, asks=10**9):
        super().__init__()
        self.records, self._asked, self._asks = [], count(), asks

    def should_stop(self):
        return next(self._asked) >= self._asks

    def on_round(self, scheduler):
        self.records.append(deepcopy(scheduler.saved()))


@pytest.mark.parametrize("stops", [False, True], ids=["killed", "stopped"])
@pytest.mark.parametrize("kind", ["steps", "halving", "lbfgs"])
def test_a_sweep_that_is_gone_on_with_has_the_halves_that_there_were(kind, stops, monkeypatch):
    keys = {
        "steps": {},
        "halving": {"sweep": {"parameters": {"optimizer.lr": NUMBERS}} | HALVING},
        "lbfgs": {"optimizer": {"name": "lbfgs"}, "sweep": {"parameters": {"penalty.l2": NUMBERS}}},
    }[kind]
    made = solver.SolverStack if kind == "lbfgs" else build.Stack
    check, advance = too_wide(1 if kind == "halving" else 2), made.advance

    def advanced(stack, state, *args):
        if state.step > 2:
            check(stack.shape[2])
        return advance(stack, state, *args)

    monkeypatch.setattr(solver, "rounds_of_a_stretch", lambda *_: 3)
    monkeypatch.setattr(made, "advance", advanced)
    whole, unbroken = arranged(monkeypatch, **keys), Left()
    train(whole, unbroken)
    wanted, stacks = weights_of(whole), len(whole.jobs)
    records, rounds = unbroken.records, len(unbroken.records)
    if stops:
        left = [Left(asks) for asks in range(2, 3 * rounds, 3)]
        for one in left:
            train(arranged(monkeypatch, **keys), one)
        records = [one.records[-1] for one in left]
    widths = []
    for saved in records:
        sweep, heard = arranged(monkeypatch, saved["arrangement"], **keys), Left()
        columns = [
            [[c.trial, c.repeat, c.target] for c in of.columns] for of in sweep.arrangement.stacks
        ]
        assert columns == saved["arrangement"]["stacks"]
        train(sweep, heard, saved)
        assert len(sweep.jobs) == stacks
        assert heard.told == unbroken.told[len(unbroken.told) - len(heard.told) :]
        cuts = [told for told in heard.told if told.endswith("of another width")]
        assert len(cuts) == stacks - len(columns)
        np.testing.assert_array_equal(weights_of(sweep), wanted)
        widths.append(len(columns))
    assert widths[-1] == stacks > 1
    assert stops or widths == sorted(widths)


def test_a_stop_where_an_evaluation_has_no_room_ends_without_it(monkeypatch):
    monkeypatch.setattr(twins, "_PIECE_FLOP", 1)
    sweep, asked = arranged(monkeypatch, log={"eval_every": 4}), count()
    heard = Heard()
    heard.should_stop = lambda: next(asked) > 4

    def full(*args):
        raise MemoryError("Unable to allocate 7 GiB")

    monkeypatch.setattr(Evaluator, "metrics", full)
    train(sweep, heard)
    (job,) = sweep.jobs
    assert {one.status for one in job.training.result.outcomes} == {"interrupted"}
    assert heard.steps
    assert not heard.evaluations


def test_halves_are_asked_whether_to_stop_while_they_are_built(monkeypatch):
    sweep, check = arranged(monkeypatch), too_wide(3)
    advance = build.Stack.advance

    def advanced(stack, state, *args):
        if state.step:
            check(stack.columns)
        return advance(stack, state, *args)

    monkeypatch.setattr(build.Stack, "advance", advanced)
    heard = Heard()
    train(sweep, heard)
    assert len(sweep.jobs) == 2
    assert all(job.should_stop == heard.should_stop for job in sweep.jobs)


def test_a_step_that_was_broken_off_is_not_taken_again(monkeypatch):
    move, amid = NumpyHalves.move, too_wide(3, times=1)

    def moved(halves, *args):
        move(halves, *args)
        amid(halves._total.shape[1])

    sweep = arranged(monkeypatch)
    monkeypatch.setattr(compiled, "load", lambda: (None, "none"))
    monkeypatch.setattr(NumpyHalves, "move", moved)
    with pytest.raises(MemoryError):
        train(sweep, NullObserver(lambda: None))


def test_stacks_side_by_side_go_alone_before_any_is_cut(monkeypatch):
    """Which leaves every bit as it is."""
    wanted, _ = unbroken(monkeypatch, cores=2)
    sweep = arranged(monkeypatch, cores=2)
    assert sweep.arrangement.threads == 2
    resume, check = Training.resume, too_wide(0, times=1)

    def resumed(training):
        if any(job.training.open for job in sweep.jobs if job.training is not training):
            check(1)
        resume(training)

    monkeypatch.setattr(Training, "resume", resumed)
    heard = Heard()
    train(sweep, heard)
    (told,) = heard.told
    assert told == (
        "memory ran out (Unable to allocate 7 GiB): stacks go one at a time from here on, which"
        " changes no result"
    )
    assert len(sweep.jobs) == 2
    np.testing.assert_array_equal(weights_of(sweep), wanted)


def test_a_column_alone_that_has_no_room_ends_in_what_takes_less(monkeypatch, tmp_path):
    def full(*args):
        raise MemoryError("Unable to allocate 7 GiB")

    monkeypatch.setattr(jobs.Job, "build", full)
    spec = {"model": "softmax", "data": {"train": ROWS}, "optimizer": STEPS, "device": "cpu"}
    with pytest.raises(trainer.DeviceError) as caught:
        trainer.run(spec, out=tmp_path / "r")
    assert str(caught.value).endswith(
        "has not enough memory (Unable to allocate 7 GiB); fewer rows or trials or precision:"
        " float32 take less"
    )


def test_rows_that_have_no_room_in_float64_are_not_copied(monkeypatch, tmp_path):
    """Linux would give the memory, and end the process where it is written to."""
    monkeypatch.setattr(devices, "choose", lambda _: replace(CPU, free=lambda: 1000))
    monkeypatch.setattr(build, "_ALWAYS", 0)
    told = r"the machine has not enough memory \(the rows in float64 take .* MiB, .* MiB are free\)"
    with pytest.raises(trainer.DeviceError, match=told):
        trainer.run(KINDS["lbfgs"], out=tmp_path / "r")


def test_gradients_of_halves_are_files_of_their_own(monkeypatch, tmp_path):
    check, advance = too_wide(3), build.Stack.advance

    def advanced(stack, state, *args):
        if state.step:
            check(stack.columns)
        return advance(stack, state, *args)

    monkeypatch.setattr(fit_memory, "cores", lambda: 1)
    monkeypatch.setattr(build.Stack, "advance", advanced)
    spec = sweep_of("optimizer.lr", optimizer=STEPS | {"epochs": 2}, log={"gradients": 4})
    run = trainer.run(spec | {"device": "cpu"}, out=tmp_path / "r")
    names = sorted(path.name for path in (run.folder / "gradients").iterdir())
    assert len(names) == 3  # of step 4 of all, of step 8 two of three columns each
    assert len(set(names)) == 3


def test_the_tables_are_whole():
    assert len(KINDS) == 6
    assert set(SOLVERS) < set(KINDS)
