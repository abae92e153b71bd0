"""Alive or dead: what the lock tells, what process ids tell without one, and whose a folder is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from run_folders import log_steps, read

from trainer.errors import RunFolderError
from trainer.runs import liveness
from trainer.runs.liveness import lives, process_text
from trainer.runs.writer import RunWriter
from trainer.text import system
from trainer.workflow.loaded import load_run

HERE = Path(__file__).parent
needs_locks = pytest.mark.skipif(system.fcntl is None, reason="needs locks")


def start(code: str, path: Path) -> subprocess.Popen:
    """A process that runs `code` with `folder`, a new run at `path`, and then waits."""
    whole = f"""
import os, signal, sys, time
sys.path[:0] = sys.argv[2:]
from run_folders import log_steps
from trainer.runs.writer import RunWriter
folder = RunWriter.create("a", sys.argv[1])
{textwrap.dedent(code)}
print("ready", flush=True)
time.sleep(60)
"""
    command = [sys.executable, "-c", whole, path, HERE, HERE.parents[1]]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@needs_locks
def test_a_run_of_another_process_lives_until_that_is_killed(tmp_path):
    path = tmp_path / "run"
    config = 'folder.write_config("model: linear\\n"); log_steps(folder)'
    # a child that outlives it must not hold its lock
    fork = "\nif os.fork() == 0: time.sleep(3); os._exit(0)"
    process = start(config + fork, path)
    try:
        assert load_run(path).status == "running"
        with pytest.raises(RunFolderError) as caught:
            RunWriter.reopen(path)
        line = str(caught.value)
        assert f"process {process.pid} on {system.host()}" in line
        assert "\n" not in line
        with pytest.raises(RunFolderError, match="not empty"):
            RunWriter.create("b", path)
        assert load_run(path).status == "running"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        process.stdout.close()
    assert load_run(path).status == "killed"
    writer, saved = RunWriter.reopen(path)
    assert saved is None
    assert load_run(path).status == "running"
    with pytest.raises(RunFolderError, match=f"process {os.getpid()} on"):
        RunWriter.reopen(path)
    writer.close("interrupted")
    assert load_run(path).status == "interrupted"
    RunWriter.reopen(path)[0].close("finished")
    with pytest.raises(RunFolderError, match=r"the run is over \(finished\)"):
        RunWriter.reopen(path)


@needs_locks
def test_the_lock_is_seen_in_its_own_process_too(folder):
    assert system.is_locked(folder.log_path)
    folder.close("interrupted")
    assert system.is_locked(folder.log_path) is False
    assert system.is_locked(folder.path / "missing") is None
    assert system.is_locked(folder.path) is None
    os.mkfifo(folder.path / "pipe")
    assert system.is_locked(folder.path / "pipe") is None


@needs_locks
def test_who_asks_whether_a_file_is_locked_is_in_nobody_s_way(tmp_path):
    path = tmp_path / "log"
    path.touch()
    with path.open("rb") as asking:
        system.fcntl.flock(asking, system.fcntl.LOCK_SH)
        assert system.is_locked(path) is False
        threading.Timer(0.05, asking.close).start()  # it is done in a moment
        held = system.lock(path)
    assert held is not None
    assert system.is_locked(path)


@needs_locks
def test_a_file_that_is_removed_while_it_is_locked_is_not_what_is_held(tmp_path, monkeypatch):
    path, real = tmp_path / "log", system._try

    def remove_first(descriptor, **more):
        monkeypatch.setattr(system, "_try", real)
        path.unlink()
        return real(descriptor, **more)

    monkeypatch.setattr(system, "_try", remove_first)
    held = system.lock(path)
    assert held is not None
    assert system.is_locked(path)


def manifest(**fields) -> dict:
    found = {"pid": os.getpid(), "host": system.host(), "boot_id": system.boot_id()}
    return {"status": "running"} | found | fields


@pytest.fixture
def gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_without_locks_the_process_id_tells(tmp_path, gone, monkeypatch):
    monkeypatch.setattr(system, "boot_id", lambda: "this")
    told = {
        (): True,
        (("pid", gone),): False,
        (("boot_id", "another"),): False,
        (("boot_id", None),): None,
        (("boot_id", None), ("pid", gone)): False,
        (("host", "elsewhere"),): None,
        (("pid", None),): None,
        (("pid", True),): None,
        (("pid", -1),): None,
        (("pid", 0),): None,
        (("pid", 10**30),): False,
        (("pid", "1"), ("host", 3)): None,
    }
    for fields, expected in told.items():
        assert lives(tmp_path, manifest(**dict(fields))) is expected, fields
    assert liveness.status(tmp_path, manifest(pid=gone)) == "killed"
    assert liveness.status(tmp_path, manifest(host="elsewhere")) == "unknown"
    assert liveness.status(tmp_path, manifest(status="failed", pid=gone)) == "failed"
    monkeypatch.setattr(system, "boot_id", lambda: None)
    assert lives(tmp_path, manifest()) is None


def test_a_manifest_of_before_there_were_locks(folder):
    old = {key: value for key, value in read(folder).manifest().items() if key != "pid"}
    folder.close("interrupted")
    (folder.path / "manifest.json").write_text(json.dumps(old | {"status": "running"}))
    assert load_run(folder.path).status == "unknown"
    (folder.path / "manifest.json").write_text(json.dumps(old | {"status": "finished"}))
    assert load_run(folder.path).status == "finished"


def test_the_process_is_named_on_one_line():
    assert process_text({"pid": 12, "host": "node-1"}) == "process 12 on node-1"
    assert process_text({}) == "another process"
    assert "\n" not in process_text({"pid": [1], "host": "a\nb\x1b"})


class Lockless:
    """fcntl on a disk that has no locks."""

    LOCK_SH = LOCK_EX = LOCK_NB = 0

    @staticmethod
    def flock(*_: object) -> None:
        raise OSError(38, "Function not implemented")


@pytest.mark.parametrize("module", [Lockless, None])
def test_on_a_disk_without_locks(tmp_path, monkeypatch, gone, module):
    monkeypatch.setattr(system, "fcntl", module)
    path = tmp_path / "run"
    folder = RunWriter.create("a", path)
    folder.write_config("model: linear\n")
    log_steps(folder)
    here = system.boot_id() is not None
    assert load_run(path).status == ("running" if here else "unknown")
    if here:
        with pytest.raises(RunFolderError, match=f"process {os.getpid()} on"):
            RunWriter.reopen(path)
    with pytest.raises(RunFolderError, match="not empty"):
        RunWriter.create("b", path)
    for fields, status in ({"pid": gone}, "killed"), ({"host": "elsewhere"}, "unknown"):
        folder.update_manifest(**fields, status="running")
        assert load_run(path).status == status
        writer, saved = RunWriter.reopen(path)
        assert saved is None
        (line,) = writer.found
        assert "its disk has no locks, so that process" in line
        writer.update_manifest(pid=gone)


@needs_locks
def test_of_another_machine_s_run_a_lock_leaves_a_doubt(folder):
    folder.write_config("model: linear\n")
    folder.update_manifest(pid=12, host="node-1")
    folder._lock.release()
    assert read(folder).status == "killed"
    again, _ = RunWriter.reopen(folder.path)
    (line,) = again.found
    assert "its run was process 12 on node-1, whose locks some network disks do not" in line
    again.close("interrupted")
    assert RunWriter.reopen(folder.path)[0].found == ()


@pytest.mark.skipif(system.fcntl is None, reason="stands in for Windows")
def test_windows_locks_a_byte_that_nobody_reads(tmp_path, monkeypatch):
    """By a stand-in for its module: one holder a byte, which belongs to an open file."""
    held: dict[tuple[int, int], int] = {}

    class Msvcrt:
        LK_NBLCK = 2

        @staticmethod
        def locking(descriptor: int, mode: int, size: int) -> None:
            assert (mode, size) == (2, 1)
            for key, holder in list(held.items()):
                if not Path(f"/proc/self/fd/{holder}").exists():
                    del held[key]
            key = os.fstat(descriptor).st_ino, os.lseek(descriptor, 0, os.SEEK_CUR)
            assert key[1] > 1 << 30
            if held.setdefault(key, descriptor) != descriptor:
                raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(system, "fcntl", None)
    monkeypatch.setattr(system, "msvcrt", Msvcrt)
    path = tmp_path / "log"
    first = system.lock(path)
    assert first is not None
    assert first.works
    assert system.lock(path) is None
    assert system.is_locked(path)
    first.release()
    first.release()
    assert system.is_locked(path) is False
