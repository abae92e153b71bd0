"""A run whose folder is moved, removed or refused while it trains: the model and tables exist."""

import json
import os
import shutil
import sys
import tempfile

import pytest

import trainer
from trainer.console.terminal import Terminal
from trainer.runs.names import BEST, CONFIG, HISTORY, INPUT, PREDICTIONS, REPORT, RESULTS, TRIALS
from trainer.runs.reserve import Reserve
from trainer.runs.writer import RunWriter
from trainer.text import atomic

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="folders are held by descriptors")
SWEEP = {
    "model": "softmax",
    "data": {"train": "digits"},
    "device": "cpu",
    "optimizer": {"epochs": 2, "batch_size": 256},
    "sweep": {"parameters": {"optimizer.lr": [0.01, 0.1]}},
}
TABLES = {TRIALS, HISTORY, RESULTS, BEST, PREDICTIONS, REPORT, "model.json", "model.safetensors"}

END = TABLES - {HISTORY, "model.json"}  # the model is one part of two files


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Where temporary files go."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


@pytest.fixture
def in_mid_run(monkeypatch):
    """Takes what is done after the first evaluation."""
    acts = []
    append = RunWriter.append_history

    def appended(self, rows):
        append(self, rows)
        while acts:
            acts.pop()()

    monkeypatch.setattr(RunWriter, "append_history", appended)
    return acts.append


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_a_folder_that_is_moved_has_everything(tmp_path, places, capsys, in_mid_run):
    old, new = tmp_path / "r", tmp_path / "deep" / "n"
    new.parent.mkdir()
    in_mid_run(lambda: old.rename(new))
    run = trainer.run(SWEEP, out=old, terminal=Terminal(quiet=True))
    assert run.folder == new
    assert run.status == "finished"
    assert TABLES | {"steps.parquet"} <= names(new)
    assert run.steps()["step"].to_pylist()[-1] == run.history()["step"].to_pylist()[-1]
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"warning: {old} was moved while its run goes on; it is {new} now"
    assert line in (new / "run.log").read_text()
    assert not old.exists()
    assert names(places) == set()


def lost(tmp_path, places, capsys):
    folder = tmp_path / "r"
    with pytest.raises(trainer.DiskError) as caught:
        trainer.run(SWEEP, out=folder, terminal=Terminal(quiet=True))
    (place,) = places.iterdir()
    lines = capsys.readouterr().err.splitlines()
    assert any(line.endswith(f"refused by {folder}, put into {place}") for line in lines)
    assert names(place) >= TABLES
    assert trainer.load_model(place).coef_.shape == (10, 64)
    run = trainer.load_run(place)
    assert run.status == "failed"
    assert [trial["rank"] for trial in run.trials] == [1, 2]
    assert run.history().num_rows == 4
    assert trainer.load_spec(place / CONFIG).model == "softmax"
    assert b"<html" in (place / REPORT).read_bytes()
    manifest = json.loads((place / "manifest.json").read_text())
    assert manifest["reason"] == str(caught.value)
    assert manifest["elsewhere"] == str(place)
    return str(caught.value), lines


def test_of_a_folder_that_is_removed_the_end_is_elsewhere(tmp_path, places, capsys, in_mid_run):
    folder = tmp_path / "r"
    in_mid_run(lambda: shutil.rmtree(folder))
    first, lines = lost(tmp_path, places, capsys)
    assert first.startswith(f"{folder}/trials.csv: cannot write: No such file or directory")
    assert len(lines) == 4  # run.log, the tables, where they are, the page
    assert not folder.exists()


def test_of_a_folder_that_is_read_only_too(tmp_path, places, capsys, monkeypatch, in_mid_run):
    """As one is to users that are not root: nothing is made or renamed in it."""
    folder, replace = tmp_path / "r", os.replace

    def refuse():
        def denied(old, new):
            if os.fspath(new).startswith(f"{folder}/"):
                raise PermissionError(13, "Permission denied")
            replace(old, new)

        monkeypatch.setattr(atomic.os, "replace", denied)

    in_mid_run(refuse)
    first, lines = lost(tmp_path, places, capsys)
    assert first.startswith(f"{folder}/trials.csv: cannot write: Permission denied")
    assert len(lines) == 3  # the tables, where they are, the page
    assert not TABLES - {HISTORY} & names(folder)
    assert trainer.load_run(folder).steps().num_rows == 2 * 2 * 6
    assert json.loads((folder / "manifest.json").read_text())["status"] == "failed"


def test_of_a_run_that_goes_on_the_other_folder_says_which_it_is(
    tmp_path, places, capsys, in_mid_run
):
    folder, asked = tmp_path / "r", []
    run = trainer.run(SWEEP, out=folder, should_stop=lambda: asked.append(1) or len(asked) > 2)
    assert run.status == "interrupted"
    texts = {name: (folder / name).read_bytes() for name in (CONFIG, INPUT)}
    in_mid_run(lambda: shutil.rmtree(folder))
    with pytest.raises(trainer.DiskError):
        trainer.resume(folder)
    (place,) = places.iterdir()
    assert names(place) >= TABLES - {HISTORY}
    assert {name: (place / name).read_bytes() for name in texts} == texts
    assert trainer.load_run(place).status == "failed"


def test_a_refusal_in_between_costs_nothing(tmp_path, places, capsys, monkeypatch):
    """Each file of the end is refused once."""
    write, refused = os.replace, []

    def replace(old, new):
        name = os.path.basename(new)
        if name in END and name not in refused:
            refused.append(name)
            raise OSError(28, "No space left on device")
        write(old, new)

    monkeypatch.setattr(atomic.os, "replace", replace)
    run = trainer.run(SWEEP, out=tmp_path / "r", terminal=Terminal(quiet=True))
    assert set(refused) == END
    assert run.status == "finished"
    assert names(run.folder) >= TABLES
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["warning:", "written"]
    assert names(places) == set()


def test_room_for_the_end_is_kept_and_given_back(tmp_path, monkeypatch):
    taken, given, told = [], [], []
    give = Reserve.give

    def take(self, folder, size):
        taken.append(size)
        self.held = size
        return True

    monkeypatch.setattr(Reserve, "take", take)
    monkeypatch.setattr(Reserve, "give", lambda self, size: (given.append(size), give(self, size)))
    writer = RunWriter.create("a", tmp_path / "w")
    writer.tell = told.append
    assert writer.reserve(1 << 20, 1 << 20) is None
    assert writer._steps.log.left == 1 << 20
    assert given == []
    writer.write_best("a: 1")  # in mid-run it takes what there is
    assert given == []
    writer.files.begin_end()
    writer.write_best("a: 1")
    assert given == [1 << 16, 4 + (1 << 16)]
    monkeypatch.setattr(Reserve, "take", lambda self, folder, size: True)
    short = RunWriter.create("a", tmp_path / "v").reserve(3 << 20, 1 << 20)
    assert short == (
        f"{tmp_path / 'v'}: its disk has less room than the model, the tables and the page may"
        " take, 4 MiB; free some space"
    )
    assert taken == [2 << 20]
