"""The double of CuPy: it catches what it is there to catch, and has no more than CuPy has."""

import ast
import inspect
from pathlib import Path

import numpy as np
import pytest
from double import ALIASES, UFUNCS, Cupy, Ufunc, ndarray

import trainer

KEYWORDS_OF_UFUNCS = {"out", "dtype"}
PLAIN = {"ndarray", "cuda", "counts", "float32", "float64", "int32", "int64", "bool_"} | {"linalg"}
PLAIN |= {"RawModule", "launched"}


@pytest.fixture
def cupy():
    return Cupy()


@pytest.fixture
def x(cupy):
    made = cupy.asarray(np.arange(6.0).reshape(2, 3))
    cupy.counts.__init__()
    return made


REFUSED = [
    ("a host operand", lambda cp, x: x + np.ones(3)),
    ("a host operand on the left", lambda cp, x: np.ones(3) * x),
    ("a host operand in place", lambda cp, x: x.__iadd__(np.ones(3))),
    ("a list", lambda cp, x: cp.add(x, [1.0, 2.0, 3.0])),
    ("NumPy's function", lambda cp, x: np.exp(x)),
    ("an implicit copy", lambda cp, x: np.asarray(x)),
    ("NumPy's concatenate", lambda cp, x: np.concatenate([x, x])),
    ("a host array as out", lambda cp, x: cp.exp(x, out=np.empty((2, 3)))),
    ("a host array reduced", lambda cp, x: cp.sum(np.ones(3))),
    ("host rows", lambda cp, x: cp.take(x, np.array([0]), axis=0)),
    ("a host index", lambda cp, x: x[np.array([0])]),
    ("a keyword that CuPy lacks", lambda cp, x: cp.take(x, cp.arange(1), axis=0, mode="clip")),
    ("ufuncs' where", lambda cp, x: cp.exp(x, where=True)),
    ("a wider type in place", lambda cp, x: cp.exp(x, out=cp.empty((2, 3), np.int64))),
]


@pytest.mark.parametrize("what", [what for what, _ in REFUSED])
def test_the_double_refuses(what, cupy, x):
    with pytest.raises(TypeError):
        dict(REFUSED)[what](cupy, x)


def test_the_double_refuses_what_cupy_computes_wrongly_in_silence(cupy, x):
    with pytest.raises(ValueError, match="overlaps"):
        cupy.add(x[:, :2], 1.0, out=x[:, 1:])
    with pytest.raises(ValueError, match="operand"):
        cupy.matmul(x[:, :2], x[:, :2], out=x[:, :2])
    with pytest.raises(IndexError):
        cupy.take(x, cupy.asarray(np.array([7])), axis=0)
    with pytest.raises(AttributeError):
        cupy.fft  # noqa: B018


def in_place(cp, x):
    x += 1.0
    x *= x
    cp.exp(x, out=x)
    cp.max(x, axis=1, out=cp.row)
    cp.matmul(cp.square, x, out=cp.out)
    cp.take(x, cp.rows, axis=0, out=cp.out)


# (copies, syncs, allocations) of a statement
COUNTED = [
    ("in place", in_place, (0, 0, 0)),
    ("views", lambda cp, x: (x[0], x[:, None], x.T, x.reshape(6), list(x), x[0, 0]), (0, 0, 0)),
    ("a temporary", lambda cp, x: x * 2.0, (0, 0, 1)),
    ("two temporaries", lambda cp, x: x * 2.0 + 1.0, (0, 0, 2)),
    ("a function without out", lambda cp, x: cp.exp(x), (0, 0, 1)),
    ("a reduction", lambda cp, x: x.sum(axis=0), (0, 0, 1)),
    ("a product", lambda cp, x: x.T @ x, (0, 0, 1)),
    ("a product of a slice", lambda cp, x: x[:, :2].T @ x, (0, 0, 2)),
    ("a product of a batch and one", lambda cp, x: cp.matmul(cp.square, x[None]), (0, 0, 2)),
    ("a reshape that copies", lambda cp, x: x.T.reshape(6), (0, 0, 1)),
    ("rows picked", lambda cp, x: x[cp.rows], (0, 0, 1)),
    ("a copy", lambda cp, x: x.copy(), (0, 0, 1)),
    ("to the device", lambda cp, x: cp.asarray(np.ones(3)), (1, 0, 1)),
    ("to the host", lambda cp, x: cp.asnumpy(x), (1, 1, 0)),
    ("a number read", lambda cp, x: float(x[0, 0]), (1, 1, 0)),
    ("a truth read", lambda cp, x: bool(x[0, 0]), (1, 1, 0)),
    ("a branch", lambda cp, x: 1 if x[0, 0] > 1 else 0, (1, 1, 1)),
    ("a mask", lambda cp, x: x[cp.mask], (0, 1, 1)),
]


@pytest.mark.parametrize("what", [what for what, *_ in COUNTED])
def test_the_double_counts(what, cupy, x):
    action, expected = {name: rest for name, *rest in COUNTED}[what]
    cupy.row, cupy.out = cupy.empty(2), cupy.empty((2, 3))
    cupy.rows, cupy.square = cupy.asarray(np.array([1, 0])), cupy.zeros((2, 2))
    cupy.mask = x > 2.0
    before = cupy.counts.now()
    action(cupy, x)
    assert cupy.counts.since(before) == expected


def test_the_tables_are_whole():
    assert len(REFUSED) == 14
    assert len(COUNTED) == 18


def uses_of_xp():
    """(name, keywords, place) of each `xp.name(...)` in the package."""
    for path in sorted(Path(trainer.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = {id(n.func): n for n in ast.walk(tree) if isinstance(n, ast.Call)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute):
                continue
            if ast.unparse(node.value).rpartition(".")[2] == "xp":
                call = calls.get(id(node))
                keywords = {k.arg for k in call.keywords} if call else set()
                yield node.attr, keywords, f"{path.name}:{node.lineno}"


def test_the_package_uses_nothing_of_xp_that_the_double_lacks():
    double, found = Cupy(), list(uses_of_xp())
    assert len(found) > 60
    assert {"matmul", "exp", "max", "take_along_axis", "copyto"} <= {name for name, *_ in found}
    for name, keywords, place in found:
        function = getattr(double, name)  # AttributeError: CuPy may have it, the double does not
        if name not in PLAIN:
            known = inspect.signature(function).parameters
            assert keywords <= known.keys(), f"{place}: {name} has no {keywords - known.keys()}"


# --- against the real module ----------------------------------------------------------------------


@pytest.fixture
def real():
    return pytest.importorskip(
        "cupy", reason="CuPy is not installed: the double's names cannot be compared with it"
    )


def public(thing):
    return [name for name in dir(thing) if not name.startswith("_")]


def parameters(function):
    return [
        (p.name, p.kind, p.default)
        for p in inspect.signature(function).parameters.values()
        if p.name != "self"
    ]


def test_each_function_has_cupys_parameters(real):
    double, compared = Cupy(), 0
    for name in sorted(set(public(double)) - PLAIN):
        ours, theirs = getattr(double, name), getattr(real, name)
        compared += 1
        if isinstance(ours, Ufunc):
            assert isinstance(theirs, real.ufunc), name
            assert theirs.nin == ours.nin, name
        elif name == "matmul":
            assert {"out"} <= inspect.signature(theirs).parameters.keys()
        else:
            assert parameters(ours) == parameters(theirs), name
    assert compared == len(UFUNCS) + len(ALIASES) + 28
    for keyword in KEYWORDS_OF_UFUNCS:
        assert f"    {keyword}" in real.ufunc.__call__.__doc__


def test_each_method_has_cupys_keywords(real):
    methods = [name for name in public(ndarray) if inspect.isfunction(getattr(ndarray, name))]
    assert len(methods) == 14
    for name in set(public(ndarray)) - set(methods):
        assert hasattr(real.ndarray, name), name
    for name in methods:
        written = getattr(real.ndarray, name).__doc__.splitlines()[0]  # Cython's own signature
        for keyword, *_ in parameters(getattr(ndarray, name)):
            assert keyword in written, f"{name}: {keyword} not in {written}"


def test_the_plain_names_are_cupys(real):
    for name in PLAIN - {"counts", "launched"}:
        assert hasattr(real, name), name
    assert callable(real.cuda.runtime.memGetInfo)
