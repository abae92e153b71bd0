"""The arrows of the house: imports run downwards only, and nothing heavy comes early."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import trainer

ROOT = Path(trainer.__file__).parent

# From the ground up; rooms of one line do not see each other. `a/b` names a module within a room.
STOREYS = [
    ["errors"],
    ["catalog", "streams", "text"],
    ["device", "console", "config"],
    ["data", "model", "optim"],
    ["train", "explain"],
    ["solvers"],
    ["predict"],
    ["runs", "wording"],
    ["sweep", "report"],
    ["workflow"],
    ["cli"],
    ["__main__"],
]
STOREY = {room: level for level, rooms in enumerate(STOREYS) for room in rooms}
# What is still to be untied.
KNOTS = {("train", "solvers")}
# `train` stands on the three below it; `model` and `optim` know arrays and numbers only.
FORBIDDEN = {
    "model": {"config", "data", "device", "optim", "folder"},
    "optim": {"config", "data", "device", "model", "folder"},
    "train": {"config", "folder"},
    "data": {"model", "optim"},
    "explain": {"config", "data", "device", "optim"},
    "report": {"build", "config", "device", "optim", "sweep", "train"},  # it reads run folders
    "wording": {"config", "console", "data", "model", "predict", "runs", "sweep", "train"},  # dicts
}
HEAVY = ("numpy", "cupy", "plotly", "sklearn", "pydantic", "pyarrow", "rich", "yaml", "safetensors")


def modules():
    return sorted(ROOT.rglob("*.py"))


def room(module: str) -> str:
    return module.split(".")[1]


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def runtime_imports(path: Path):
    """Every `trainer.…` module that a file imports, save under TYPE_CHECKING."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("trainer."))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            module = node.module or ""
            if module.split(".")[0] == "trainer":
                inner = [f"{module}.{name.name}" for name in node.names]
                known = {dotted(path) for path in modules()}
                yield from (name if name in known else module for name in inner)


def edges():
    return {
        (dotted(path), target)
        for path in modules()
        if path != ROOT / "__init__.py"
        for target in runtime_imports(path)
        if target != "trainer"
    }


def test_every_room_has_a_storey():
    rooms = {room(dotted(path)) for path in modules() if path != ROOT / "__init__.py"}
    assert rooms == set(STOREY)


def test_arrows_run_down():
    found = edges()
    assert len(found) > 60  # the reader reads
    up = [
        f"{source} imports {target}"
        for source, target in sorted(found)
        if room(source) != room(target)
        and STOREY[room(source)] <= STOREY[room(target)]
        and (room(source), room(target)) not in KNOTS
    ]
    assert not up


def test_the_mathematics_sees_arrays_and_numbers_only():
    seen = [
        f"{source} imports {target}"
        for source, target in sorted(edges())
        if room(target) in FORBIDDEN.get(room(source), set())
    ]
    assert not seen


def test_no_cycle_within_a_room():
    graph: dict[str, set[str]] = {}
    for source, target in edges():
        graph.setdefault(source, set()).add(target)
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail, module])
        if module not in done:
            for target in graph.get(module, ()):
                visit(target, (*trail, module))
            done.add(module)

    for module in list(graph):
        visit(module, ())


def test_only_device_imports_cupy():
    having = [
        path.name
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import) and any(name.name == "cupy" for name in node.names)
    ]
    assert having == ["device.py"]


@pytest.mark.parametrize("code", ["import trainer", "import trainer.cli"])
def test_nothing_heavy_is_imported_early(code):
    loaded = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "trainer" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_public_names():
    assert sorted(trainer.__all__) == [
        "DataError",
        "DeviceError",
        "DiskError",
        "FittedModel",
        "Run",
        "RunFolderError",
        "Spec",
        "SpecError",
        "TrainerError",
        "UserError",
        "load_model",
        "load_run",
        "load_spec",
        "run",
    ]
    for name in trainer.__all__:
        assert callable(getattr(trainer, name))
