"""Seconds of a first run, which compiles, of the next ones, and of `warm`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.gpu.bench import ROOT, Bench
from trainer.catalog import MODELS
from trainer.cli import main
from trainer.workflow import warm

_CONFIG = """model: softmax
data: {{train: {{synthetic: {{rows: {rows}, columns: {columns}, outputs: 10}}}}}}
optimizer: {{name: sgd, batch_size: 256, epochs: 2}}
"""


def cold(bench: Bench, command: str = "") -> None:
    """Time whole commands in processes of their own, with a cache of kernels that begins empty."""
    if command:
        if bench.tiny:  # `warm` has one model, or it would be most of a rehearsal
            setattr(warm, "MODELS", {"linear": MODELS["linear"]})  # noqa: B010
        sys.exit(main(command.split("\n")))
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "run.yaml"
        rows, columns = (256, 12) if bench.tiny else (60_000, 784)
        config.write_text(_CONFIG.format(rows=rows, columns=columns), encoding="utf-8")
        for cache, names in (
            ("first", ("a first run, which compiles", "a second run")),
            ("warmed", ("`warm`", "a run after it")),
        ):
            for name in names:
                words = ["warm"] if name == "`warm`" else ["run", str(config)]
                if len(words) > 1:
                    words += ["--out", str(Path(folder) / name.replace(" ", "-"))]
                _time(bench, name, words, Path(folder) / cache)


def _time(bench: Bench, name: str, words: list[str], cache: Path) -> None:
    """Note the seconds of a command from its start to its end."""
    if bench.left() < 3:
        bench.check(name, False, "no time was left")
        return
    command = [sys.executable, "-m", "benchmarks.gpu.child", "cold", os.devnull, "\n".join(words)]
    begun = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"CUPY_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    seconds = time.perf_counter() - begun
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["–"])[-1]
        bench.check(name, False, f"exit code {done.returncode}: {last}")
        return
    files = [one for one in cache.rglob("*") if one.is_file()] if cache.exists() else []
    bench.value(name, seconds, "s", f"{len(files)} files in the cache after it")
