"""A run that was cut short and taken up again: its folder ends as an unbroken run's."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from run_folders import history_row, log_steps, raising, read, trial_row

from trainer.errors import DiskError, RunFolderError
from trainer.runs import checkpoint, step_log
from trainer.runs.writer import RunWriter
from trainer.workflow.loaded import load_run

STEPS = 8  # of a stand-in for a run, two of them a round


def train(folder: RunWriter, saved: dict | None, last: int = STEPS, refused=()) -> None:
    """Rounds of two steps, one evaluation and a checkpoint each, up to a step."""
    first = 1 if saved is None else int(saved["weights"][0]) + 1
    if saved is None:
        folder.start_history(["train_loss"])
    for step in range(first, last + 1, 2):
        log_steps(folder, first=step, n=2, columns=3)
        folder.append_history([history_row(step, train_loss=1 / step)])
        if step not in refused:
            folder.checkpoint({"weights": np.array([step + 1.0]), "clock": {"at": step}})


def end(folder: RunWriter) -> None:
    folder.write_trials([trial_row()])
    folder.close("finished")


def begin(path: Path) -> RunWriter:
    folder = RunWriter.create("a", path)
    folder.write_config("model: linear\n")
    return folder


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Path:
    folder = begin(tmp_path_factory.mktemp("whole") / "unbroken")
    train(folder, None)
    end(folder)
    return folder.path


def assert_same(path: Path, unbroken: Path) -> None:
    names = sorted(p.name for p in unbroken.iterdir())
    assert sorted(p.name for p in path.iterdir()) == names
    for name in set(names) - {"manifest.json", "run.log"}:
        assert (path / name).read_bytes() == (unbroken / name).read_bytes(), name
    assert read_status(path) == "finished"


def read_status(path: Path) -> str:
    return str(load_run(path).status)


def interrupted(path: Path, last: int = 4) -> Path:
    """A folder whose run stopped in the middle of a round, behind the checkpoint of `last`."""
    folder = begin(path)
    train(folder, None, last)
    log_steps(folder, first=last + 1, n=1, columns=3)
    folder.append_history([history_row(99, train_loss=9.0)])
    folder.write_trials([trial_row(status="interrupted")])
    folder.close("interrupted", reason="a signal")
    return folder.path


def test_what_came_after_the_checkpoint_is_cut_off(tmp_path, unbroken):
    path = interrupted(tmp_path / "run")
    (path / ".history.csv.123.tmp").write_text("half")  # of a kill
    before = read(RunWriterAt(path)).manifest()
    assert read(RunWriterAt(path)).history().num_rows == 3
    folder, saved = RunWriter.reopen(path)
    assert saved["weights"].tolist() == [4.0]
    assert saved["clock"] == {"at": 3}
    assert saved.keys() == {"weights", "clock"}
    assert load_run(path).steps()["step"].to_pylist() == sorted([1, 2, 3, 4] * 3)
    now = read(folder).manifest()
    assert (now["status"], len(now["resumed"]), now["started"]) == ("running", 1, before["started"])
    assert not {"ended", "seconds", "reason"} & now.keys()
    train(folder, saved)
    end(folder)
    assert_same(path, unbroken)
    assert read(folder).manifest()["seconds"] >= before["seconds"]
    lines = (path / "run.log").read_text().splitlines()
    assert lines[-1].endswith("  the run goes on from its last checkpoint")


class RunWriterAt:
    """Stands for a writer where only its path counts."""

    def __init__(self, path: Path) -> None:
        self.path = path


def test_a_run_can_be_taken_up_again_and_again(tmp_path, unbroken):
    path = interrupted(tmp_path / "run", 2)
    for last in (4, 4, 6):  # the second has no time for a round
        folder, saved = RunWriter.reopen(path)
        train(folder, saved, last)
        folder.close("failed", reason="no memory")
    assert len(read(folder).manifest()["resumed"]) == 3
    folder, saved = RunWriter.reopen(path)
    train(folder, saved)
    end(folder)
    assert_same(path, unbroken)


@pytest.mark.parametrize("part", ["2.json", "2.safetensors", "steps.arrows", "history.csv"])
def test_a_damaged_checkpoint_or_log_takes_the_checkpoint_before(tmp_path, unbroken, part):
    path = interrupted(tmp_path / "run")
    file = path / "checkpoint" / part if part[0] == "2" else path / part
    at = checkpoint.read_last(path)[0]["folder"]
    sizes = {"steps.arrows": at["steps"] - 9, "history.csv": at["history"] - 9}
    os.truncate(file, sizes.get(part, 90))
    folder, saved = RunWriter.reopen(path)
    (line,) = folder.found
    assert line.endswith("the one before it is tried")
    assert saved["weights"].tolist() == [2.0]
    train(folder, saved)
    end(folder)
    assert_same(path, unbroken)


def test_without_a_whole_checkpoint_a_run_starts_over(tmp_path, unbroken):
    path = interrupted(tmp_path / "run")
    for name in ("1.json", "2.json"):
        (path / "checkpoint" / name).write_text("{")
    folder, saved = RunWriter.reopen(path)
    assert saved is None
    assert len(folder.found) == 2
    assert (path / "run.log").read_text().endswith("  the run starts over\n")
    assert load_run(path).steps().num_rows == 0
    train(folder, saved)
    end(folder)
    assert_same(path, unbroken)


@pytest.mark.parametrize(
    "own",
    [
        None,
        [],
        {"steps": -1},
        {"steps": 1.0},
        {"steps": True},
        {"steps": 7},
        {"steps": 10**18},
        {"history": 10**18},
        {"history": 7},
        {"history": None},
        {"seconds": float("nan")},
        {"seconds": -1.0},
        {"seconds": "1"},
        {"seconds": 1e300},
        {"gradients": "step-1.safetensors"},
        {"gradients": [[1]]},
    ],
)
def test_offsets_that_are_somebody_s_work(tmp_path, own):
    path = interrupted(tmp_path / "run", 2)
    right = {"steps": 0, "history": 0, "seconds": 0.0}
    told = {**right, **own} if isinstance(own, dict) else own
    checkpoint.write(path, {"folder": told})
    folder, saved = RunWriter.reopen(path)
    assert saved["weights"].tolist() == [2.0]
    assert len(folder.found) == 1
    assert folder.path == path


KILLS = """
import json, os, signal, sys, traceback
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from test_resuming import begin, end, train
from trainer.errors import RunFolderError
from trainer.runs.writer import RunWriter

def counting(call):
    def count(*given, **more):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*given, **more)
    return count

def work(path):
    for name in ("open", "fsync", "replace", "unlink", "ftruncate", "mkdir"):
        setattr(os, name, counting(getattr(os, name)))
    try:
        folder, saved = RunWriter.reopen(path)
    except RunFolderError:  # nothing was trained there
        folder, saved = begin(path), None
    train(folder, saved)
    end(folder)

killed = []
for n in range(1, 150, 25):
    for left in (n, n % 40 + 20, 10_000):  # the second in the run that was taken up
        if (child := os.fork()) == 0:  # imports take longer than all else
            try:
                work(Path(sys.argv[1], str(n)))
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != -signal.SIGKILL:
            break
        killed.append(n)
        manifest = Path(sys.argv[1], str(n), "manifest.json")
        if manifest.exists() and '"status": "finished"' in manifest.read_text():
            code = 0  # nothing was left but to tidy up
            break
    assert code == 0, (n, left)
print(json.dumps(killed))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_anywhere_loses_no_more_than_a_round(tmp_path, unbroken):
    here = Path(__file__).parent
    command = [sys.executable, "-c", KILLS, tmp_path, here, here.parents[1]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    killed = json.loads(done.stdout)
    assert len(set(killed)) >= 4
    assert len(killed) > len(set(killed))
    for n in set(killed):
        assert_same_but_tidied(tmp_path / str(n), unbroken)


def test_a_disk_that_refuses_anything_once_loses_nothing(tmp_path, unbroken, monkeypatch):
    calls = 0

    def refusing(name, nth):
        call = getattr(os, name)

        def refuse(path, *given, **more):
            nonlocal calls
            reads = name == "open" and not given[0] & (os.O_WRONLY | os.O_RDWR)
            calls += not reads  # which takes no room
            if calls == nth and not reads:
                raising(errno.ENOSPC)()
            return call(path, *given, **more)

        return refuse

    ended = []
    for nth in range(1, 150, 16):
        path, calls = tmp_path / str(nth), 0
        with monkeypatch.context() as patch, contextlib.suppress(DiskError):
            for name in ("open", "fsync", "replace", "ftruncate", "mkdir"):
                patch.setattr(os, name, refusing(name, nth))
            folder = begin(path)
            with contextlib.closing(Failing(folder)):
                train(folder, None)
                end(folder)
        try:
            folder, saved = RunWriter.reopen(path)
            ended.append(saved and int(saved["weights"][0]))
        except RunFolderError:  # nothing was trained there, or nothing was refused
            if not (path / "config.yaml").exists():
                folder, saved = begin(path), None
        if read_status(path) != "finished":
            train(folder, saved)
            end(folder)
        assert_same(path, unbroken)
    assert len(set(ended)) >= 4


class Failing:
    """Ends a run as failed, if it has not ended."""

    def __init__(self, folder: RunWriter) -> None:
        self.folder = folder

    def close(self) -> None:
        try:
            status = read_status(self.folder.path)
        except RunFolderError:  # it was this reading that the disk refused
            status = read_status(self.folder.path)
        if status == "running":
            self.folder.close("failed", reason="the disk refused")


def assert_same_but_tidied(path: Path, unbroken: Path) -> None:
    names = {p.name for p in path.iterdir()} - {"steps.arrows", "checkpoint"}
    assert names == {p.name for p in unbroken.iterdir()}
    for name in names - {"manifest.json", "run.log"}:
        assert (path / name).read_bytes() == (unbroken / name).read_bytes(), name


def test_files_of_an_earlier_end_stay_until_the_run_is_over(tmp_path):
    path = interrupted(tmp_path / "run")
    for name in ("model.json", "model.safetensors", "best.yaml", "report.html", "mine.txt"):
        (path / name).write_text("of the interrupted run")
    folder, saved = RunWriter.reopen(path)
    train(folder, saved)
    folder.write_trials([trial_row(status="diverged")])
    assert (path / "model.json").exists()
    folder.close("diverged")
    names = {p.name for p in path.iterdir()}
    assert {"trials.csv", "mine.txt"} <= names
    assert not {"model.json", "model.safetensors", "best.yaml", "report.html"} & names


@pytest.mark.parametrize("status", ["finished", "diverged", "unranked"])
def test_a_run_that_is_over_has_no_checkpoints(tmp_path, status):
    folder = begin(tmp_path / "run")
    train(folder, None)
    assert len(os.listdir(folder.path / "checkpoint")) == 4
    folder.close(status)
    assert not (folder.path / "checkpoint").exists()
    assert not (folder.path / "steps.arrows").exists()
    with pytest.raises(RunFolderError, match=rf"the run is over \({status}\)"):
        RunWriter.reopen(folder.path)


@pytest.mark.parametrize("name", ["history.csv", "manifest.json", "steps.parquet"])
def test_a_run_whose_end_was_refused_is_taken_up(tmp_path, unbroken, monkeypatch, name):
    folder = begin(tmp_path / "run")
    train(folder, None)
    folder.append_history([history_row(9, train_loss=0.0)])
    replace = os.replace

    def refuse(beside, path):
        if Path(path).name == name:
            raising(errno.ENOSPC)()
        replace(beside, path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(DiskError):
            folder.close("finished")
    assert read_status(folder.path) == "failed"
    folder, saved = RunWriter.reopen(folder.path)
    assert saved["weights"].tolist() == [STEPS]
    assert not (folder.path / "steps.parquet").exists()  # readers would take it for the steps
    end(folder)
    assert_same(folder.path, unbroken)


def test_no_checkpoint_is_made_past_what_the_disk_refused(tmp_path, unbroken, monkeypatch):
    folder = begin(tmp_path / "run")
    train(folder, None, 4)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (folder.path / "gradients").write_bytes(b"")  # in the way
    with folder.spared("gradients"):
        folder.write_gradients(5, {"dz": np.zeros(2)})
    log_steps(folder, first=5, n=2, columns=3)
    with pytest.raises(DiskError, match="gradients"):
        folder.checkpoint({"weights": np.array([6.0])})
    with pytest.raises(DiskError, match="gradients"):
        folder.close("finished")
    folder, saved = RunWriter.reopen(folder.path)
    assert saved["weights"].tolist() == [4.0]
    train(folder, saved)
    end(folder)
    (folder.path / "gradients").unlink()
    assert_same(folder.path, unbroken)


def test_what_the_disk_takes_at_last_is_in_the_next_checkpoint(tmp_path, monkeypatch):
    folder = begin(tmp_path / "run")
    with monkeypatch.context() as patch, folder.spared("gradients"):
        patch.setattr(os, "fsync", raising(errno.ENOSPC))
        folder.write_gradients(5, {"dz": np.zeros(2)})
    folder.checkpoint({"weights": np.array([6.0])})
    assert (folder.path / "gradients" / "step-5.safetensors").exists()
    folder.close("finished")


def test_without_a_page_a_trained_run_does_not_start_over(tmp_path):
    folder = begin(tmp_path / "run")
    train(folder, None)
    end(folder)
    folder.fail(DiskError("report.html: cannot write"))
    before = (folder.path / "steps.parquet").read_bytes()
    with pytest.raises(
        RunFolderError, match=r"trained to its end \(finished\).* report "
    ) as caught:
        RunWriter.reopen(folder.path)
    assert "\n" not in str(caught.value)
    assert (folder.path / "steps.parquet").read_bytes() == before


def test_a_torn_line_of_the_log_is_ended(tmp_path):
    path = interrupted(tmp_path / "run")
    with open(path / "run.log", "ab") as file:
        file.write(b"2026-01-01  tor")
    RunWriter.reopen(path)
    lines = (path / "run.log").read_text().splitlines()
    assert lines[-2] == "2026-01-01  tor"
    assert re.fullmatch(r"\S+ \S+  the run goes on from its last checkpoint", lines[-1])


def test_what_cannot_be_taken_up(tmp_path):
    (tmp_path / "empty").mkdir()
    begun = RunWriter.create("a", tmp_path / "begun")
    with pytest.raises(RunFolderError, match=r"the run goes on in process \d+ on "):
        RunWriter.reopen(tmp_path / "begun")
    begun.close("failed", reason="out of memory")
    cases = {
        "missing": "no such folder",
        "empty": r"not a run folder: it has no manifest\.json",
        "begun": r"nothing was trained there, .*`stacked-trainer run CONFIG --out .*` takes the",
    }
    for name, words in cases.items():
        with pytest.raises(RunFolderError, match=words) as caught:
            RunWriter.reopen(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path / "empty") == []
    (tmp_path / "begun" / "config.yaml").write_text("model: linear\n")
    manifest = tmp_path / "begun" / "manifest.json"
    manifest.write_text('{"status": "interrupted", "resumed": 3}')
    with pytest.raises(RunFolderError, match="cannot read: its resumed is no list"):
        RunWriter.reopen(tmp_path / "begun")
    manifest.write_text('{"status": "interrupted"}')
    folder, _ = RunWriter.reopen(tmp_path / "begun")
    assert len(json.loads((folder.path / "manifest.json").read_bytes())["resumed"]) == 1


def test_a_refused_take_up_lets_the_folder_go(tmp_path, monkeypatch):
    path = interrupted(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", raising(errno.EIO))
        with pytest.raises(DiskError):
            RunWriter.reopen(path)
    folder, saved = RunWriter.reopen(path)
    assert saved["weights"].tolist() == [4.0]
    assert folder.found == ()


def test_a_log_is_whole_up_to_the_end_of_a_batch_alone(tmp_path):
    path = interrupted(tmp_path / "run") / "steps.arrows"
    size = path.stat().st_size
    whole = [offset for offset in range(size + 1) if step_log.has_whole(path, offset)]
    assert len(whole) == 5  # nothing, the schema, two rounds, the step behind them
    assert whole[0] == 0
    assert not step_log.has_whole(path.with_name("run.log"), 8)
    assert not step_log.has_whole(path.with_name("missing"), 8)


def test_steps_that_the_disk_lost_at_the_last_checkpoint_are_lost_in_the_end(tmp_path, monkeypatch):
    folder = begin(tmp_path / "run")
    train(folder, None, 4)
    log_steps(folder, first=5, n=1, columns=3)
    with monkeypatch.context() as patch, folder.spared("checkpoint"):
        patch.setattr(os, "fsync", raising(errno.EIO))
        folder.checkpoint({"weights": np.array([6.0])})
    folder.write_trials([trial_row()])
    with pytest.raises(DiskError, match=r"steps\.arrows"):
        folder.close("finished")
    assert read_status(folder.path) == "failed"
    assert (folder.path / "steps.arrows").exists()
    again, saved = RunWriter.reopen(folder.path)
    assert saved["weights"].tolist() == [4.0]
    again.close("interrupted")


def write_gradients(folder: RunWriter, step: int, stack: int | None = None) -> None:
    folder.write_gradients(step, {"error": np.full((2, 1, 1), step, np.float32)}, stack)


@pytest.mark.parametrize("whole", [True, False])
def test_gradients_that_came_after_the_checkpoint_are_removed(tmp_path, whole):
    """They are written again, by other names where memory has cut the stack since."""
    folder = begin(tmp_path / "run")
    write_gradients(folder, 2)
    train(folder, None, 4)
    write_gradients(folder, 6)
    write_gradients(folder, 8, stack=1)
    gradients = folder.path / "gradients"
    (gradients / "notes.txt").write_text("the user's own")
    (gradients / "step-9.safetensors").mkdir()
    folder.close("interrupted")
    if not whole:
        shutil.rmtree(folder.path / "checkpoint")
    folder, saved = RunWriter.reopen(folder.path)
    assert (saved is not None) == whole
    kept = {"notes.txt", "step-9.safetensors"} | ({"step-2.safetensors"} if whole else set())
    assert set(os.listdir(gradients)) == kept
    write_gradients(folder, 6, stack=0)
    folder.checkpoint({"weights": np.array([7.0])})
    folder.close("interrupted")
    RunWriter.reopen(folder.path)
    assert set(os.listdir(gradients)) == kept | {"step-6-stack-0.safetensors"}


def a_link_out(path: Path, outside: Path) -> None:
    path.rename(outside)
    path.symlink_to(outside)


def a_pipe(path: Path, outside: Path) -> None:
    path.rename(outside)
    os.mkfifo(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
@pytest.mark.parametrize(("put", "why"), [(a_link_out, "a link"), (a_pipe, "is no regular file")])
@pytest.mark.parametrize("name", ["run.log", "steps.arrows", "history.csv", "checkpoint"])
def test_a_run_goes_on_in_no_file_outside_its_folder(tmp_path, name, put, why):
    path = interrupted(tmp_path / "a")
    outside = tmp_path / "outside"
    put(path / name, outside)
    before = sorted(os.listdir(outside)) if outside.is_dir() else outside.read_bytes()
    with pytest.raises(RunFolderError) as caught:
        RunWriter.reopen(path)
    assert str(caught.value).startswith(f"{path / name}: {why}")
    assert "\n" not in str(caught.value)
    assert before == (sorted(os.listdir(outside)) if outside.is_dir() else outside.read_bytes())


def a_folder(path: Path, outside: Path) -> None:
    if path.is_file():
        path.unlink()
    path.mkdir()


def a_file(path: Path, outside: Path) -> None:
    path.rename(outside)
    path.write_bytes(b"x")


def a_link_to_nothing(path: Path, outside: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def a_device(path: Path, outside: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
@pytest.mark.parametrize(
    ("name", "put", "why"),
    [
        *((name, a_folder, "is a folder; remove it") for name in ("run.log", "steps.arrows")),
        *((name, a_folder, "is a folder; remove it") for name in ("steps.parquet", "model.json")),
        ("checkpoint", a_file, "is no folder; remove it"),
        *(("config.yaml", put, "is no regular file; put") for put in (a_folder, a_pipe, a_device)),
        ("config.yaml", a_link_to_nothing, "is a link to nothing; put the run's own back"),
    ],
)
def test_what_stands_in_the_place_of_a_file_is_told_before_anything_is_changed(
    tmp_path, name, put, why
):
    path = interrupted(tmp_path / "a")
    put(path / name, tmp_path / "outside")
    manifest, names = (path / "manifest.json").read_bytes(), sorted(os.listdir(path))
    with pytest.raises(RunFolderError) as caught:
        RunWriter.reopen(path)
    assert str(caught.value).startswith(f"{path / name}: {why}")
    assert "\n" not in str(caught.value)
    assert (path / "manifest.json").read_bytes() == manifest
    assert sorted(os.listdir(path)) == names


def test_a_folder_with_the_name_of_a_half_stays(tmp_path):
    path = interrupted(tmp_path / "a")
    (path / ".x.1.tmp").mkdir()
    writer, saved = RunWriter.reopen(path)
    assert saved is not None
    assert (path / ".x.1.tmp").is_dir()
    writer.close("interrupted")
