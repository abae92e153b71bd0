"""The arrows of the house: imports run downwards only, and nothing heavy comes early.

Every import counts, those under TYPE_CHECKING and those inside functions too: whoever reads a file
follows them all.
"""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest

import trainer

ROOT = Path(trainer.__file__).parent

# From the ground up; rooms on one storey do not see each other.
STOREYS = [
    ["errors"],
    ["catalog", "streams", "text", "machine"],
    ["device", "console", "config"],
    ["data", "model", "optim"],
    ["train", "predict", "runs", "statistics"],
    ["solvers", "explain", "starter", "wording"],
    ["sweep", "report"],
    ["workflow", "arguments"],
    ["cli"],
    ["__main__"],
]
STOREY = {room: level for level, rooms in enumerate(STOREYS) for room in rooms}
BELOW_WORDING = {room for room, level in STOREY.items() if level < STOREY["wording"]}
# What a room stands on and does not see all the same.
FORBIDDEN = {
    "model": {"config", "device"},  # arrays, numbers and callables
    "optim": {"config", "device"},
    "train": {"config"},
    "solvers": {"config", "data", "runs", "predict"},
    "statistics": {"config", "data", "device", "console"},  # arrays and callables
    "explain": {"config", "data", "device", "optim"},
    "wording": BELOW_WORDING - {"errors", "catalog", "text"},  # dicts
    "report": {"config", "data", "device", "optim", "train", "solvers"},  # run folders
}
DEEPEST = 14  # modules in the longest chain of imports: 23 before the rooms were tidied
IN_FUNCTIONS = 64  # imports that wait until a function needs them
LOOSE = 8  # modules that stand in no room
LONG, LONGEST = 450, 500  # lines of a file
LONG_FILES: dict[str, str] = {}  # over LONG: a sentence that says why
LONGEST_FUNCTION, P90_OF_FUNCTIONS = 60, 20  # lines without the docstring
HEAVY = ("numpy", "cupy", "sklearn", "pydantic", "pyarrow", "rich", "yaml", "safetensors")


class Import(NamedTuple):
    """One `trainer.…` module that a module imports."""

    source: str
    target: str
    for_types: bool  # under TYPE_CHECKING
    in_function: bool


def room(module: str) -> str:
    return module.split(".")[1]


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package by its dotted name, parsed."""
    return {dotted(path): ast.parse(path.read_text("utf-8")) for path in sorted(ROOT.rglob("*.py"))}


FUNCTIONS = ast.FunctionDef, ast.AsyncFunctionDef


def functions() -> list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    return [
        (module, node)
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, FUNCTIONS)
    ]


def statements(node: ast.AST, for_types=False, in_function=False):
    """Every import statement below a node, with where it stands."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, for_types, in_function
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for inner in child.body:
                yield from statements(ast.Module([inner], []), True, in_function)
            for inner in child.orelse:
                yield from statements(ast.Module([inner], []), for_types, in_function)
        else:
            yield from statements(child, for_types, in_function or isinstance(child, FUNCTIONS))


def targets(statement: ast.Import | ast.ImportFrom) -> list[str]:
    """The modules of the package that a statement imports."""
    if isinstance(statement, ast.Import):
        named = [name.name for name in statement.names]
    else:
        assert statement.level == 0, f"write imports in full: {ast.unparse(statement)}"
        inner = [f"{statement.module}.{name.name}" for name in statement.names]
        named = [name if name in modules() else str(statement.module) for name in inner]
    return [name for name in named if name.split(".")[0] == "trainer"]


@functools.cache
def imports() -> list[Import]:
    """Every import of the package's own modules by each other."""
    return [
        Import(source, target, for_types, in_function)
        for source, tree in modules().items()
        for statement, for_types, in_function in statements(tree)
        for target in targets(statement)
        if target != source
    ]


def graph(*, for_types: bool) -> dict[str, list[str]]:
    found = defaultdict(set)
    for one in imports():
        if for_types or not one.for_types:
            found[one.source].add(one.target)
    return {source: sorted(targets) for source, targets in found.items()}


def between_rooms() -> list[Import]:
    """Imports of other rooms, `trainer` itself left out on both sides: it names what is public."""
    within = [one for one in imports() if "trainer" not in (one.source, one.target)]
    return [one for one in within if room(one.source) != room(one.target)]


def test_the_reader_reads():
    assert len(modules()) > 100
    assert len(imports()) > 300
    assert Import("trainer", "trainer.config", True, False) in imports()
    assert any(one.in_function and one.source == "trainer.cli" for one in imports())
    tree = ast.parse(
        "def f():\n  if TYPE_CHECKING:\n    import trainer.cli\n  else: import trainer"
    )
    assert [(targets(s), *where) for s, *where in statements(tree)] == [
        (["trainer.cli"], True, True),
        (["trainer"], False, True),
    ]


def test_every_room_has_a_storey():
    assert {room(module) for module in modules() if module != "trainer"} == set(STOREY)


def test_arrows_run_down():
    found = between_rooms()
    assert len(found) > 200
    up = {
        f"{one.source} imports {one.target}"
        for one in found
        if STOREY[room(one.source)] <= STOREY[room(one.target)]
    }
    assert up == set()


def test_the_mathematics_sees_arrays_and_the_report_run_folders_only():
    assert set(FORBIDDEN) | set().union(*FORBIDDEN.values()) <= set(STOREY)
    assert all(STOREY[a] > STOREY[b] for a, below in FORBIDDEN.items() for b in below)
    seen = {
        f"{one.source} imports {one.target}"
        for one in between_rooms()
        if room(one.target) in FORBIDDEN.get(room(one.source), set())
    }
    assert seen == set()


@pytest.mark.parametrize("name", ["model", "optim", "solvers"])
def test_the_mathematics_asks_no_device_for_its_name(name):
    trees = [tree for module, tree in modules().items() if module.startswith(f"trainer.{name}.")]
    assert trees
    read = [node.attr for t in trees for node in ast.walk(t) if isinstance(node, ast.Attribute)]
    assert "xp" in read or name != "solvers"
    assert "kind" not in read


def circle(graph: dict[str, list[str]]) -> list[str]:
    """The modules of one circle, the first again at the end; empty where there is none."""
    done: set[str] = set()

    def visit(module: str, trail: list[str]) -> list[str]:
        if module in trail:
            return [*trail[trail.index(module) :], module]
        if module not in done:
            for target in graph.get(module, []):
                if found := visit(target, [*trail, module]):
                    return found
            done.add(module)
        return []

    return next((found for module in list(graph) if (found := visit(module, []))), [])


def test_a_circle_is_found():
    assert circle({"a": ["b", "c"], "b": ["d"], "c": ["d"]}) == []
    assert circle({"a": ["b"], "b": ["c", "d"], "d": ["e"], "e": ["b"]}) == ["b", "d", "e", "b"]


@pytest.mark.parametrize("for_types", [False, True])
def test_no_circle(for_types):
    assert circle(graph(for_types=for_types)) == []


def is_facade(module: str) -> bool:
    """Whether a package's `__init__` only hands on what others define."""
    tree = modules()[module]
    defines = any(isinstance(node, (*FUNCTIONS, ast.ClassDef)) for node in tree.body)
    return any(other.startswith(f"{module}.") for other in modules()) and not defines


def test_chains_of_imports_are_short():
    below = graph(for_types=False)

    @functools.cache
    def chain(module: str) -> tuple[str, ...]:
        """The longest chain from a module down, facades left out."""
        longest = max(map(chain, below.get(module, [])), key=len, default=())
        return longest if is_facade(module) else (module, *longest)

    assert is_facade("trainer.config")
    assert not is_facade("trainer")
    deepest = max(map(chain, modules()), key=len)
    assert 5 < len(deepest) <= DEEPEST, "\n".join(deepest)


def test_few_imports_wait_in_functions():
    """Each is a reader's detour; those that stay keep `--help` quick."""
    waiting = [
        f"{module}: {ast.unparse(statement)}"
        for module, tree in modules().items()
        for statement, _, in_function in statements(tree)
        if in_function
    ]
    assert 0 < len(waiting) <= IN_FUNCTIONS, "\n".join(waiting)


def test_few_modules_stand_loose():
    loose = sorted(path.name for path in ROOT.glob("*.py"))
    assert "cli.py" in loose
    assert len(loose) <= LOOSE, loose


def test_files_are_short():
    lines = {
        path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in ROOT.rglob("*.py")
    }
    assert {file: n for file, n in lines.items() if n > LONGEST} == {}
    assert {file for file, n in lines.items() if n > LONG} == set(LONG_FILES)
    assert all(why.endswith(".") for why in LONG_FILES.values())


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, its docstring left out."""
    first = function.body[0]
    doc = first.end_lineno - first.lineno + 1 if ast.get_docstring(function) is not None else 0
    return function.end_lineno - function.lineno + 1 - doc


def test_functions_are_short():
    lengths = sorted((length(node), f"{module}.{node.name}") for module, node in functions())
    assert len(lengths) > 1_000
    assert [one for one in lengths if one[0] > LONGEST_FUNCTION] == []
    assert lengths[int(0.9 * len(lengths))][0] <= P90_OF_FUNCTIONS


def test_a_class_has_a_name_of_its_own():
    named = Counter(
        node.name
        for tree in modules().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    )
    assert len(named) > 50
    assert [name for name, count in named.items() if count > 1] == []


def test_only_device_imports_cupy():
    having = [
        module
        for module, tree in modules().items()
        for statement, *_ in statements(tree)
        if isinstance(statement, ast.Import) and any(n.name == "cupy" for n in statement.names)
    ]
    assert having == ["trainer.device"]


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
        "resume",
        "run",
    ]
    for name in trainer.__all__:
        assert callable(getattr(trainer, name))
