"""A run folder read back: as it was written, and in one line what is missing or damaged."""

from __future__ import annotations

import math
import os
import shutil

import pytest
from run_folders import history_row, log_steps, read, trial_row, write_all

from trainer.errors import DiskError, RunFolderError, TrainerError
from trainer.runs.reader import RunReader
from trainer.runs.step_log import SCHEMA
from trainer.workflow.loaded import Run, load_run

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def test_history_types(folder):
    folder.append_history([history_row(1, train_loss=0.1, val_loss=1e-7)])
    folder.append_history([history_row(2, train_loss=None, val_loss=math.nan)])
    folder.flush()
    table = read(folder).history()
    assert [(f.name, str(f.type)) for f in table.schema] == [
        ("trial", "int32"),
        ("repeat", "int32"),
        ("epoch", "int32"),
        ("step", "int64"),
        ("train_loss", "double"),
        ("val_loss", "double"),
    ]
    assert table["train_loss"].to_pylist() == [0.1, None]
    assert table["val_loss"][0].as_py() == 1e-7
    assert math.isnan(table["val_loss"][1].as_py())


def test_trials_come_back_as_they_were(folder):
    rows = [
        trial_row(**{"penalty.l2": 1e-4, "penalty.C": None, "epochs": 3, "val_loss": 0.1}),
        trial_row(**{"penalty.l2": 0, "penalty.C": None, "epochs": 3, "val_loss": math.inf})
        | {"trial": 1, "rank": None, "status": "diverged", "reason": 'step 3: "loss", not finite'},
    ]
    folder.write_trials(rows)
    assert read(folder).trials() == rows
    assert (folder.path / "trials.csv").read_text().splitlines()[0] == (
        "trial,rank,status,reason,penalty.l2,penalty.C,epochs,val_loss"
    )


@pytest.mark.parametrize("write", ["trials", "repeats", "groups"])
def test_swept_values_come_back_as_they_were(folder, write):
    swept = {
        "optimizer.lr": [0.1, 1, 1e-05, 0],
        "optimizer.batch_size": ["full", 64, 128, 256],
        "optimizer.nesterov": [True, False, True, None],
        "data.train.npz": ["010", "1_000", "a,b.npz", '"x"\n'],
        "vars.name": ["nan ", "1e5", "none", "+1"],
    }
    assert {len(values) for values in swept.values()} == {4}
    rows = [
        trial_row() | {"trial": i, "repeat": 0} | {path: swept[path][i] for path in swept}
        for i in range(4)
    ]
    getattr(folder, f"write_{write}")(rows)
    again = getattr(read(folder), write)()
    assert again == rows
    kinds = [[type(value) for value in row.values()] for row in (*again, *rows)]
    assert kinds[:4] == kinds[4:]


def test_a_reason_is_text_whatever_it_looks_like(folder):
    folder.write_trials([trial_row() | {"reason": "12"}])
    assert read(folder).trials()[0]["reason"] == "12"


def test_with_both_forms_there_the_whole_one_is_read(folder):
    """A crash between the rename and the removal."""
    log_steps(folder)
    stream = (folder.path / "steps.arrows").read_bytes()
    folder.finish_steps()
    (folder.path / "steps.arrows").write_bytes(stream[:-100])
    assert read(folder).steps().num_rows == 4


def test_a_run_can_be_copied_and_its_first_place_forgotten(folder, tmp_path):
    write_all(folder)
    for path in folder.path.rglob("*"):
        if path.is_file():
            assert os.fsencode(tmp_path) not in path.read_bytes(), path
    shutil.copytree(folder.path, tmp_path / "b=2" / "copy")
    shutil.rmtree(folder.path)
    run = load_run(tmp_path / "b=2" / "copy")
    assert run.folder == tmp_path / "b=2" / "copy"
    assert run.status == "finished"
    assert run.best == {"trial": 0, "metrics": {"val_loss": 0.1}}
    assert run.results["counts"] == {"finished": 1}
    assert run.trials[0]["penalty.l2"] == 1e-4
    assert run.history().num_rows == 1
    assert run.steps().column_names == SCHEMA.names
    assert run.predictions().to_pydict() == {"split": ["val"], "row": [3], "prediction": [0.5]}
    assert RunReader(run.folder).config() == "model: linear\n"
    assert repr(run) == f"<Run finished: {run.folder}>"


@pytest.mark.parametrize("ask", ["trials", "status", "best", "results"])
def test_a_run_whose_folder_is_gone(folder, ask):
    write_all(folder)
    run = load_run(folder.path)
    shutil.rmtree(folder.path)
    with pytest.raises(RunFolderError) as caught:
        getattr(run, ask)
    assert str(caught.value) == f"{folder.path / 'manifest.json'}: not there; a run folder has one"


def test_a_run_is_the_same_while_it_goes_on(folder):
    run = Run(folder.path)
    assert run.status == "running"
    log_steps(folder)
    assert run.steps().num_rows == 4
    folder.close("interrupted")
    assert run.status == "interrupted"


def test_a_relative_folder_is_remembered_absolutely(folder, monkeypatch):
    monkeypatch.chdir(folder.path.parent)
    run = load_run("run")
    monkeypatch.chdir("/")
    assert run.status == "running"


def test_what_is_not_there_is_said_with_the_status(folder):
    folder.close("interrupted")
    run = load_run(folder.path)
    questions = {
        "history.csv": run.history,
        "trials.csv": lambda: run.trials,
        "results.json": lambda: run.best,
        "predictions.parquet": run.predictions,
    }
    for name, ask in questions.items():
        with pytest.raises(RunFolderError) as caught:
            ask()
        assert str(caught.value) == (
            f"{folder.path / name}: not there; the run's status is interrupted"
        )


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("manifest.json", lambda run: run.status),
        ("results.json", lambda run: run.best),
        ("trials.csv", lambda run: run.trials),
        ("history.csv", lambda run: run.history()),
        ("predictions.parquet", lambda run: run.predictions()),
        ("steps.parquet", lambda run: run.steps()),
    ],
)
@pytest.mark.parametrize("content", [b"", b"[1]\n1,2\n", b"\xff\xfe{", b'{"a": \n"x'])
def test_a_damaged_file_is_named_in_one_line(folder, name, ask, content):
    write_all(folder)
    run = load_run(folder.path)
    (folder.path / name).write_bytes(content)
    with pytest.raises(RunFolderError) as caught:
        ask(run)
    assert str(caught.value).startswith(f"{folder.path / name}: cannot read: ")
    assert "\n" not in str(caught.value)


def test_groups_without_their_trials_are_named_in_one_line(folder):
    write_all(folder)
    (folder.path / "groups.csv").write_text("vars.layer,penalty.l2\n1,0.1\n")
    with pytest.raises(RunFolderError, match=r"groups\.csv: cannot read: it has no column trial"):
        RunReader(folder.path).groups()


def test_what_is_no_run_folder(folder, tmp_path):
    (tmp_path / "file").write_text("x")
    cases = {
        tmp_path / "no" / "where": f"no such folder; {tmp_path} is there",
        tmp_path / "cwd": "not a run folder: it has no manifest.json",
        tmp_path / "file": "a file, no run folder",
        folder.path / "run.log": f"a file; its run folder is {folder.path}",
        tmp_path: "not a run folder: it has no manifest.json; the newest one under it is "
        f"{folder.path}",
    }
    for path, words in cases.items():
        with pytest.raises(RunFolderError) as caught:
            load_run(path)
        assert str(caught.value) == f"{path}: {words}"


def test_all_errors_are_the_package_s():
    assert issubclass(RunFolderError, TrainerError)
    assert (RunFolderError.exit_code, DiskError.exit_code) == (2, 1)


def test_a_reader_has_nothing_to_write_with(folder):
    before = {p: p.stat().st_mtime_ns for p in folder.path.rglob("*")}
    reader = read(folder)
    names = {name for name in dir(reader) if not name.startswith("_")}
    assert names == {
        "coefficients",
        "config",
        "groups",
        "history",
        "influence",
        "manifest",
        "path",
        "permutations",
        "predictions",
        "repeats",
        "results",
        "status",
        "steps",
        "trials",
        "weights",
    }
    assert {p: p.stat().st_mtime_ns for p in folder.path.rglob("*")} == before
