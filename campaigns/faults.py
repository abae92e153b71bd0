"""A disk that refuses the n-th call of a run, for n = 1, 2, … until a run passes (SQLite's loop).

A run that failed is gone on with then, and must end with the bytes of one that met no refusal.

A call is one that changes the disk: a write, an fsync, a rename, a new file, a new folder. The n-th
alone is refused, or it and all that follow. `failures` goes through all n of one kind of run in one
process, `faults.c` being preloaded; Linux and a C compiler are needed. By hand, some three minutes:

    python -m campaigns.faults plain|folds|solver [stuck]
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
_DATA = {
    "model": "softmax",
    "data": {"train": "digits"},
    "device": "cpu",
    "name": "faults",
    "checkpoint": {"minutes": 1e-9},
}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {**_DATA, "optimizer": {"epochs": 2}},
    "folds": {
        **_DATA,
        "optimizer": {"epochs": 1, "batch_size": 256},
        "repeat": {"folds": 2},
        "sweep": {"parameters": {"optimizer.lr": [0.01, 0.1]}},
    },
    "solver": {
        **_DATA,
        "optimizer": {"name": "lbfgs", "tol": 1e-2},
        "sweep": {"parameters": {"penalty.l2": [1e-2, 1e-1]}},
    },
}
_START = {"config.yaml", "input.yaml", "manifest.json", "run.log", "history.csv", "steps.arrows"}
_VARY = {"manifest.json", "run.log", "report.html", "steps.parquet", "steps.arrows"}  # have times

_WITHIN = "--within"  # the process that faults.c is preloaded into
SAME = ("model.safetensors", "steps.parquet", "history.csv", "trials.csv", "results.json")

_RUNNING = "its status is running, its exit code is not 0"
_FINISHED = "its status is finished, and its page elsewhere"
_SEVERAL = "a start that is refused is told in several lines"


class Fault(NamedTuple):
    """One run: which call was refused, how it ended, and what is wrong about that."""

    n: int
    refused: int
    exit_code: int
    lines: list[str]
    problems: list[str]


def compiled(folder: Path) -> Path:
    """Compile faults.c; the library's path.

    Raises:
        OSError, subprocess.CalledProcessError: there is no compiler, or it failed.
    """
    library = folder / "faults.so"
    source = Path(__file__).with_name("faults.c")
    cc = os.environ.get("CC", "cc")
    command = [cc, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


def failures(
    kind: str, work: Path, numbers: Sequence[int] | None = None, *, stuck: bool = False
) -> Iterator[Fault]:
    """Refuse one call after another of a kind of run, in a process of their own.

    Args:
        kind: of `KINDS`.
        work: an empty folder for all this.
        numbers: which calls; negative ones count from a run's last. All by default.
        stuck: refuse all calls that follow, too.
    """
    library = compiled(work)
    places = work / "elsewhere"
    places.mkdir()
    told = json.dumps({"kind": kind, "work": str(work), "numbers": numbers, "stuck": stuck})
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "TMPDIR": str(places),
        "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}",
    }
    command = [sys.executable, "-m", "campaigns.faults", _WITHIN, told]
    with subprocess.Popen(
        command, env=environment, cwd=work, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield Fault(*json.loads(line))
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def _loop(kind: str, work: Path, numbers: Sequence[int] | None, stuck: bool) -> Iterator[Fault]:
    """The loop of `failures`, within the process that faults.c is preloaded into."""
    from trainer.workflow import checkpoints

    checkpoints._SHARE = 0  # one a round, however long it takes: runs have the same calls
    faults = ctypes.CDLL(None)
    faults.faults_at.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int]
    faults.faults_seen.restype = faults.faults_refused.restype = ctypes.c_long
    config = work / "config.yaml"
    config.write_text(json.dumps(KINDS[kind]))
    folder = work / "run"
    anew = [str(config), "--out", str(folder)]

    faults.faults_at(os.fsencode(folder), 0, 0, 0)
    command(*anew)
    count = faults.faults_seen()
    whole = contents(folder)
    for n in range(1, count + 100) if numbers is None else numbers:
        _clear(work)
        n = n if n > 0 else count + 1 + n
        faults.faults_at(os.fsencode(folder), n, errno.ENOSPC if n % 2 else errno.EIO, stuck)
        exit_code, lines = command(*anew)
        refused = faults.faults_refused()
        faults.faults_at(b"", 0, 0, 0)
        problems = list(_problems(folder, work / "elsewhere", whole, exit_code, lines))
        if stuck:  # a disk that takes nothing more takes no status, and refuses run.log, too
            problems = [p for p in problems if p not in (_RUNNING, _FINISHED, _SEVERAL)]
        if exit_code and (folder / "config.yaml").exists():
            problems += _gone_on(folder, whole)
        yield Fault(n, refused, exit_code, lines, problems)
        if not refused:
            return


def _gone_on(folder: Path, whole: dict[str, bytes]) -> Iterator[str]:
    """What is wrong about a run that failed and is gone on with, once the disk takes all."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    over = manifest["status"] == "finished" or manifest.get("trained") == "finished"
    exit_code, lines = command("--resume", str(folder))
    if exit_code and not over:
        yield f"gone on with: exit code {exit_code}: {lines[-1:]}"
    here = contents(folder)
    for name in SAME:
        if here.get(name) != whole[name]:
            yield f"gone on with: {name} is another file"


def command(*arguments: str) -> tuple[int, list[str]]:
    """Carry out `run` in this process; its exit code, and the lines that it says."""
    from trainer.cli import main

    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        exit_code = main(["run", *arguments, "--quiet"])
    return exit_code, said.getvalue().splitlines()


def _clear(work: Path) -> None:
    shutil.rmtree(work / "run", ignore_errors=True)
    for place in (work / "elsewhere").iterdir():
        shutil.rmtree(place)


def contents(folder: Path) -> dict[str, bytes]:
    """{name: bytes} of the files of a run folder, those in folders of it too."""
    files = folder.rglob("*") if folder.is_dir() else ()
    return {str(p.relative_to(folder)): p.read_bytes() for p in files if p.is_file()}


def _problems(
    folder: Path, places: Path, whole: dict[str, bytes], exit_code: int, lines: list[str]
) -> Iterator[str]:
    """What is wrong about the end of a run, `whole` being what an unbroken run leaves."""
    here = contents(folder)
    there: dict[str, bytes] = {}
    for place in places.iterdir():
        there |= contents(place)
    if any("Traceback" in line or "fault of ours" in line for line in lines):
        yield "a traceback"
    if halves := [name for name in here if Path(name).name.startswith(".")]:
        yield f"left behind: {halves}"
    if exit_code not in (0, 1):
        yield f"exit code {exit_code}"
    if exit_code and not lines:
        yield "it ends without a word"
    # what is elsewhere may stand here as it was while the run went on
    for name in (here.keys() & whole.keys()) - _VARY - there.keys():
        if not (here[name] == whole[name] or whole[name].startswith(here[name])):
            yield f"{name} is another file"
    status = json.loads(here["manifest.json"])["status"] if "manifest.json" in here else None
    if exit_code and status == "running":
        yield _RUNNING
    elif exit_code and status == "finished" and whole.keys() - here.keys() <= {"report.html"}:
        yield _FINISHED
    elif status not in (("finished",) if exit_code == 0 else ("failed", None)):
        yield f"its status is {status}, its exit code {exit_code}"
    if exit_code and here.keys() <= _START and not there:  # it was refused before it trained
        if len(lines) != 1:
            yield _SEVERAL
        return
    wanted = set(whole) if exit_code == 0 else set(whole) - _START - {"steps.parquet"}
    if lost := sorted(wanted - here.keys() - there.keys()):
        yield f"lost: {lost}"
    for name in (wanted & there.keys()) - _VARY:
        if there[name] != whole[name]:
            yield f"{name} is another file elsewhere"
    if exit_code and not here.keys() & {"steps.parquet", "steps.arrows"}:
        yield "its steps are lost"


def _main(words: Sequence[str]) -> int:
    """Print the faults that are problems; the exit code."""
    wrong = 0
    with tempfile.TemporaryDirectory() as work:
        for fault in failures(words[0], Path(work), stuck="stuck" in words[1:]):
            if fault.problems:
                wrong += 1
                print(f"call {fault.n}: {'; '.join(fault.problems)}", *fault.lines, sep="\n    ")
    print(f"{words[0]}: {fault.n} runs, {wrong} with problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1] != _WITHIN:
        sys.exit(_main(sys.argv[1:]))
    told = json.loads(sys.argv[2])
    for fault in _loop(told["kind"], Path(told["work"]), told["numbers"], told["stuck"]):
        print(json.dumps(fault), file=sys.__stdout__, flush=True)
