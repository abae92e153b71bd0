"""config.yaml run again on other data says so, and runs."""

import re

import numpy as np
import pytest

import trainer
from trainer.cli import main

CONFIG = """model: logistic
data: {train: {table: a.csv, target: y}}
optimizer: {epochs: 2}
"""


def table(folder, shift=0.0):
    rows = [f"{x + shift:.3f},{int(x > 0)}" for x in np.linspace(-1, 1, 40)]
    (folder / "a.csv").write_text("x,y\n" + "\n".join(rows) + "\n")


@pytest.fixture
def first(tmp_path):
    table(tmp_path)
    (tmp_path / "c.yaml").write_text(CONFIG)
    return trainer.run(tmp_path / "c.yaml", out=tmp_path / "first").folder


def again(first, capfd, *overrides):
    out = first.with_name(f"again-{len(list(first.parent.iterdir()))}")
    assert main(["run", str(first / "config.yaml"), "--out", str(out), *overrides]) == 0
    err = capfd.readouterr().err
    return [line for line in err.splitlines() if "not the data that this config notes" in line]


def test_other_data_are_told_and_trained_on(first, capfd):
    assert again(first, capfd) == []
    table(first.parent, shift=0.5)
    (line,) = again(first, capfd)
    noted = re.search(r"([0-9a-f]{12})… is noted in it", line)[1]
    assert f"# data sha256: {noted}" in (first / "config.yaml").read_text()
    read = re.search(r"sha256 ([0-9a-f]{12})… was read", line)[1]
    assert read != noted


def test_the_run_that_follows_notes_its_own(first, capfd):
    table(first.parent, shift=0.5)
    out = first.with_name("second")
    assert main(["run", str(first / "config.yaml"), "--out", str(out)]) == 0
    capfd.readouterr()
    assert again(out, capfd) == []


@pytest.mark.parametrize("place", ["copied", "overridden", "sweep"])
def test_the_note_goes_with_the_file(first, capfd, tmp_path, place):
    table(first.parent, shift=0.5)
    moved = tmp_path / place
    moved.mkdir()
    (moved / "config.yaml").write_text((first / "config.yaml").read_text())
    overrides = {"overridden": ["optimizer.lr=0.5"], "sweep": ["optimizer.lr=0.1,0.5"]}
    assert len(again(moved, capfd, *overrides.get(place, []))) == 1


@pytest.mark.parametrize("note", ["", "# data sha256: 12\n", "# data sha256: none of ours\n"])
def test_a_file_without_the_note_or_with_another_says_nothing(first, capfd, note):
    table(first.parent, shift=0.5)
    text = (first / "config.yaml").read_text()
    (first / "config.yaml").write_text(re.sub(r"# data sha256.*\n", note, text))
    assert again(first, capfd) == []


def test_passed_arrays_are_compared_too(first, tmp_path):
    X, y = np.linspace(-1, 1, 40)[:, None], np.arange(40) % 2
    one = trainer.run({"model": "logistic"}, out=tmp_path / "one", data={"train": (X, y)}).folder
    for name, rows, told in (("same", X, False), ("other", X + 1, True)):
        two = trainer.run(one / "config.yaml", out=tmp_path / name, data={"train": (rows, y)})
        log = (two.folder / "run.log").read_text(encoding="utf-8")
        assert ("not the data that this config notes" in log) == told
