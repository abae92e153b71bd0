"""The process of one run of a campaign: `python -m campaigns.child DEVICE MEMORY ARGUMENTS ...`."""

from __future__ import annotations

import os
import sys


def main(argv: list[str]) -> int:
    """Run the program, with the device and the memory that the campaign wants it to have."""
    from trainer import cli, device

    kind, memory, *arguments = argv
    if kind == "double":
        os.environ["SCRIPTS_GPU_REHEARSE"] = "1"
        from benchmarks.gpu.bench import open_device

        open_device()
    if int(memory):
        device.Device.memory = lambda self: int(memory)  # type: ignore[method-assign]
    return cli.main(arguments)


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
    except KeyboardInterrupt:  # before anything was there to listen to it, as `python -m trainer`
        code = 130
    sys.exit(code)
