"""Contenders in processes of their own, which wait for calls; no call outlasts its limit."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.shared.worker import Reply

ROOT = Path(__file__).resolve().parents[2]
# One thread, whichever library counts them.
_ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}


@dataclass(frozen=True)
class Contender:
    """One way to do the work that is timed.

    Attributes:
        name: as the table calls it.
        target: "module:Class", built in its process with the data and the settings.
        settings: keywords of the class.
        env: environment variables of the process.
        paths: folders that it imports from before all others, such as another checkout.
        times: how often its part of the work makes the whole.
        words: what part it is; empty if all.
        once: whether one run is enough, for it takes long.
    """

    name: str
    target: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    paths: Sequence[str] = ()
    times: float = 1.0
    words: str = ""
    once: bool = False


class Process:
    """The process of a contender.

    Args:
        contender: who.
        data: a file of `stored`; "" for none.
        core: that it keeps to, with one thread; None for all, with as many threads as it takes.
    """

    def __init__(self, contender: Contender, data: str = "", core: int | None = None) -> None:
        self.contender, self._data = contender, data
        self._popen = subprocess.Popen(
            [sys.executable, str(ROOT / "benchmarks/shared/worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **(_ONE_THREAD if core is not None else {}), **contender.env},
        )
        self._send({"core": core, "paths": list(contender.paths)})

    def make(self, limit: float) -> Reply:
        """Build the contender."""
        settings = dict(self.contender.settings)
        return self.call("make", self.contender.target, self._data, settings, limit=limit)

    def call(self, method: str, *arguments: Any, limit: float) -> Reply:
        """Call a method of it; past its limit in seconds the process is ended."""
        self.ask(method, *arguments)
        return self.reply(limit)

    def ask(self, method: str, *arguments: Any) -> None:
        """Begin a call."""
        self._send((method, arguments))

    def reply(self, limit: float) -> Reply:
        """Wait for what it came to."""
        late = threading.Event()

        def end() -> None:
            late.set()
            self.end()

        assert self._popen.stdout is not None
        timer = threading.Timer(limit, end)
        timer.start()
        try:
            found = pickle.load(self._popen.stdout)
            assert isinstance(found, Reply)
            return found
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(5)
            ended = self._popen.poll()
            self.end()
            said = "gave no reply" if ended is None else f"ended with exit code {ended}"
            return Reply(words=f"over {limit:g} s" if late.is_set() else said)
        finally:
            timer.cancel()

    def _send(self, what: Any) -> None:
        assert self._popen.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it has ended: its reply says so
            pickle.dump(what, self._popen.stdin)
            self._popen.stdin.flush()

    def end(self) -> None:
        """End it and what it started."""
        import psutil

        family: list[Any] = []
        with contextlib.suppress(psutil.Error):
            family = psutil.Process(self._popen.pid).children(recursive=True)
        for one in family:
            with contextlib.suppress(psutil.Error):
                one.kill()
        self._popen.kill()
        self._popen.wait()
        psutil.wait_procs(family, timeout=5)
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was never sent
                    pipe.close()


@contextlib.contextmanager
def processes(
    contenders: Sequence[Contender], data: str = "", core: int | None = None
) -> Iterator[list[Process]]:
    """The processes of contenders, ended at the end."""
    started: list[Process] = []
    try:
        for contender in contenders:
            started.append(Process(contender, data, core))
        yield started
    finally:
        for one in started:
            one.end()


@contextlib.contextmanager
def stored(data: Any) -> Iterator[str]:
    """A file of what all contenders are given, so that each has the same; "" for None."""
    if data is None:
        yield ""
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.pickle"
        path.write_bytes(pickle.dumps(data, protocol=5))
        yield str(path)
