"""Run folders broken in one place, and every reader of them: only exit codes 0 and 2, no hang.

`python folder_campaign.py FOLDER SEED START STOP` makes run folders of several kinds in FOLDER,
then the cases from START to STOP of that seed, each a copy of one of them in which one file is
broken. Workers are kept alive; a case that hangs or crashes ends one of them, is told, and the next
goes on. The same arguments make the same cases.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import shutil
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import folder_kinds
from folder_mutations import MARKUP, mutate
from hostile_worker import broken_promises, called, traceback_behind

HANG = 20  # seconds of one case, all readers
_MEMORY = 3 << 30


@dataclass
class Report:
    codes: Counter[str] = field(default_factory=Counter)
    """Of all readers by exit code; `none` where one hung or crashed the process."""
    found: list[str] = field(default_factory=list)
    """A case that broke a promise, a line each and what it printed."""
    slowest: float = 0.0
    cases: int = 0

    def __str__(self) -> str:
        codes = ", ".join(
            f"{n} readers ended with {code}" for code, n in sorted(self.codes.items())
        )
        head = f"{self.cases} cases: {codes}; the slowest case took {self.slowest:.1f} s"
        return "\n".join([f"{head}; {len(self.found)} faults", *self.found[:40]])


def campaign(folder: Path, seed: int, start: int, stop: int, processes: int = 2) -> Report:
    """Cases start to stop of a seed, shared among processes; the runs are made if need be."""
    if not (folder / "good").exists():
        folder_kinds.make(folder / "good")
    step = -(-(stop - start) // processes)
    parts = [(i, min(i + step, stop)) for i in range(start, stop, step)]
    report = Report()
    with ThreadPoolExecutor(processes) as pool:
        for part in pool.map(lambda ends: _part(folder, seed, *ends), parts):
            report.codes += part.codes
            report.found += part.found
            report.cases += part.cases
            report.slowest = max(report.slowest, part.slowest)
    return report


def _part(folder: Path, seed: int, start: int, stop: int) -> Report:
    report = Report()
    while start < stop:  # a hang or a crash ends a worker: the next one goes on behind it
        arguments = ["--worker", str(folder), str(seed), str(start), str(stop)]
        done = subprocess.run(
            [sys.executable, __file__, *arguments],
            capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            timeout=3600,
        )  # fmt: skip
        begun = None
        for record in map(json.loads, done.stdout.splitlines()):
            if "begin" in record:
                begun = record
                continue
            assert begun is not None
            report.cases += 1
            report.codes += Counter(record["codes"])
            report.slowest = max(report.slowest, record["seconds"])
            name = f"case {seed}-{begun['begin']}, {begun['what']}"
            report.found += [f"{name}: {fault}" for fault in record["faults"]]
            start, begun = record["end"] + 1, None
        if begun is None and start < stop:
            raise RuntimeError(f"the worker did not start: {done.stderr[-2000:]}")
        if begun is not None:
            report.cases += 1
            report.codes["none"] += 1
            name = f"case {seed}-{begun['begin']}, {begun['what']}"
            report.found.append(
                f"{name}: a hang or a crash ({done.returncode})\n{done.stderr[-3000:]}"
            )
            start = begun["begin"] + 1
    return report


# ---------------------------------------------------------------- the worker


def _worker(folder: Path, seed: int, start: int, stop: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    runs = {kind: folder / "good" / kind for kind in folder_kinds.KINDS}
    place = folder / f"from-{start}"
    place.mkdir()
    os.environ["TMPDIR"] = str(place)  # for the traceback of a fault of ours
    for index in range(start, stop):
        rng = Random(f"{seed}-{index}")
        kind = rng.choice(sorted(runs))
        broken = place / "broken"
        shutil.copytree(runs[kind], broken)
        what = f"{kind}, {mutate(rng, broken, sorted(runs.values()))}"
        print(json.dumps({"begin": index, "what": what}), flush=True)
        faulthandler.dump_traceback_later(HANG, exit=True)
        began = time.monotonic()
        codes: Counter[str] = Counter()
        faults: list[str] = []
        for reader, read in readers(broken, runs[kind], place).items():
            code, err = read()
            codes[str(code)] += 1
            told = [*broken_promises(code, err, 0), *(["code 3"] if code == 3 else [])]
            told += markup(broken / "report.html") if reader == "report" else []
            told += markup(place / "compare.html") if reader == "compare" else []
            if told:
                faults.append(f"{reader}: {told}\n{err[:300]} ... {err[-900:]}")
        faulthandler.cancel_dump_traceback_later()
        seconds = round(time.monotonic() - began, 2)
        print(json.dumps({"end": index, "codes": codes, "faults": faults, "seconds": seconds}),
              flush=True)  # fmt: skip
        shutil.rmtree(broken)


def markup(page: Path) -> list[str]:
    """What a page took over from its folder as HTML of its own; it is removed."""
    if not page.is_file():
        return []
    text = page.read_text("utf-8")
    page.unlink()
    return [f"{mark} in {page.name}" for mark in MARKUP if mark in text]


Reader = Callable[[], tuple[int, str]]


def readers(run: Path, whole: Path, place: Path) -> dict[str, Reader]:
    """Everything that reads a run folder, by name; each gives its exit code and what it said.

    Args:
        run: the folder to read.
        whole: the same before it was broken.
        place: where pages and runs may be written.
    """
    data, config = folder_kinds.data_of(whole), whole.parent / "data" / f"{whole.name}.yaml"
    page, new = place / "compare.html", place / "new"
    commands = {
        "predict": ["predict", str(run), str(data), "--out", str(place / "p.csv")],
        "report": ["report", str(run)],
        "compare": ["report", str(run), str(whole), "--out", str(page)],
        "init": ["run", str(config), f"init={run}", "optimizer.name=sgd", "--plan"],
    }
    found: dict[str, Reader] = {"python": lambda: _as_python_users(run)}
    if whole.name == "solver":  # a solver begins where it likes
        del commands["init"]
    for name, argv in commands.items():
        found[name] = lambda argv=argv: _command(argv)
    shutil.rmtree(new, ignore_errors=True)
    return found


def _command(argv: list[str]) -> tuple[int, str]:
    code, _, told = called(argv)
    if code == 0:
        told = ""  # metrics and remarks on the rows
    return code, told + traceback_behind(told)


def _as_python_users(run: Path) -> tuple[int, str]:
    """Read everything of a run folder; a fault is a line of an exception that we raise."""
    import trainer
    from trainer.errors import UserError

    code, said = 0, []
    for name in ("status", "results", "best", "trials", "history", "steps", "predictions", "model"):
        try:
            value = getattr(trainer.load_run(run), name)
            value() if callable(value) else value
        except UserError as error:
            code = max(code, 2)
            said.append(str(error))
            if len(str(error).splitlines()) != 1:
                code, said = 1, [*said, "Traceback: a fault of more than one line"]
        except Exception:
            code = 1
            said.append(traceback.format_exc())
    return code, "\n".join(said)


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("error")
    if sys.argv[1] == "--worker":
        _worker(Path(sys.argv[2]), *map(int, sys.argv[3:]))
    else:
        report = campaign(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
        print(report)
        sys.exit(bool(report.found))
