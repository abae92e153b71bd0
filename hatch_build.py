"""Build hook: compiles the C twin of a step where there is a compiler; without one goes on.

The compiler is `CC`, or the first of cc, gcc, clang and zig on the PATH; with ARCHFLAGS it compiles
for another Mac. STACKED_TRAINER_REQUIRE_COMPILED=1 makes a build without it an error, for releases.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WINDOWS, MAC = sys.platform == "win32", sys.platform == "darwin"
LIBRARY = "_step.dll" if WINDOWS else "_step.so"
COMPILERS = ("clang", "zig", "gcc", "cc") if WINDOWS else ("cc", "gcc", "clang", "zig")
FLAGS = ["-std=c99", "-D_GNU_SOURCE", "-O3", "-fvisibility=hidden", "-fno-math-errno"]
FLAGS += ["-fno-trapping-math", "-Wall", "-Wextra", *([] if WINDOWS else ["-fPIC"])]
X86 = {
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma"],
    "avx2": ["-mavx2", "-mfma"],
    "baseline": [],
}
X86["avx512"].append("-mprefer-vector-width=512")
CONTRACT = {"step.c": "off", "squares.c": "off", "products.c": "fast", "sparse.c": "fast"}
ONCE = "dispatch.c", "ranking.c"  # for the least instruction set


class NotCompiledError(Exception):
    """Why there is no library, in a sentence."""


def compiler() -> list[str]:
    """The command of the compiler.

    Raises:
        NotCompiledError: there is none.
    """
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"], posix=not WINDOWS)
    found = next((name for name in COMPILERS if shutil.which(name)), None)
    if found is None:
        raise NotCompiledError(f"there is no C compiler: none of {', '.join(COMPILERS)} is found")
    return [found, "cc"] if found == "zig" else [found]


def sources_digest(folder: Path) -> str:
    """What trainer/model/compiled.py asks a library for: of the C files beside it."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.[ch]")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def instruction_sets(cc: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The sets to compile for, each with its flags, and the flags of the processor."""
    archs = re.findall(r"-arch (\S+)", os.environ.get("ARCHFLAGS", "")) if MAC else []
    of_processor = [flag for one in archs for flag in ("-arch", one)]
    machines = set(archs or [platform.machine()])
    sets = X86 if machines <= {"x86_64", "AMD64"} else {"baseline": []}
    if WINDOWS and not _is_clang(cc):  # wide vectors on its stack are not aligned: GCC bug 54412
        sets = {"baseline": []}
    return sets, of_processor


def _is_clang(cc: list[str]) -> bool:
    return "__clang__" in _run([*cc, "-dM", "-E", "-x", "c", os.devnull])


def _run(command: list[str]) -> str:
    """What the compiler writes, in whatever encoding it has."""
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        raise NotCompiledError(f"{command[0]}: {error.strerror}") from error
    said = done.stderr.decode(errors="replace")
    if done.returncode:
        print(shlex.join(command), said, sep="\n", file=sys.stderr)
        raise NotCompiledError(f"{command[0]} failed; what it says is above")
    return done.stdout.decode(errors="replace")


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    """On Windows a library that a process has loaded stays; a folder may be read-only."""
    try:
        yield
    except OSError as error:
        raise NotCompiledError(f"{out}: {error.strerror}") from error


def compile_step(folder: Path) -> Path:
    """Compile the library beside its sources.

    Raises:
        NotCompiledError: there is no compiler, or it fails.
    """
    out = folder / LIBRARY
    with _writing(out):
        out.unlink(missing_ok=True)  # of an earlier version, perhaps
    cc = compiler()
    sets, of_processor = instruction_sets(cc)
    flags = [*FLAGS, *of_processor]
    with tempfile.TemporaryDirectory() as place:
        commands = {}
        for name, more in sets.items():
            for source, contract in CONTRACT.items():
                how = [f"-DSET={name}", f"-ffp-contract={contract}", *flags, *more]
                made = str(Path(place) / f"{name}_{source}.o")
                commands[made] = [*cc, *how, "-c", str(folder / source), "-o", made]
        once = [f"-DSOURCES={sources_digest(folder)}", "-ffp-contract=off", *flags]
        for source in ONCE:
            made = str(Path(place) / f"{source}.o")
            commands[made] = [*cc, *once, "-c", str(folder / source), "-o", made]
        with ThreadPoolExecutor(os.cpu_count()) as side_by_side:
            list(side_by_side.map(_run, commands.values()))
        shared = ["-dynamiclib"] if MAC else ["-shared", "-s"]
        linked = Path(place) / LIBRARY  # for Windows zig leaves an import library beside it
        _run([*cc, *shared, *of_processor, *commands, "-o", str(linked)])
        with _writing(out):
            shutil.copy(linked, out)
    return out


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the library to the wheel, which is then of this platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say what is in the wheel."""
        try:
            made = compile_step(Path(self.root) / "trainer" / "model")
        except NotCompiledError as why:
            if os.environ.get("STACKED_TRAINER_REQUIRE_COMPILED") == "1":
                sys.exit(f"STACKED_TRAINER_REQUIRE_COMPILED=1, but the step is not compiled: {why}")
            print(f"the step is not compiled, NumPy runs it: {why}", file=sys.stderr)
            return
        own = self.build_config.builder.get_best_matching_tag()  # of a library for this Python
        build_data["tag"] = f"py3-none-{own.rpartition('-')[2]}"
        build_data["pure_python"] = False
        build_data["artifacts"].append(made.relative_to(self.root).as_posix())


if __name__ == "__main__":
    try:
        print(compile_step(Path(__file__).parent / "trainer" / "model"))
    except NotCompiledError as why:
        sys.exit(f"the step is not compiled: {why}")
