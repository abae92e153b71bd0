"""Write the tables of counts and estimates of docs/gpu_counts.md and docs/gpu.md anew.

Counts are those of the double of CuPy, as the tables of its tests have them: each row there is
asserted of what runs. The text around the tables is written by hand. A table stands between
`<!-- counts of steps -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "gpu_counts.md", ROOT / "docs" / "gpu.md"
_TABLE = re.compile(r"(<!-- counts of ([\w ]+) -->\n).*?(?=<!-- end -->)", re.DOTALL)
_TESTS = "", "train", "solvers"

# As they were first counted, in the order of the tests: of rounds of L-BFGS, of Newton's method
# and of certificates. Steps were then what they are function by function.
ROUNDS_BEFORE = {
    ("linear", 0): ((12, 4, 143, 237), (7, 3, 42, 90)),
    ("linear", 0.01): ((13, 4, 203, 303), (8, 3, 88, 140)),
    ("logistic", 0): ((12, 4, 146, 251), (7, 3, 45, 104)),
    ("logistic", 0.01): ((13, 4, 203, 313), (8, 3, 88, 150)),
    ("softmax", 0): ((12, 4, 154, 255), (7, 3, 45, 98)),
    ("softmax", 0.01): ((13, 4, 205, 310), (8, 3, 88, 144)),
    ("poisson", 0): ((12, 4, 146, 242), (7, 3, 45, 95)),
    ("poisson", 0.01): ((13, 4, 203, 304), (8, 3, 88, 141)),
}
NEWTON_BEFORE = {
    ("linear", False): ((81, 2, 58, 5), (65, 1, 59, 2)),
    ("linear", True): ((131, 2, 104, 6), (106, 1, 100, 2)),
    ("logistic", False): ((114, 2, 52, 6), (185, 3, 132, 11)),
    ("logistic", True): ((154, 4, 91, 10), (250, 3, 198, 11)),
    ("softmax", False): ((126, 2, 63, 6), (237, 3, 180, 11)),
    ("softmax", True): ((185, 4, 113, 11), (429, 5, 346, 16)),
    ("poisson", False): ((102, 2, 52, 6), (274, 9, 202, 19)),
    ("poisson", True): ((142, 4, 91, 10), (364, 9, 294, 19)),
}

# What estimates suppose, none of it measured: of an H200, and of the host beside it.
_BANDWIDTH = 4.3e12  # bytes a second
_FLOP = {"float32": 60e12, "tf32": 400e12, "float64": 60e12}  # operations a second
_FUNCTION, _PRODUCT, _KERNEL = 5.0, 14.0, 10.0  # µs of the host a launch
_AROUND = 100.0  # µs of the host for the views and the Python of a step by functions
_NODE = 1.7  # µs of the device a kernel
_ROWS, _BATCH, _FEATURES, _OUTPUTS = 60_000, 256, 784, 10
_SOLVED = {  # N, D, C, K
    "60,000 x 784, 10 classes, 96 penalties": (60_000, 784, 10, 96),
    "11,000,000 x 28, 2 classes, 64 penalties": (11_000_000, 28, 1, 64),
    "1,280,000 x 768, 1,000 classes, 96 penalties": (1_280_000, 768, 1000, 96),
}
_H200 = 139 * 2**30  # bytes

Row = Sequence[str]


def with_tables(page: str) -> str:
    """Return the page with each table as it is counted."""
    return _TABLE.sub(lambda found: found[1] + "\n" + TABLES[found[2]]() + "\n", page)


def _tests(name: str) -> Any:
    for folder in _TESTS:
        path = str(ROOT / "tests" / folder)
        if path not in sys.path:
            sys.path.append(path)
    return import_module(name)


def _table(head: Row, rows: Iterable[Row]) -> str:
    """A table whose first column is words and whose others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _steps() -> str:
    counted = _tests("test_step_launches")
    head = ["model, optimizer", "launches by functions", "losses alone", "by kernels"]
    head += ["bytes by functions", "losses alone", "by kernels"]
    rows = []
    for case, (whole, loss) in counted.STEPS.items():
        kernels = 5 + (case[-1] == "lars")
        numbers = (whole[0], loss[0], kernels, whole[1], loss[1], counted.FUSED[case])
        rows.append([_named(case), *(f"{number:,}" for number in numbers)])
    return _table(head, rows)


def _named(case: tuple[str, str, str]) -> str:
    model, loss, optimizer = case
    return f"{model}{'' if loss == 'auto' else ' by squared error'}, {optimizer}"


def _settings() -> str:
    counted = _tests("test_step_launches")
    head = ["softmax, logged whole", "sgd", "nesterov", "adam", "by kernels"]
    rows = [
        [name, *(str(launches) for launches, _ in by), str(kernels)]
        for name, (_, *by, kernels) in counted.SETTINGS.items()
    ]
    return _table(head, rows)


def _beside() -> str:
    counted = _tests("test_step_launches")
    found = {f"an evaluation, {model}": one for model, one in counted.EVALUATIONS.items()}
    found |= {f"beside its steps, {what}": one for what, (_, one) in counted.BESIDE.items()}
    head = ["", "launches", "waits", "allocations", "copies"]
    return _table(head, ([name, *map(str, reversed(_waits(one)))] for name, one in found.items()))


def _waits(counts: Sequence[int]) -> Sequence[int]:
    """(copies, allocations, waits, launches) of (copies, waits, allocations, launches)."""
    copies, waits, allocations, launches = counts
    return copies, allocations, waits, launches


def _cell(launches: int, waits: int, allocations: int, copies: int) -> str:
    return f"{launches} / {waits} / {allocations} / {copies}"


def _rounds() -> str:
    counted = _tests("test_round_launches")
    head = ["model", "first counted", "by functions", "by kernels"]
    head += ["line search: first counted", "by functions", "by kernels"]
    rows = []
    for case in counted.ROUNDS:
        ways = ROUNDS_BEFORE[case], counted.ROUNDS[case], counted.KERNELS[case]
        cells = [_cell(*reversed(_waits(way[of]))) for of in (0, 1) for way in ways]
        rows.append([f"{case[0]}{', l1' if case[1] else ''}", *cells])
    return _table(head, rows)


def _newton() -> str:
    counted = _tests("test_newton_launches")
    head = ["model", "a round, first counted", "now", "a certificate, first counted", "now"]
    rows = []
    for case, (_, now, certificate) in counted.COUNTS.items():
        before, then = NEWTON_BEFORE[case]
        cells = [_cell(*one) for one in (before, now, then, certificate)]
        rows.append([f"{case[0]}{', l1' if case[1] else ''}", *cells])
    return _table(head, rows)


def _coordinates() -> str:
    counted = _tests("test_newton_launches")
    head = ["coordinates of the rows", "launches", "waits", "allocations", "copies"]
    return _table(head, ([n, *map(str, one)] for n, (_, one) in counted.COORDINATES.items()))


# --- estimates ------------------------------------------------------------------------------------


def _estimated_steps() -> str:
    head = ["columns", "by functions", "by kernels", "in graphs", "in graphs, TF32"]
    rows = []
    launches = _tests("test_step_launches").STEPS["softmax", "auto", "sgd"][0][0]
    for K in (1, 16, 64, 256, 1024):
        by_functions = _FUNCTION * (launches - 2) + 2 * _PRODUCT + _AROUND
        by_kernels = 3 * _KERNEL + 2 * _PRODUCT
        least, tf32 = (_on_device(K, precision) for precision in ("float32", "tf32"))
        # functions go over scores and weights again and again
        slow = _on_device(K, "float32", passes=3) + _NODE * (launches - 5)
        found = max(by_functions, slow), max(by_kernels, least), least, tf32
        rows.append([f"{K:,}", *(f"{one:.0f}" for one in found)])
    return _table(head, rows)


def _on_device(K: int, precision: str, passes: int = 1) -> float:
    """µs of a step of softmax by sgd: its kernels, its products, the bytes that it moves."""
    width = _OUTPUTS * K
    flop = 4.0 * _BATCH * _FEATURES * width
    rows, scores, weights = _BATCH * _FEATURES, _BATCH * width, _FEATURES * width
    products = 2 * (rows + weights + scores)
    moved = 2 * rows + products + passes * (2 * scores + 5 * weights)
    return 5 * _NODE + 1e6 * (flop / _FLOP[precision] + 4 * moved / _BANDWIDTH)


def _estimated_rounds() -> str:
    from trainer.device import Sizes

    launches = _tests("test_round_launches").KERNELS["softmax", 0][0][3]
    head = ["problem", "chunks of rows", "launches a round", "ms a round"]
    rows = []
    for name, (N, D, C, K) in _SOLVED.items():
        chunk = Sizes.of_gpu(_H200).chunk_bytes // (8 * (D + C * K))
        chunks = -(-N // chunk)
        count = launches + 3 * (chunks - 1)  # two products and the errors of each
        flop, moved = 4.0 * N * D * C * K, 8 * (2.0 * N * D + 4.0 * N * C * K)
        device = 1e3 * (flop / _FLOP["float64"] + moved / _BANDWIDTH)
        host = 1e-3 * _KERNEL * count
        rows.append([name, f"{chunks:,}", f"{count:,}", f"{max(host, device):,.1f}"])
    return _table(head, rows)


TABLES: dict[str, Callable[[], str]] = {
    "steps": _steps,
    "settings of a step": _settings,
    "what is beside steps": _beside,
    "rounds": _rounds,
    "Newton rounds and certificates": _newton,
    "coordinates": _coordinates,
    "estimated steps": _estimated_steps,
    "estimated rounds": _estimated_rounds,
}


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(with_tables(path.read_text("utf-8")), "utf-8")
