"""One contender, served in a process of its own: `processes.Process` starts this file.

Requests and replies are pickles on the standard streams; what libraries print goes to the standard
error. A reply has what the call returned, its time on processors (of this process, all its threads
and all processes that it started), its time by the clock, and the most memory held so far.
"""

from __future__ import annotations

import importlib
import os
import pickle
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ABSENT = "is not installed"


@dataclass(frozen=True)
class Reply:
    """What a call came to.

    Attributes:
        value: that it returned; None if it failed.
        cpu: seconds on processors.
        wall: seconds by the clock.
        peak: most resident memory so far, MiB, its own processes' included; 0 where unknown.
        words: why it failed; empty if it did not.
    """

    value: Any = None
    cpu: float = 0.0
    wall: float = 0.0
    peak: float = 0.0
    words: str = ""


def serve() -> None:
    """Build the contender that the first request names, then call its methods until the end."""
    with os.fdopen(os.dup(1), "wb") as replies:
        os.dup2(2, 1)
        requests = sys.stdin.buffer
        place = pickle.load(requests)
        _settle(place["core"], place["paths"])
        held: list[Any] = []

        def make(target: str, data: str, settings: dict[str, Any]) -> None:
            module, name = target.split(":")
            given = [pickle.loads(Path(data).read_bytes())] if data else []
            held.append(getattr(importlib.import_module(module), name)(*given, **settings))

        while True:
            try:
                method, arguments = pickle.load(requests)
            except EOFError:
                return
            call = make if method == "make" else getattr(held[0], method)
            pickle.dump(measured(partial(call, *arguments)), replies)
            replies.flush()


def _settle(core: int | None, paths: list[str]) -> None:
    """Keep to one core, before a library counts them, and import from these folders first."""
    import psutil

    if core is not None and hasattr(psutil.Process, "cpu_affinity"):  # macOS has none
        psutil.Process().cpu_affinity([core])
    importlib.import_module("benchmarks")  # ours, whatever other checkout the trainer is of
    sys.path[:0] = paths


def measured(call: Callable[[], Any]) -> Reply:
    """The reply to a call."""
    others, clock, own = _others(), time.perf_counter(), time.process_time()
    try:
        value, words = call(), ""
    except ImportError as error:
        value, words = None, f"{error.name} {ABSENT}"
    except Exception as error:  # of whatever library
        value, words = None, f"{type(error).__name__}: {(str(error) or '–').splitlines()[0]}"
    own, clock = time.process_time() - own, time.perf_counter() - clock
    return Reply(value, own + _others() - others, clock, _peak(), words)


def _others() -> float:
    """Processor time of the processes that this one has started, those that have ended included."""
    import psutil

    this = psutil.Process()
    ended = this.cpu_times()
    spent = float(ended.children_user + ended.children_system)
    for child in this.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.Error:
            continue
        spent += times.user + times.system
    return spent


def _peak() -> float:
    """MiB; not getrusage's, which a process begins with its parent's."""
    import psutil

    pids = ["self", *(str(child.pid) for child in psutil.Process().children(recursive=True))]
    peak = 0
    for pid in pids:
        path = Path("/proc") / pid / "status"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        peak += next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
    return peak / 1024


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    import benchmarks.shared.worker as worker  # whose `Reply` the parent knows

    worker.serve()
