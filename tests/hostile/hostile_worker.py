"""Run cases of the campaign, in this process or each in one of its own, and judge them.

`python hostile_worker.py FOLDER SEED START STOP [process]` prints two lines of JSON a case, before
and after it. A case that hangs ends the process with its stacks on standard error; who started it
sees which case had begun. The same line of arguments makes the same case again.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from hostile_cases import Case, make
from hostile_corrupt import flow
from hostile_scenes import SCENES, scene, write

HANG = 20  # seconds
_MEMORY = 6 << 30
_MOST_WORK = 20_000  # rows times steps of a valid config that is carried out
_armed: list[Any] = []


def main(folder: Path, seed: int, start: int, stop: int, own_process: bool) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    sys.addaudithook(_on_open)
    os.fsync = lambda file: None  # no case cuts the power, and a disk takes its time
    runs = good_runs(folder / "good")
    for index in range(start, stop):
        here = folder / "a" / "b" / "c" / str(index)  # deep, so that ../../../x is still seen
        case = make(Random(f"{seed}-{index}"), here, runs)
        print(json.dumps({"begin": index, "kind": case.kind, "what": case.what}), flush=True)
        faulthandler.dump_traceback_later(HANG * (3 if own_process else 1), exit=True)
        outcome = carry_out(case, here, folder, own_process)
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps({"end": index, **outcome}), flush=True)
        shutil.rmtree(here)


def good_runs(folder: Path) -> list[Path]:
    """A finished run of every scene, and one as an interruption leaves it."""
    from trainer.cli import main as trainer

    runs = []
    for i, _ in enumerate(SCENES):
        here = folder / str(i)
        rng = Random(i)
        files, config = scene(rng)
        while not files:  # without files there is nothing to predict
            files, config = scene(rng)
        write(here, files, flow(config).encode())
        with working_in(here / "cwd"):
            arguments = ["run", "../cfg/a.yaml", "--out", str(here / "run"), "--quiet"]
            with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
                assert trainer(arguments) == 0, flow(config)
        # Five megabytes to copy, hash and break for nothing.
        (here / "run" / "report.html").write_text("<p>a page</p>")
        runs.append(here / "run")
    _as_interrupted(runs[-1])
    return runs


def _as_interrupted(run: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(run / "steps.parquet")
    with pa.ipc.new_stream(run / "steps.arrows", table.schema) as stream:
        stream.write_table(table, max_chunksize=1)
    (run / "steps.parquet").unlink()


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


# ---------------------------------------------------------------- one case


def carry_out(case: Case, here: Path, root: Path, own_process: bool = False) -> dict[str, Any]:
    """The exit code, and every promise that was broken."""
    before = snapshot(root)
    start = time.monotonic()
    with working_in(here / "cwd"):
        if own_process:
            code, _, err = _in_a_process(case)
        elif case.argv[0] == "python":
            code, _, err = _as_python_users(Path(case.argv[1]))
        else:
            code, _, err = _in_this_process(case)
    seconds = time.monotonic() - start
    err += traceback_behind(err)
    faults = list(broken_promises(code, err, seconds))
    changed = (case.race[0],) if case.race else ()
    for path in sorted(_differences(before, snapshot(root))):
        allowed = any(path == may or may in path.parents for may in case.may_write)
        raced = any(path == file or file.parent == path.parent for file in changed)
        if not allowed and not raced:
            faults.append(f"touched {path}")
    return {
        "code": code,
        "faults": faults,
        "seconds": round(seconds, 2),
        "err": err[:700] + " ... " + err[-800:] if len(err) > 1500 else err,
    }


def traceback_behind(err: str) -> str:
    """The end of what a fault of ours left in a log."""
    log = Path(err.rpartition("please report it with ")[2].split("\n")[0])
    return "".join(log.read_text().splitlines(True)[-8:]) if log.suffix == ".log" else ""


def broken_promises(code: int, err: str, seconds: float) -> Iterator[str]:
    if code not in (0, 2, 3):
        yield f"exit code {code}"
    if "Traceback" in err or "Warning" in err:
        yield "a traceback or a warning"
    if code == 2 and not err.strip():
        yield "exit code 2 without a word"
    if any(not (c.isprintable() or c in "\n ") for c in err):
        yield "control characters"
    if any(len(line) > 5000 for line in err.splitlines()):  # a path may have 4,096
        yield "a line of over 5,000 characters"
    if any(not line.strip() for line in err.splitlines()):
        yield "an empty line"
    if seconds > HANG:
        yield f"{seconds:.0f} seconds"


def snapshot(root: Path) -> dict[str, tuple[Any, ...]]:
    """What every path under root is: kind, size, times, target."""
    found: dict[str, tuple[Any, ...]] = {}
    folders = [str(root)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                stat = entry.stat(follow_symlinks=False)
                is_folder = entry.is_dir(follow_symlinks=False)
                if is_folder:
                    folders.append(entry.path)
                state = (0, 0) if is_folder else (stat.st_size, stat.st_mtime_ns)
                found[entry.path] = (stat.st_mode, stat.st_ino, *state)
    return found


def _differences(before: dict[str, Any], after: dict[str, Any]) -> set[Path]:
    changed = before.keys() ^ after.keys()
    changed |= {path for path, state in before.items() if after.get(path, state) != state}
    return set(map(Path, changed))


def _in_this_process(case: Case) -> tuple[int, str, str]:
    argv = list(case.argv)
    if argv[0] == "run" and _is_long(argv):
        argv.append("--check")
    if case.race:
        _armed[:] = [str(case.race[0]), case.race[1], case.race[2]]
    ended = called(argv)
    _armed.clear()
    return ended


def called(argv: list[str]) -> tuple[int, str, str]:
    """The exit code of a command in this process, and what it printed on either stream."""
    from trainer.cli import main as trainer

    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    err.reconfigure(errors="backslashreplace")  # as standard error is
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = trainer(argv)
        except BaseException:
            code = 1
            traceback.print_exc()
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode("utf-8", "backslashreplace"))
    return code, texts[0], texts[1]


def _is_long(argv: list[str]) -> bool:
    """Whether a config is valid and asks for more work than a test has time for."""
    from trainer.config import load_spec
    from trainer.errors import TrainerError

    try:
        spec = load_spec(argv[1], [arg for arg in argv[2:] if "=" in arg])
    except (TrainerError, ValueError, OSError):
        return False
    made = [getattr(s, "synthetic", None) for s in (spec.data.train, spec.data.val, spec.data.test)]
    cells = max((m.rows * (m.columns + m.outputs) for m in made if m), default=100)
    rows = max((m.rows for m in made if m), default=30)
    work = spec.optimizer.steps or (spec.optimizer.epochs or 1) * rows
    bundled = isinstance(spec.data.train, str)
    return work > _MOST_WORK or 10**6 < cells < 10**10 or (bundled and work > 300)


def _in_a_process(case: Case) -> tuple[int, str, str]:
    argv = [arg.replace("\0", "?") for arg in case.argv]  # no command line holds one
    if argv[0] == "run" and _is_long(argv):
        argv.append("--check")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "trainer", *argv],
        capture_output=True, timeout=3 * HANG, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return (
        done.returncode,
        done.stdout.decode(errors="replace"),
        done.stderr.decode(errors="replace"),
    )


def _as_python_users(run: Path) -> tuple[int, str, str]:
    """Read everything of a run folder; a fault is a line of an exception that we raise."""
    import trainer
    from trainer.errors import UserError

    def model_predicts() -> None:
        model = trainer.load_model(run)
        model.predict([[0.0] * len(model.encoder.columns)])

    readers = [lambda name=name: getattr(trainer.load_run(run), name) for name in
               ("status", "results", "best", "trials")]  # fmt: skip
    readers += [lambda name=name: getattr(trainer.load_run(run), name)() for name in
                ("history", "steps", "predictions", "model")]  # fmt: skip
    code, said = 0, []
    for reader in (*readers, model_predicts):
        try:
            reader()
        except UserError as error:
            code = max(code, 2)
            said.append(str(error))
            if len(str(error).splitlines()) != 1:
                code, said = 1, [*said, "Traceback: a fault of more than one line"]
        except Exception:
            code = 1
            said.append(traceback.format_exc())
    return code, "", "\n".join(said)


def _on_open(event: str, arguments: tuple[Any, ...]) -> None:
    """Count the openings of a file, and change it at the one that was chosen."""
    if event != "open" or not _armed or not isinstance(arguments[0], str | Path | bytes):
        return
    if os.path.abspath(os.fsdecode(arguments[0])) != _armed[0]:
        return
    _armed[1] -= 1
    if _armed[1] == 0:
        path, _, change = _armed
        _armed.clear()
        with contextlib.suppress(OSError):
            change(Path(path))


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("error")
    where, numbers = Path(sys.argv[1]), [int(arg) for arg in sys.argv[2:5]]
    main(where, *numbers, "process" in sys.argv)
