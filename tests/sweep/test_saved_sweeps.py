"""Records of a sweep: gone on from in new objects, it ends as if it had never been left."""

import contextlib
import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from stacks import DEVICE, short_stretches

from trainer.config import load_spec
from trainer.sweep import fit_memory, share_rows
from trainer.sweep.refit import refit_models
from trainer.sweep.results import trial_results
from trainer.sweep.sweep import set_up, train
from trainer.train import stack as stack_module
from trainer.train import training, twins

DRAW = np.random.default_rng(0)
X = DRAW.standard_normal((90, 5))
Z = X @ DRAW.standard_normal((5, 3)) + DRAW.standard_normal((90, 3))
ROWS = {
    "softmax": (X, Z.argmax(axis=1)),
    "folds": (X, np.where(np.arange(90) % 30, Z.argmax(axis=1) % 2, 2)),  # of class 2 are three
    "logistic": (X, np.arange(90) % 30 == 0),
    "linear": (X, Z),
}
SPLIT = {"train": slice(60), "val": slice(60, 90)}
BASE = {
    "model": "softmax",
    "data": {"train": "arrays", "val": "arrays"},
    "optimizer": {"epochs": 6, "batch_size": 16},
    "device": DEVICE.kind,
}
FOLDS = {
    "data": {"train": "arrays", "val": "none", "stratify": False},
    "repeat": {"folds": 5},
}
LR = {"optimizer.lr": [0.003, 0.03, 0.3, 1.0]}
L2 = {"sweep": {"parameters": {"penalty.l2": [1e-3, 1e-2, 0.1, 1.0, 10.0]}}}
L1 = {
    "penalty": {"l2": 0},
    "sweep": {"parameters": {"penalty.l1": {"path": {"num": 4, "ratio": 0.01}}}},
}


def sgd(**settings):
    return {"optimizer": BASE["optimizer"] | settings}


def swept(parameters=LR, **more):
    return {"sweep": {"parameters": parameters, **more}}


KINDS = {
    "plain": {},
    "float64": {"precision": "float64"} | sgd(schedule={"name": "cosine", "warmup": 1}),
    "nesterov": sgd(nesterov=True) | {"penalty": {"l1": 0.01}} | swept(),
    "adam": sgd(name="adam") | {"penalty": {"l1": 0.01}} | swept(),
    "adamw": sgd(name="adamw", weight_decay=0.1) | swept(),
    "lars": sgd(name="lars", trust_coefficient=0.1) | {"init": {"normal": 0.01}} | swept(),
    "full batch": sgd(batch_size="full") | {"log": {"eval_every": 2}} | L1,
    "early stopping": sgd(epochs=12)
    | {"early_stopping": {"patience": 1}}
    | swept({"optimizer.lr": [0.001, 0.01, 0.1, 3.0, 10.0, 30.0, 100.0, 300.0]}),
    "halving": swept(
        {**LR, "optimizer.name": ["sgd", "adam"]},
        early_terminate={"type": "hyperband", "min_iter": 1, "eta": 2},
    ),
    "folds": FOLDS | sgd(epochs=3) | {"early_stopping": {"patience": 1}} | swept(),
    "undefined": {"model": "logistic"} | FOLDS | sgd(epochs=2) | swept(metric={"name": "val_auc"}),
    "few shots": sgd(batch_size="full", epochs=4)
    | {"repeat": {"few_shot": {"k": [1, 2], "tries": 2}, "seeds": 2}},
    "random": swept(
        {"optimizer.lr": {"distribution": "log_uniform", "min": 0.01, "max": 1}},
        method="random",
        num_trials=5,
    ),
    "sparse log": {"log": {"every": 3, "gradients": 4, "eval_every": 2}} | swept(),
    "divergence": {"model": "linear", "log": {"eval_every": 3}}
    | sgd(epochs=9)
    | swept({"optimizer.lr": [0.01, 0.02, 1e4, 3e4, 1e5]}),
    "lbfgs": {"optimizer": {"name": "lbfgs"}} | L2,
    "lbfgs, l1": {"optimizer": {"name": "lbfgs"}} | L1,
    "newton": {"optimizer": {"name": "newton", "tol": 1e-9}} | L2,
    "newton, l1": {"optimizer": {"name": "newton"}} | L1,
    "exact": {"model": "linear", "optimizer": {"name": "exact"}} | FOLDS | L2,
    "auto": {"optimizer": {"name": "auto"}} | FOLDS | L2,
}
SOLVED = ["lbfgs", "lbfgs, l1", "newton", "newton, l1", "exact", "auto"]


def written(saved):
    """A record as two files have it: arrays and JSON under flat names, where no empty dict is."""
    arrays, numbers = {}, {}

    def lay(prefix, node):
        for name, value in node.items():
            assert isinstance(name, str)
            assert name.replace(" ", "").isidentifier() or name.isdigit(), name
            if isinstance(value, dict):
                lay([*prefix, name], value)
            elif isinstance(value, np.ndarray):
                arrays[".".join([*prefix, name])] = value.copy()
            else:
                numbers[".".join([*prefix, name])] = value

    lay([], saved)
    found = {}
    for path, value in {**json.loads(json.dumps(numbers)), **arrays}.items():
        *above, name = path.split(".")
        node = found
        for one in above:
            node = node.setdefault(one, {})
        node[name] = value
    return found


class Killed(Exception):
    """The process is gone."""


class Heard:
    """An observer that keeps what it is told as bytes, and each record with how much was told."""

    def __init__(self, rounds=None, asks=None):
        """End after so many rounds as a kill does, or after so many questions as a stop does."""
        self.told, self.records, self.jobs, self.said = [], [], [], []
        self._rounds, self._asks, self._asked = rounds, asks, itertools.count(1)

    def on_stretch(self, stack, stretch):
        records = stretch.records
        assert records.whole or self.should_stop()
        log = records.step, records.epoch, stretch.counts, *records.values.values()
        full = [(one.step, *of_bytes(one.arrays.values())) for one in stretch.snapshots]
        for one in stretch.snapshots:  # in the numbers of the source
            full += of_bytes([self.jobs[stack].facts.index[one.arrays["rows"]]])
        self.told.append((stack, "steps", stretch.columns.tolist(), *of_bytes(log), full))

    def on_evaluation(self, stack, columns, evaluation):
        number, step, metrics, due = evaluation
        read = of_bytes((columns, step, due, *metrics.values()))
        self.told.append((stack, "evaluation", number, list(metrics), *read))

    def on_shortage(self, told):
        self.said.append(told)

    def on_round(self, scheduler):
        self.scheduler = scheduler
        self.records.append((len(self.told), written(scheduler.saved())))
        if len(self.records) == self._rounds:
            raise Killed

    @property
    def left(self):
        """Whether the last record has something to go on to."""
        saved = self.records[-1][1] if self.records else {}
        return bool(saved.get("groups") or saved.get("waiting"))

    def should_stop(self):
        return self._asks is not None and next(self._asked) >= self._asks


def of_bytes(arrays):
    return [np.ascontiguousarray(array).tobytes() for array in arrays]


def start(kind, arranged=None, room=None):
    """A sweep in objects of its own."""
    spec = load_spec(BASE | KINDS[kind])
    x, y = ROWS.get(kind, ROWS[spec.model])
    parts = {"train": slice(None)} if spec.data.val == "none" else SPLIT
    sweep = set_up(spec, {part: (x[i], y[i]) for part, i in parts.items()}, DEVICE, arranged)
    if room is not None:
        sweep.arrangement = sweep.arrangement._replace(room=room)
    return sweep


def trained(sweep, heard, saved=None):
    heard.jobs = sweep.jobs
    return train(sweep, heard, saved)


def results(sweep):
    """What came of each column, and each trial's means."""
    return [
        [repr(replace(one, undefined=sorted(one.undefined))) for one in trial.columns]
        + [repr((trial.number, trial.evaluations, trial.metrics, trial.stds, trial.C))]
        for trial in trial_results(sweep)
    ]


def end(sweep, scheduler):
    """All that is left of a sweep, as text and bytes."""
    found = [results(sweep), scheduler.scores.tobytes(), scheduler.rungs]
    for job in sweep.jobs:
        result = job.training.result
        assert job.training.ended
        found += [result.outcomes, result.weights.tobytes(), result.bias.tobytes()]
        found += of_bytes([result.first_loss, result.finite_loss, result.grad_norm])
    return found


def whole(kind, room=None):
    """What an unbroken run tells, its end, and after how many rounds."""
    heard, sweep = Heard(), start(kind, room=room)
    scheduler = trained(sweep, heard)
    return heard.told, end(sweep, scheduler), len(heard.records)


def in_pieces(kind, room=None, **ends):
    """The same from processes each of which ends early; and the records that they went on from.

    `ends` is `rounds` or `asks` of `Heard`: of one process after the other, over and over.
    """
    told, records, scheduler = [], [], None
    ((how, counts),) = ends.items()
    for count in itertools.islice(itertools.cycle(counts), 500):
        saved, heard = records[-1] if records else None, Heard(**{how: count})
        sweep = start(kind, saved and saved["arrangement"], room)
        try:
            scheduler = trained(sweep, heard, saved)
        except Killed:
            scheduler = None
        if scheduler is not None and not heard.left:
            break
        at, saved = heard.records[-1]
        told += heard.told[:at]
        records.append(saved)
    assert scheduler is not None
    assert not heard.left
    return told + heard.told, end(sweep, scheduler), records


def test_some_rows_leave_metrics_undefined_and_some_classes_out():
    for kind, name in (("undefined", "undefined"), ("folds", "parts")):
        sweep = start(kind)
        trained(sweep, Heard())
        assert {bool(getattr(job, name)) for job in sweep.jobs} == {False, True}


def test_some_kinds_have_row_sets_that_share_a_stack():
    assert [start(kind).shared_row_sets for kind in ("auto", "few shots", "folds")] == [5, 8, 0]


def are_same(unbroken, pieces):
    told, ended, _ = unbroken
    again, same, records = pieces
    assert again == told
    assert same == ended
    return records


@pytest.mark.parametrize("kind", KINDS)
def test_a_sweep_killed_after_each_round_ends_as_an_unbroken_one(kind):
    unbroken = whole(kind)
    records = are_same(unbroken, in_pieces(kind, rounds=[1]))
    assert len(records) == unbroken[2]  # the last process finds all done


def are_cut(records):
    """How many records have a stretch that is not over."""
    return sum(any("parts" in one["training"] for one in r["stacks"].values()) for r in records)


@pytest.fixture
def _steps(monkeypatch):
    """Whoever may stop is asked at each step, and between two chunks of each evaluation."""
    monkeypatch.setattr(stack_module, "_EVALUATION_ROWS", (16, 16))
    monkeypatch.setattr(twins, "_PIECE_FLOP", 1)
    monkeypatch.setenv("STACKED_TRAINER_GRAPHS", "0")


@pytest.mark.usefixtures("_steps")
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in SOLVED])
def test_a_sweep_stopped_within_stretches_ends_as_an_unbroken_one(kind):
    cut = are_cut(are_same(whole(kind), in_pieces(kind, asks=[4, 2, 7, 3])))
    assert cut >= 1 or kind == "few shots"  # an evaluation after each step


@pytest.mark.usefixtures("_steps")
def test_an_evaluation_that_is_cut_is_read_where_the_sweep_goes_on():
    unbroken, cut = whole("sparse log"), []
    for asks in (2, 3, 4, 5):
        records = are_same(unbroken, in_pieces("sparse log", asks=[asks]))
        cut += [one["stacks"]["0"]["training"] for one in records]
    cut = [one["unread"] for one in cut if "unread" in one]
    # a GPU evaluates all rows at once, between two questions
    assert DEVICE.kind == "gpu" or any(one.get("snapshots") for one in cut)


@pytest.mark.parametrize("kind", SOLVED)
def test_solvers_that_are_stopped_end_as_unbroken_ones(kind):
    long = "l1" in kind or kind == "auto"  # or no direction is ever whole
    asks = [31, 47, 25] if long else [3, 2, 5]
    are_same(whole(kind), in_pieces(kind, asks=asks))


@pytest.mark.usefixtures("_steps")
@pytest.mark.parametrize(
    "ends", [{"rounds": [1, 3, 2]}, {"asks": [9, 4, 6]}], ids=["killed", "stopped"]
)
@pytest.mark.parametrize("kind", ["halving", "folds", "divergence"])
def test_stacks_that_wait_on_the_host_and_short_stretches(kind, ends, monkeypatch):
    short_stretches(monkeypatch, 3)
    are_same(whole(kind, room=1), in_pieces(kind, room=1, **ends))


@pytest.mark.usefixtures("_steps")
@pytest.mark.skipif(DEVICE.kind == "gpu", reason="threads are for cores")
@pytest.mark.parametrize("ends", [{"rounds": [1]}, {"asks": [9, 4, 6]}], ids=["killed", "stopped"])
@pytest.mark.parametrize("kind", ["adam", "halving", "folds", "sparse log"])
def test_stacks_side_by_side(kind, ends, monkeypatch):
    monkeypatch.setattr(fit_memory, "cores", lambda: 2)
    monkeypatch.setattr(fit_memory, "_SCORES", 1)
    unbroken = whole(kind)
    assert start(kind).arrangement.threads == 2
    first = iter([2])  # the others have one core, and the stacks and threads of the first
    monkeypatch.setattr(fit_memory, "cores", lambda: next(first, 1))
    are_same(unbroken, in_pieces(kind, **ends))


def refitted(kind, heard, saved=None):
    """The models of three trials, trained again on all rows."""
    sweep = start(kind)
    specs = {trial: sweep.trials[trial].spec for trial in (0, 1, 3)}
    models = refit_models(sweep, specs, "train+val", heard, saved)
    return {t: of_bytes([one.fitted.weights, one.fitted.bias]) for t, one in models.items()}


@pytest.mark.usefixtures("_steps")
@pytest.mark.parametrize("ends", [{"rounds": 1}, {"asks": 5}], ids=["killed", "stopped"])
@pytest.mark.parametrize("kind", ["adam", "halving", "lbfgs"])
def test_a_refit_that_is_left_is_gone_on_with(kind, ends):
    unbroken, models, saved, processes = refitted(kind, Heard()), {}, None, 0
    assert len(unbroken) == 3
    while len(models) < 3 and processes < 50:
        heard, processes = Heard(**ends), processes + 1
        with contextlib.suppress(Killed):
            models = refitted(kind, heard, saved)
        saved = heard.records[-1][1] if heard.records else saved
    assert processes > 1
    assert models == unbroken


def test_stacks_that_had_ended_are_not_built_again(monkeypatch):
    monkeypatch.setattr(share_rows, "_pays", lambda group: False)  # or there is one
    sweep, heard = start("auto"), Heard()
    train(sweep, heard)
    told, over = results(sweep), []
    for _, saved in heard.records:
        again, built = start("auto", saved["arrangement"]), set()
        for job in again.jobs:
            job.build = lambda job=job, made=built, make=job.build: made.add(job) or make()
        train(again, Heard(), saved)
        assert results(again) == told
        stacks = [saved["stacks"][str(i)]["training"] for i in range(5)]
        ended = [one["begun"] and "arrays" not in one["state"] for one in stacks]
        assert built == {job for job, is_over in zip(again.jobs, ended, strict=True) if not is_over}
        over.append(sum(ended))
    assert over == sorted(over)
    assert over[0] < 5 == over[-1]


def test_a_record_is_not_trained_on():
    heard = Heard()
    ended = whole("early stopping")[1]
    train(start("early stopping"), heard)
    saved = heard.records[2][1]
    for _ in range(2):
        sweep = start("early stopping", saved["arrangement"])
        assert end(sweep, train(sweep, Heard(), saved)) == ended


def test_a_stretch_whose_evaluation_raised_is_not_taken_again(monkeypatch):
    told, ended, _ = whole("adam")
    heard, sweep, reads = Heard(), start("adam"), itertools.count(1)
    measure = training.measure

    def raises_once(*given, **more):
        if next(reads) == 3:
            raise Killed
        return measure(*given, **more)

    monkeypatch.setattr(training, "measure", raises_once)
    with pytest.raises(Killed):
        trained(sweep, heard)
    saved = written(heard.scheduler.saved())
    assert "unread" in saved["stacks"]["0"]["training"]
    again, more = start("adam"), Heard()
    assert end(again, trained(again, more, saved)) == ended
    assert heard.told + more.told == told


def test_records_of_other_columns_are_refused():
    heard = Heard(rounds=1)
    with pytest.raises(Killed):
        train(start("adam"), heard)
    saved = heard.records[0][1]
    stacks = saved["arrangement"]["stacks"]
    assert stacks == [[[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]]]
    with pytest.raises(ValueError, match="of other columns than the config's"):
        start("plain", saved["arrangement"])
    for other in ([stacks[0][:3]], [[*stacks[0], [4, 0, 0]]], [stacks[0], stacks[0]]):
        with pytest.raises(ValueError, match="of other columns than the config's"):
            start("adam", {"stacks": other, "threads": 1})
    with pytest.raises(ValueError, match="do not go together"):
        start("halving", {"stacks": [[[trial, 0, 0] for trial in range(8)]], "threads": 1})
    apart = {"stacks": [stacks[0][:1], stacks[0][1:]], "threads": 1}
    with pytest.raises(ValueError, match="of other stacks"):
        train(start("adam", apart), Heard(), saved)


def test_an_arrangement_is_its_record():
    for kind in ("folds", "halving"):
        one = start(kind).arrangement._replace(threads=2)
        again = start(kind, one.saved()).arrangement
        assert again.saved() == one.saved()
        assert again.room == one.room
        assert len(again.stacks) == len(one.stacks) > 1


def gone_on_with(kind, monkeypatch, memory):
    """What a sweep tells that was killed, and goes on where less memory is free: `memory(a)`."""
    heard = Heard(rounds=2)
    with pytest.raises(Killed):
        trained(start(kind), heard)
    at, saved = heard.records[-1]
    arrangement = start(kind).arrangement
    assert arrangement.room == len(arrangement.stacks) > 1
    monkeypatch.setattr(type(DEVICE), "memory", lambda self: memory(arrangement))
    again, more = start(kind, saved["arrangement"]), Heard()
    found = end(again, trained(again, more, saved))
    return heard.told[:at] + more.told, found, more.said


def test_stacks_keep_their_turns_where_less_memory_is_free(monkeypatch):
    short_stretches(monkeypatch, 3)
    told, ended, _ = whole("halving")
    again, found, said = gone_on_with(
        "halving", monkeypatch, lambda one: one.bytes * len(one.stacks)
    )
    assert (again, found, said) == (told, ended, [])


def test_rows_in_another_order_are_told(monkeypatch):
    short_stretches(monkeypatch, 3)
    told, ended, _ = whole("halving")
    again, found, said = gone_on_with("halving", monkeypatch, lambda one: one.bytes)
    assert found == ended
    assert again != told
    assert sorted(map(repr, again)) == sorted(map(repr, told))
    assert said == [
        "less memory is free than before: 1 stack at once in place of 2 keep in step, so that rows"
        " of the logs come in another order; numbers are the same"
    ]
