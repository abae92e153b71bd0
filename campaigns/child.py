"""The process of one run of a campaign: `python -m campaigns.child DEVICE MEMORY ARGUMENTS ...`."""

from __future__ import annotations

import sys


def main(argv: list[str]) -> int:
    """Run the program, with the device and the memory that the campaign wants it to have."""
    from trainer import cli, device

    kind, memory, *arguments = argv
    if kind == "double":
        from benchmarks.gpu.bench import open_double

        open_double()
    if int(memory):
        device.Device.memory = lambda self: int(memory)  # type: ignore[method-assign]
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
