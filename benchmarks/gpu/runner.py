"""One part in a process of its own, ended with all that it started at its limit."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.gpu import records
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.records import BEGUN, DONE, FAILED, LATE, SKIPPED

ROOT = Path(__file__).resolve().parents[2]
_GRACE = 5.0  # seconds kept of the whole for the last page
_DRAIN = 3.0  # seconds for what a part has printed last
_LAST = 2000  # characters of what a part that failed has printed


class Log:
    """The readable log and the terminal at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, text: str) -> None:
        """Say a line; a disk that is full and a terminal that has gone cost it alone."""
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
        with contextlib.suppress(OSError):
            try:
                print(text, flush=True)
            except UnicodeEncodeError:
                print(text.encode("ascii", "replace").decode(), flush=True)


def run_parts(
    names: list[str], out: Path, until: float, rehearse: bool, log: Log, done: Callable[[], None]
) -> None:
    """Carry out parts one after another; `done()` follows each.

    Args:
        names: of the parts.
        out: the folder of results.
        until: `time.monotonic()` at which all must have ended.
        rehearse: tiny, with the double of CuPy that the tests have.
        log: hears all.
        done: makes the page.
    """
    file = out / records.FILE
    for name in names:
        part, left = PARTS[name], until - time.monotonic() - _GRACE
        if left < part.needs:
            words = f"{max(left, 0):.0f} s are left of all minutes, it needs {part.needs:.0f}"
            _tell(file, log, name, SKIPPED, None, words)
        else:
            _tell(file, log, name, BEGUN, None, part.title)
            start = time.monotonic()
            status, words = _run(name, file, min(part.limit, left), rehearse, log)
            _tell(file, log, name, status, time.monotonic() - start, words)
        done()
        if name == "device" and records.unfinished(records.read(file)) & {name}:
            log("the other parts need the device: none is begun")
            for other in names[names.index(name) + 1 :]:
                _tell(file, log, other, SKIPPED, None, "there is no device, or another one")
            done()
            return


def _tell(file: Path, log: Log, part: str, status: str, seconds: float | None, words: str) -> None:
    record: dict[str, Any] = {"kind": "state", "part": part, "status": status, "words": words}
    record |= {} if seconds is None else {"seconds": round(seconds, 2)}
    records.append(file, record)
    log(records.line(record))


def _run(name: str, file: Path, limit: float, rehearse: bool, log: Log) -> tuple[str, str]:
    """Run a part; its status and why."""
    command = [sys.executable, "-m", "benchmarks.gpu.child", name, str(file)]
    environment = {**os.environ, **_environment(limit, rehearse)}
    popen = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=os.name == "posix",
    )
    said: list[str] = []

    def read() -> None:
        assert popen.stdout is not None
        with popen.stdout as lines:
            for line in lines:
                said[:] = [*said[-40:], line.rstrip()]
                log(line.rstrip())

    reader = threading.Thread(target=read, name=f"what {name} prints", daemon=True)
    reader.start()
    try:
        code = popen.wait(limit)
    except subprocess.TimeoutExpired:
        return LATE, f"ended at its limit of {limit:.0f} s"
    finally:
        _end(popen)
        reader.join(_DRAIN)  # a process that left the group may hold the pipe for ever
    if code:
        last = next((one for one in reversed(said) if one.strip()), "")
        return FAILED, last.strip()[:_LAST] or f"ended with exit code {code}"
    return DONE, ""


def _environment(limit: float, rehearse: bool) -> Mapping[str, str]:
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "OPENBLAS_NUM_THREADS": "1",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # or JAX takes three quarters of the memory
        "SCRIPTS_GPU_UNTIL": str(time.time() + limit),
        "SCRIPTS_GPU_REHEARSE": "1" if rehearse else "",
    }


def _end(popen: subprocess.Popen[str]) -> None:
    """End a process and those that it started, which are of its group.

    One that a driver holds does not end: the parts after it are not to wait for it.
    """
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(popen.pid, signal.SIGKILL)
    elif popen.poll() is None:
        popen.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        popen.wait(_DRAIN)
