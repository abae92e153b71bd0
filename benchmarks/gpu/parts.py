"""What there is to do with ten minutes of a GPU, most valuable first."""

from __future__ import annotations

from typing import NamedTuple


class Part(NamedTuple):
    """A part.

    Attributes:
        title: of its section.
        target: "module:function" that does it.
        needs: seconds without which it is not begun.
        limit: seconds after which it is ended.
    """

    title: str
    target: str
    needs: float
    limit: float


_HERE = "benchmarks.gpu"
PARTS = {
    "device": Part("The device", f"{_HERE}.right:device", 5, 30),
    "right": Part("Weights beside the CPU's", f"{_HERE}.right:right", 20, 120),
    "stacking": Part("A column and its company", f"{_HERE}.right:stacking", 10, 40),
    "tests": Part("Tests on the device", f"{_HERE}.tests:tests", 20, 90),
    "kernels": Part("Kernels at six shapes", f"{_HERE}.kernels:kernels", 10, 40),
    "primitives": Part("What calls cost", f"{_HERE}.primitives:primitives", 10, 40),
    "steps": Part("Steps", f"{_HERE}.steps:steps", 15, 90),
    "peers": Part("Peers on the same GPU", f"{_HERE}.peers:peers", 30, 110),
    "higgs": Part("11,000,000 rows of 28", f"{_HERE}.large:higgs", 20, 60),
    "imagenet": Part("1,280,000 x 768 x 1,000, K = 96", f"{_HERE}.large:imagenet", 25, 60),
    "memory": Part("Memory", f"{_HERE}.memory:memory", 10, 30),
    # `warm` has some 250 kernels compiled: what is left of all minutes
    "cold": Part("A first run and a second", f"{_HERE}.cold:cold", 15, 200),
}
