"""Runs that the disk refuses: what they are for is written as far as it fits, in that order."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import trainer
from trainer.console.terminal import Terminal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs ulimit -f")
ROOT = Path(__file__).parents[2]
CONFIG = """
model: softmax
data: {train: digits}
device: cpu
optimizer: {name: lbfgs, tol: 1e-3}
sweep: {parameters: {penalty.l2: {geomspace: {start: 1e-4, stop: 1, num: 12}}}}
"""
SMALL = {"model": "softmax", "data": {"train": "digits"}, "device": "cpu"}
SMALL |= {"optimizer": {"epochs": 2}}


def run_with(blocks, tmp_path, *arguments):
    """Run with files of so many KiB at most; the process, and its folder."""
    (tmp_path / "a.yaml").write_text(CONFIG)
    command = f'ulimit -f {blocks}; exec "$@"'
    script = [sys.executable, str(ROOT / "scripts" / "run.py"), "a.yaml", "--out", "r", *arguments]
    done = subprocess.run(
        ["bash", "-c", command, "bash", *script], cwd=tmp_path, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
    return done, tmp_path / "r"


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


def failed_at(name, blocks, tmp_path):
    """The folder of a run that failed as this file did not fit, and says so in every place."""
    done, folder = run_with(blocks, tmp_path)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"{folder}/{name}: cannot write: File too large; raise the limit")
    manifest = manifest_of(folder)
    assert (manifest["status"], manifest["reason"]) == ("failed", last)
    assert last in (folder / "run.log").read_text()
    return folder


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_without_its_log_of_steps_a_sweep_still_has_its_optima(quiet, tmp_path):
    done, folder = run_with(6, tmp_path, *quiet)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    fault = f"{folder}/steps.arrows: cannot write: File too large; raise the limit of a file's size"
    (warning,) = (line for line in lines if line.startswith(f"warning: {fault}"))
    assert re.search(r"; steps from \d+ on are lost, and the run goes on without them$", warning)
    assert lines[-1].startswith(fault)
    log = (folder / "run.log").read_text()
    assert warning in log
    manifest = manifest_of(folder)
    assert manifest["status"] == "failed"
    assert manifest["reason"] == lines[-1]
    run = trainer.load_run(folder)
    assert [trial["status"] for trial in run.trials] == ["converged"] * 12
    assert run.best["metrics"]["val_accuracy"] > 0.9
    assert trainer.load_spec(folder / "best.yaml").penalty.l2 > 0
    assert run.history().num_rows == 12
    assert not (folder / "steps.parquet").exists()
    assert run.steps().num_rows < 12 * 20


def test_the_page_and_the_model_are_there_where_they_fit(tmp_path, monkeypatch):
    full = type("Disk", (), {"total": 1 << 30, "free": 0})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(trainer.DiskError, match=r"steps\.arrows: cannot write"):
        trainer.run(SMALL, out=tmp_path / "r")
    assert manifest_of(tmp_path / "r")["status"] == "failed"
    assert b"steps.arrows: cannot write" in (tmp_path / "r" / "report.html").read_bytes()
    assert trainer.load_model(tmp_path / "r").coef_.shape == (10, 64)


def test_without_its_page_alone_a_run_is_as_failed_as_its_exit_code_says(tmp_path):
    folder = failed_at("report.html", 1000, tmp_path)
    names = {path.name for path in folder.iterdir()}
    assert {"steps.parquet", "trials.csv", "model.safetensors", "predictions.parquet"} <= names
    assert not names & {"report.html", "steps.arrows"}


def test_without_trials_csv_the_model_is_there_all_the_same(tmp_path, monkeypatch):
    replace = os.replace

    def refuse(old, new):
        if os.path.basename(new) == "trials.csv":
            raise OSError(errno.EFBIG, "File too large")
        replace(old, new)

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "r"
    with pytest.raises(trainer.DiskError, match=r"trials\.csv: cannot write"):
        trainer.run(SMALL, out=folder)
    assert not list(folder.glob(".*"))  # no half
    assert manifest_of(folder)["status"] == "failed"
    assert trainer.load_model(folder).coef_.shape == (10, 64)
    run = trainer.load_run(folder)
    assert run.history().num_rows == 2
    assert run.best["metrics"]["val_accuracy"] > 0.5
    assert run.predictions().num_rows > 0
    assert (folder / "report.html").exists()


def test_a_run_goes_on_without_run_log(tmp_path, capsys):
    folder = tmp_path / "r"

    def stop():
        log = folder / "run.log"
        if log.exists() and not log.is_symlink():
            log.unlink()
            log.symlink_to("/dev/full")

    with pytest.raises(trainer.DiskError, match=r"run\.log: cannot write: No space left"):
        trainer.run(SMALL, out=folder, terminal=Terminal(quiet=True), should_stop=stop)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {folder}/run.log: cannot write: No space left")
    run = trainer.load_run(folder)
    assert run.status == "failed"
    assert run.trials[0]["status"] == "finished"
    assert run.model().predict([[0.0] * 64]).shape == (1,)
