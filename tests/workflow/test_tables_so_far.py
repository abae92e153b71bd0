"""The tables of a sweep that was killed in mid-run have what came of the stacks that had ended."""

import numpy as np
import pytest

import trainer
from trainer.report.read_run import read_run_data
from trainer.runs import history_log
from trainer.runs.folder_files import FolderFiles
from trainer.runs.names import REPEATS, TRIALS, WEIGHTS
from trainer.runs.writer import RunWriter
from trainer.workflow import tables_so_far
from trainer.workflow.report import CONFIG_READER, draw_report

SWEEP = {
    "model": "softmax",
    "data": {"train": "digits"},
    "device": "cpu",
    "optimizer": {"epochs": 2},
    "log": {"weights": "all"},
    "sweep": {"parameters": {"optimizer.batch_size": [128, 256, 512], "optimizer.lr": [0.01, 0.1]}},
}
FOLDS = {**SWEEP, "repeat": {"folds": 3}}


class Killed(BaseException):
    """A process that ends without a word."""


@pytest.fixture
def killed(tmp_path, monkeypatch):
    """Run a spec until so many files of a kind were written, and leave the folder as it is."""
    monkeypatch.setattr(tables_so_far, "_LOOK", 0.0)
    monkeypatch.setattr(tables_so_far, "_EVERY", 0.0)
    monkeypatch.setattr(tables_so_far, "_SHARE", 0)
    monkeypatch.setattr(history_log, "_EVERY", 0.0)
    monkeypatch.setattr(history_log, "_SHARE", 0)

    def run(spec, name, count):
        left = [count]
        write = FolderFiles.put_bytes

        def put(self, file, data):
            write(self, file, data)
            left[0] -= file == name
            if left[0] == 0:
                raise Killed

        monkeypatch.setattr(FolderFiles, "put_bytes", put)
        monkeypatch.setattr(RunWriter, "close", lambda *_, **__: None)
        with pytest.raises(Killed):
            trainer.run(spec, out=tmp_path / "r")
        monkeypatch.undo()
        return trainer.load_run(tmp_path / "r")

    return run


def test_trials_of_ended_stacks_are_there(killed, tmp_path):
    run = killed(SWEEP, WEIGHTS, 2)
    whole = trainer.run(SWEEP, out=tmp_path / "whole")
    assert run.status in ("running", "killed")  # its lock may be held here still
    assert 2 <= len(run.trials) < 6
    of = {row["trial"]: row for row in whole.trials}
    for row in run.trials:
        assert row == of[row["trial"]] | {"rank": None}
    weights, all_weights = run._reader.weights(), whole._reader.weights()
    assert sorted(set(weights["trial"])) == sorted(row["trial"] for row in run.trials)
    for k, trial in enumerate(weights["trial"].tolist()):
        at = all_weights["trial"].tolist().index(trial)
        np.testing.assert_array_equal(
            weights["weights"][..., k], all_weights["weights"][..., at], strict=True
        )
    with pytest.raises(trainer.RunFolderError, match=r"results\.json: not there"):
        run.results  # noqa: B018
    shown = {row["trial"]: row for row in read_run_data(run.folder, CONFIG_READER).trials}
    assert sorted(shown) == sorted(of)[: len(shown)]
    assert shown.keys() >= {row["trial"] for row in run.trials}
    for trial, row in shown.items():
        ended = any(trial == ended["trial"] for ended in run.trials)
        assert row["status"] == (of[trial]["status"] if ended else "running")
        assert row["optimizer.batch_size"] == of[trial]["optimizer.batch_size"]
    assert b"<html" in draw_report(run.folder)


def test_of_folds_the_columns_are_there_before_a_trial_is(killed):
    run = killed(FOLDS, REPEATS, 1)
    rows = run._reader.repeats()
    assert 0 < len(rows) < 18
    assert {row["rank"] for row in rows} == {None}
    assert all(row["val_loss"] > 0 for row in rows)
    assert len(run.trials) == sum(
        sum(row["trial"] == t for row in rows) == 3 for t in {row["trial"] for row in rows}
    )
    assert (run.folder / TRIALS).exists()
    assert draw_report(run.folder)


def test_they_are_written_now_and_then(monkeypatch, tmp_path):
    clock, writes = [0.0], []
    monkeypatch.setattr(tables_so_far.time, "monotonic", lambda: clock[0])

    def write(*_, **__):
        writes.append(clock[0])
        clock[0] += 0.5

    monkeypatch.setattr(tables_so_far, "write_columns", write)
    monkeypatch.setattr(tables_so_far, "trial_results", lambda sweep, jobs: [])
    monkeypatch.setattr(tables_so_far, "ended_jobs", lambda jobs: jobs[: int(clock[0])])
    sweep = type("Sweep", (), {"jobs": list(range(100))})
    tables = tables_so_far.TablesSoFar(None, sweep)
    while clock[0] < 99.5:
        tables.write_if_due()
        clock[0] += 0.05
    assert len(writes) == 4
    assert np.diff(writes).min() >= 50 * 0.5
    one = type("Sweep", (), {"jobs": [0]})
    tables_so_far.TablesSoFar(None, one).write_if_due()  # its tables come with its end
    assert len(writes) == 4
