"""Build hook: compiles the C twin of a step where there is a compiler; without one goes on.

STACKED_TRAINER_REQUIRE_COMPILED=1 makes a missing compiler an error, for releases.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FLAGS = ["-std=c99", "-D_GNU_SOURCE", "-O3", "-fPIC", "-fvisibility=hidden", "-fno-math-errno"]
FLAGS += ["-fno-trapping-math", "-Wall"]
X86 = {
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma"],
    "avx2": ["-mavx2", "-mfma"],
    "baseline": [],
}
X86["avx512"].append("-mprefer-vector-width=512")
CONTRACT = {"step.c": "off", "products.c": "fast"}
ONCE = "dispatch.c", "ranking.c"  # for the least instruction set


def compile_step(folder: Path) -> Path | None:
    """Compile the library beside its sources; None without a compiler, or where it fails."""
    out = folder / "_step.so"
    out.unlink(missing_ok=True)  # of an earlier version, perhaps
    cc = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if cc is None or os.name == "nt":
        print("no C compiler: NumPy runs the steps", file=sys.stderr)
        return None
    sets = X86 if platform.machine() in ("x86_64", "AMD64") else {"baseline": []}
    with tempfile.TemporaryDirectory() as place:
        objects = []
        for name, more in sets.items():
            for source, contract in CONTRACT.items():
                made = Path(place) / f"{name}_{source}.o"
                how = [f"-DSET={name}", f"-ffp-contract={contract}", *FLAGS, *more]
                objects.append((made, [cc, *how, "-c", str(folder / source), "-o", str(made)]))
        for source in ONCE:
            made, how = Path(place) / f"{source}.o", ["-ffp-contract=off", *FLAGS]
            objects.append((made, [cc, *how, "-c", str(folder / source), "-o", str(made)]))
        commands = [command for _, command in objects]
        shared = "-dynamiclib" if sys.platform == "darwin" else "-shared"
        commands.append([cc, shared, "-s", *(str(made) for made, _ in objects), "-o", str(out)])
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(" ".join(command), done.stderr, sep="\n", file=sys.stderr)
                return None
    return out


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the library to the wheel, which is then of this platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say what is in the wheel."""
        made = compile_step(Path(self.root) / "trainer" / "model")
        if made is not None:
            tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["tag"] = f"py3-none-{tag}"
            build_data["pure_python"] = False
            build_data["artifacts"].append("trainer/model/_step.so")
        elif os.environ.get("STACKED_TRAINER_REQUIRE_COMPILED") == "1":
            raise RuntimeError("STACKED_TRAINER_REQUIRE_COMPILED=1, and nothing was compiled")


if __name__ == "__main__":
    print(compile_step(Path(__file__).parent / "trainer" / "model"))
