"""The process of one part: `python -m benchmarks.gpu.child PART FILE [ARGUMENTS]`.

With further arguments it is one of the processes that a part shares its work out to.
"""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from pathlib import Path

from benchmarks.gpu.bench import Bench, open_device
from benchmarks.gpu.parts import PARTS
from trainer.errors import UserError


def main(argv: list[str]) -> None:
    """Open the device, and do the part."""
    name, file, *arguments = argv
    module, function = PARTS[name].target.split(":")
    device = open_device()
    bench = Bench(name, Path(file), device)
    getattr(import_module(module), function)(bench, *arguments)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:  # such as: there is no GPU
        sys.exit(str(error))
    except Exception as error:
        traceback.print_exc()
        first = (str(error).strip().splitlines() or ["–"])[0]
        sys.exit(f"{type(error).__name__}: {first}")
