"""Runs that are killed at random moments, resumed until they are done, and compared.

`scripts/kill --help`. A run that was killed and resumed has the same bytes as one that was not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from campaigns.kinds import KINDS, Kind

ROOT = Path(__file__).resolve().parents[1]
SAME = (
    "model.safetensors",
    "steps.parquet",
    "history.csv",
    "trials.csv",
    "results.json",
    "rows.parquet",
)
SAME_WHERE_THERE = ("inner.csv", "permutations.csv", "coefficients.csv", "influence.csv")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_OBEYS = 30.0  # seconds that a run may take to obey a signal, on a busy machine
_LONGEST = 300.0  # seconds of any process


@dataclass
class Victim:
    """One run that is killed: how it was, and whether its end is that of an unbroken run.

    Attributes:
        kind: which of `KINDS`.
        kills: signal and seconds of each kill, with the exit code that came of it.
        faults: sentences; none where all is well.
        resumed: how many of its processes went on from a checkpoint.
    """

    kind: str
    kills: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    resumed: int = 0


class Campaign:
    """Kinds of runs, each carried out once unbroken in `folder`.

    Attributes:
        folder: for all of them.
        part: of each kind's steps that are taken, 1/`part`.
        checkpoints: kill as this many are there, and not at a random time; 0: at a random one.
        most: kills of one run.
    """

    def __init__(self, folder: Path, part: int = 1, checkpoints: int = 0, most: int = 4) -> None:
        self.folder, self.part, self.checkpoints, self.most = folder, part, checkpoints, most
        self._whole: dict[str, tuple[Path, float]] = {}

    def whole(self, kind: str) -> tuple[Path, float]:
        """The folder of an unbroken run, and its seconds from start to end."""
        if kind not in self._whole:
            folder = self.folder / f"{kind}-whole"
            begun = time.monotonic()
            done = self._start(kind, folder, fresh=True)
            told = done.communicate(timeout=_LONGEST)[1]
            if done.returncode:
                raise RuntimeError(f"{kind}: {told}")
            self._whole[kind] = folder, time.monotonic() - begun
        return self._whole[kind]

    def kill(self, kind: str, seed: int) -> Victim:
        """Kill a run some times, resume it to its end and compare."""
        draw = random.Random(f"{kind} {seed}")
        whole, seconds = self.whole(kind)
        folder, victim = self.folder / f"{kind}-{seed}", Victim(kind)
        kills = draw.randint(1, self.most)
        for turn in range(kills + 1):
            process = self._start(kind, folder, fresh=not (folder / "config.yaml").exists())
            sign = draw.choice(SIGNALS) if turn < kills else None
            due = self._due(folder, draw.uniform(0.1, seconds))
            if self._let_die(process, victim, sign, due):
                break
        if not victim.faults:
            victim.faults += differences(whole, folder)
        if not victim.faults:
            shutil.rmtree(folder)
        return victim

    def _due(self, folder: Path, seconds: float) -> Callable[[float], bool]:
        """Whether a run in this folder is to be killed, so many seconds after its start."""
        if not self.checkpoints:
            return lambda since: since >= seconds
        there = folder / "checkpoint"
        before = {path.name for path in there.glob("*.json")}
        return lambda since: (
            len({p.name for p in there.glob("*.json")} - before) >= min(self.checkpoints, 2)
        )

    def _let_die(
        self,
        process: subprocess.Popen[str],
        victim: Victim,
        sign: int | None,
        due: Callable[[float], bool],
    ) -> bool:
        """Wait for the end, with a signal when it is due; whether the run is over."""
        begun = time.monotonic()
        while sign is not None and process.poll() is None and not due(time.monotonic() - begun):
            time.sleep(0.002)
        asked = time.monotonic()
        if sign is not None and process.poll() is None:
            process.send_signal(sign)
        try:
            told = process.communicate(timeout=_LONGEST)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            told = process.communicate()[1]
            victim.faults.append("hangs")
        if sign is not None:
            name, slow = signal.Signals(sign).name, time.monotonic() - asked
            victim.kills.append(f"{name} after {asked - begun:.2f} s: {process.returncode}")
            if slow > _OBEYS:
                victim.faults.append(f"took {slow:.0f} s to end")
        victim.resumed += "goes on" in told
        code = process.returncode
        # a signal before the program listens, or once it has ended, is the system's to obey
        expected = {0, 130, 143, *(-one for one in SIGNALS)} if sign else {0}
        if code not in expected or "Traceback" in told:
            victim.faults.append(f"ended with {code}: {told.strip()[-400:]}")
        return code == 0 or bool(victim.faults)

    def _start(self, kind: str, folder: Path, fresh: bool) -> subprocess.Popen[str]:
        """A process of a run from its beginning, or from where its folder is."""
        what = KINDS[kind]
        config = self.folder / f"{kind}.yaml"
        if not config.exists():
            config.write_text(json.dumps(_config(what, self.part)))
        told = [str(config), "--out", str(folder)] if fresh else ["--resume", str(folder)]
        command = [sys.executable, "-P", "-m", "campaigns.child", what.device, str(what.memory)]
        return subprocess.Popen(
            [*command, "run", *told],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | what.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )


def _config(kind: Kind, part: int) -> dict[str, Any]:
    device, optimizer = "cpu" if kind.device == "cpu" else "gpu", dict(kind.config["optimizer"])
    for length in ("epochs", "steps"):
        if length in optimizer:
            optimizer[length] = max(optimizer[length] // part, 3)
    checkpoint = {"minutes": 1e-3 / part}
    return {"device": device, **kind.config, "checkpoint": checkpoint, "optimizer": optimizer}


def differences(whole: Path, folder: Path) -> list[str]:
    """What a run that was resumed does not have as an unbroken one has it, a sentence each."""
    found = []
    for name in (*SAME, *SAME_WHERE_THERE):
        one, other = whole / name, folder / name
        if name in SAME_WHERE_THERE and not one.exists():
            if other.exists():
                found.append(f"{name} is there")
        elif not other.exists():
            found.append(f"{name} is not there")
        elif one.read_bytes() != other.read_bytes():
            found.append(f"{name} has other bytes")
    status = json.loads((folder / "manifest.json").read_text())["status"]
    if status != "finished":
        found.append(f"the status is {status}")
    if (folder / "checkpoint").exists():
        found.append("its checkpoints are still there")
    return found


def kills(folder: Path, kinds: Sequence[str], count: int, seed: int) -> Iterator[Victim]:
    """So many runs, of the kinds by turns, each killed."""
    campaign = Campaign(folder)
    for number in range(count):
        yield campaign.kill(kinds[number % len(kinds)], seed + number)


def main(argv: Sequence[str] | None = None) -> int:
    """Kill runs, and say what came of them; 1 where one has lost something."""
    parser = argparse.ArgumentParser(prog="scripts/kill", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="runs (default: 100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    args = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="kill-"))
    ends: Counter[str] = Counter()
    for number, victim in enumerate(kills(folder, args.kinds, args.count, args.seed)):
        ends.update(kill.split()[0] for kill in victim.kills)
        ends["resumed"] += victim.resumed
        ends["faults"] += bool(victim.faults)
        told = "; ".join(victim.faults) or "the same bytes"
        print(f"{number + 1:3d} {victim.kind}: {', '.join(victim.kills)}: {told}", flush=True)
    print(", ".join(f"{count} {name}" for name, count in ends.items()), f"in {folder}")
    return int(ends["faults"] > 0)


if __name__ == "__main__":
    sys.exit(main())
