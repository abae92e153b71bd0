"""What a part is given: the device, a clock and the file of results."""

from __future__ import annotations

import contextlib
import inspect
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.gpu import records
from trainer import device as devices
from trainer.device import Device

ROOT = Path(__file__).resolve().parents[2]
_LEAST = 0.05  # seconds of calls that are timed together
DOUBLE_BYTES = 2**31


def rehearsing() -> bool:
    """Whether everything is tiny, and the double of CuPy in place of a GPU."""
    return bool(os.environ.get("SCRIPTS_GPU_REHEARSE"))


def open_device() -> Device:
    """The GPU; in a rehearsal the double, which whoever asks for a GPU gets from then on.

    Raises:
        DeviceError: no GPU can be used.
    """
    if not rehearsing():
        return devices.choose("gpu")
    sys.path.append(str(ROOT / "tests"))
    found = double(DOUBLE_BYTES)
    devices.choose = lambda wanted: found if wanted != "cpu" else devices.cpu("asked for")
    return found


def double(memory: int) -> Device:
    """A device that is the double, with so many bytes; the CUDA text runs in it where g++ is."""
    module, twin = import_module("double"), import_module("shim").TWIN
    # of a GPU that can do all, where what it can do hangs on its compute capability
    known = inspect.signature(devices.from_cupy).parameters
    settings: dict[str, Any] = {"twin": twin} | ({"major": 9} if "major" in known else {})
    return devices.from_cupy(module.Cupy(memory), "the double of CuPy", **settings)


class Bench:
    """What one part has.

    Attributes:
        device: the GPU.
        xp: its array module.
        tiny: whether this is a rehearsal.
    """

    def __init__(self, part: str, file: Path, device: Device) -> None:
        self.part, self._file, self.device, self.xp = part, file, device, device.xp
        self.tiny = rehearsing()

    # --- what is said ---

    def value(self, name: str, value: float, unit: str, words: str = "") -> None:
        """Note a number."""
        self._add({"kind": "value", "name": name, "value": float(value), "unit": unit}, words)

    def check(self, name: str, ok: bool, words: str = "") -> None:
        """Note whether what must hold does."""
        self._add({"kind": "check", "name": name, "ok": bool(ok)}, words)

    def note(self, name: str, words: str) -> None:
        """Note what else there is to say."""
        self._add({"kind": "note", "name": name}, words)

    def _add(self, record: dict[str, Any], words: str) -> None:
        record |= {"part": self.part, "words": words}
        records.append(self._file, record)
        print(records.line(record), flush=True)

    @contextlib.contextmanager
    def attempt(self, name: str) -> Iterator[None]:
        """Note as a check that fails what raises within, and go on after it."""
        try:
            yield
        except Exception as error:  # of whatever library
            first = (str(error).strip().splitlines() or ["–"])[0]
            self.check(name, False, f"{type(error).__name__}: {first}")

    # --- time ---

    def left(self) -> float:
        """Seconds until this part is ended."""
        return float(os.environ.get("SCRIPTS_GPU_UNTIL", time.time() + 60)) - time.time()

    def wait(self) -> None:
        """Wait for the device."""
        if not self.tiny:
            self.xp.cuda.runtime.deviceSynchronize()

    def seconds(self, call: Callable[[], object], least: float = _LEAST) -> tuple[float, float]:
        """Seconds of a call: until the host has it behind it, and until the device has.

        It is called once before, and then so often that all calls take `least` seconds.
        """
        call()
        self.wait()
        start = time.perf_counter()
        call()
        self.wait()
        once = time.perf_counter() - start
        count = 2 if self.tiny else int(min(2000, max(3, least / max(once, 1e-7))))
        start = time.perf_counter()
        for _ in range(count):
            call()
        host = time.perf_counter() - start
        self.wait()
        return host / count, (time.perf_counter() - start) / count

    def once(self, call: Callable[[], object]) -> float:
        """Seconds of one call, until the device has it behind it."""
        self.wait()
        start = time.perf_counter()
        call()
        self.wait()
        return time.perf_counter() - start

    # --- processes ---

    def share_out(self, cases: Sequence[str]) -> None:
        """Do each case in a process of its own, some at a time: the part with it as an argument.

        What they print goes where this process prints. A case that fails is a check that does not
        hold.
        """
        at_once = max(1, min(len(cases), (os.cpu_count() or 1) // 2, 8))
        waiting, running = list(cases), dict[str, Any]()
        while waiting or running:
            while waiting and len(running) < at_once:
                case = waiting.pop(0)
                command = [sys.executable, "-m", "benchmarks.gpu.child", self.part]
                running[case] = subprocess.Popen([*command, str(self._file), case], cwd=ROOT)
            for case in [case for case, popen in running.items() if popen.poll() is not None]:
                if code := running.pop(case).returncode:
                    self.check(case, False, f"its process ended with exit code {code}")
            time.sleep(0.02)
