"""The double of CuPy: it catches what it is there to catch, and has no more than CuPy has."""

import ast
import ctypes
import inspect
import re
import signal
from itertools import product
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
from double import ALIASES, UFUNCS, Cupy, Ufunc, ndarray
from double_costs import LAUNCHES, Count, OutOfMemoryError
from double_streams import Graph, Stream

import trainer
from trainer.machine import cublas

KEYWORDS_OF_UFUNCS = {"out", "dtype"}
OF_THE_DOUBLE = {"counts", "pool", "pinned", "launched"}
PLAIN = {"ndarray", "cuda", "float32", "float64", "int32", "int64", "uint64", "bool_", "linalg"}
PLAIN |= {"RawModule"}
# what the double takes and does not heed, as nothing in the package asks for it
UNHEEDED = {"order", "copy", "casting", "kind", "shape", "ndmin", "subok", "blocking", "stream"}
TYPES = [np.dtype(one) for one in (bool, np.int32, np.int64, np.uint64, np.float32, np.float64)]


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
    ("a range as an index", lambda cp, x: x[range(2)]),
    ("a truth as an index", lambda cp, x: x[True]),
    ("a number there as the end of a slice", lambda cp, x: x[: cp.zeros((), np.int64)]),
    ("a keyword that CuPy lacks", lambda cp, x: cp.take(x, cp.arange(1), axis=0, mode="clip")),
    ("ufuncs' where", lambda cp, x: cp.exp(x, where=True)),
    ("a wider type in place", lambda cp, x: cp.exp(x, out=cp.empty((2, 3), np.int64))),
    ("a narrower type of a sum", lambda cp, x: cp.sum(x, axis=0, out=cp.empty(3, np.int64))),
    ("the same of a product", lambda cp, x: cp.matmul(x, x.T, out=cp.empty((2, 2), np.int64))),
    ("a number of a class of its own", lambda cp, x: x + signal.SIGINT),
    ("a number as an index", lambda cp, x: range(cp.zeros((), np.int64))),
]


@pytest.mark.parametrize("what", [what for what, _ in REFUSED])
def test_the_double_refuses(what, cupy, x):
    with pytest.raises(TypeError):
        dict(REFUSED)[what](cupy, x)


def test_the_double_refuses_what_cupy_computes_wrongly_in_silence(cupy, x):
    with pytest.raises(ValueError, match="overlaps"):
        cupy.take(x, cupy.arange(2), axis=0, out=x)
    with pytest.raises(ValueError, match="overlaps"):
        cupy.max(x, axis=0, out=x[0])
    with pytest.raises(ValueError, match="overlaps"):
        cupy.matmul(x[:, :2], x[:, :2], out=x[:, :2])
    with pytest.raises(ValueError, match="overlaps"):
        x.reshape(-1)[1:] = x.reshape(-1)[:-1]
    with pytest.raises(ValueError, match="overlaps"):
        cupy.copyto(x.reshape(-1)[:-1], x.reshape(-1)[1:])
    with pytest.raises(ValueError, match="set twice"):
        x[cupy.asarray(np.array([1, 1]))] = x.copy()
    with pytest.raises(IndexError):
        cupy.take(x, cupy.asarray(np.array([7])), axis=0)
    with pytest.raises(AttributeError):
        cupy.fft  # noqa: B018


def test_out_is_of_the_shape_of_what_is_found(cupy, x):
    """Nothing is broadcast into it."""
    for out in (cupy.empty((2, 3)), cupy.empty((1, 3))):
        with pytest.raises(ValueError, match="shape"):
            cupy.max(x, axis=0, out=out)
        with pytest.raises(ValueError, match="shape"):
            cupy.max(x.T, axis=1, out=out)
        with pytest.raises(ValueError, match="shape"):
            cupy.matmul(x[0], x.T @ x, out=out)


def test_memory_may_move_where_no_bytes_are_copied(cupy, x):
    """By a kernel, which CuPy has copy what overlaps; a mask and one value for all are none."""
    x[:, 1:] = x[:, :-1]
    assert cupy.asnumpy(x).tolist() == [[0, 0, 1], [3, 3, 4]]
    x[x > 2] = cupy.arange(3.0)
    x[cupy.asarray(np.array([0, 0]))] = 7.0
    assert cupy.asnumpy(x).tolist() == [[7, 7, 7], [0, 1, 2]]


def in_place(cp, x):
    x += 1.0
    x *= x
    cp.exp(x, out=x)
    cp.max(x, axis=0, out=cp.row)
    cp.matmul(cp.square, x, out=cp.out)
    cp.take(x, cp.rows, axis=0, out=cp.out)


def one_memory(cp, x):
    """Two views of the same numbers are an operand that overlaps `out`, for all CuPy knows."""
    cp.negative(x[:, 0], out=x[:, 0])


# (copies, syncs, allocations, launches) of a statement; x is (2, 3), of (2, 2) are square and batch
COUNTED = [
    ("in place", in_place, (0, 0, 0, 6)),
    ("views", lambda cp, x: (x[0], x[:, None], x.T, x.reshape(6), list(x), x[0, 0]), (0, 0, 0, 0)),
    ("a temporary", lambda cp, x: x * 2.0, (0, 0, 1, 1)),
    ("two temporaries", lambda cp, x: x * 2.0 + 1.0, (0, 0, 2, 2)),
    ("a function without out", lambda cp, x: cp.exp(x), (0, 0, 1, 1)),
    ("two views of one memory", one_memory, (0, 0, 1, 2)),
    ("an item in place", lambda cp, x: x[0].__iadd__(1.0), (0, 0, 0, 1)),
    ("an item set to itself", lambda cp, x: x.__setitem__(0, x[0]), (0, 0, 0, 0)),
    ("items set", lambda cp, x: x.__setitem__(0, 1.0), (0, 0, 0, 1)),
    ("picked items set", lambda cp, x: x.__setitem__(cp.rows, 1.0), (0, 0, 1, 2)),
    ("a reduction", lambda cp, x: x.sum(axis=0), (0, 0, 1, 1)),
    ("a reduction of rows, by CUB", lambda cp, x: x.sum(axis=1), (0, 0, 2, 1)),
    ("the same into out", lambda cp, x: cp.max(x, axis=1, out=cp.row[:2]), (0, 0, 2, 2)),
    ("a whole reduction", lambda cp, x: x.sum(), (0, 0, 2, 2)),
    ("a product", lambda cp, x: x.T @ x, (0, 0, 1, 1)),
    ("a product of a slice", lambda cp, x: x[:, :2].T @ x, (0, 0, 2, 2)),
    ("a product of two precisions", lambda cp, x: x.astype(cp.float32).T @ x, (0, 0, 3, 3)),
    ("a product that is a number", lambda cp, x: x[:1] @ x[:1].T, (0, 0, 4, 4)),
    ("batches", lambda cp, x: cp.batch @ cp.batch, (0, 0, 1, 1)),
    ("a batch that is turned", lambda cp, x: cp.batch.transpose(0, 2, 1) @ cp.batch, (0, 0, 2, 2)),
    ("a product of a batch and one", lambda cp, x: cp.matmul(cp.square, cp.batch), (0, 0, 4, 4)),
    ("a sum of products", lambda cp, x: cp.einsum("bij,bij->j", cp.batch, cp.batch), (0, 0, 3, 3)),
    ("a scaling", lambda cp, x: cp.einsum("ij,j->ij", cp.square, cp.row[:2]), (0, 0, 1, 1)),
    ("a sum of three", lambda cp, x: cp.einsum("ij,ij,i->j", x, x, cp.row[:2]), (0, 0, 4, 4)),
    ("tensordot", lambda cp, x: cp.tensordot(cp.row[:2], cp.batch, axes=1), (0, 0, 1, 1)),
    ("tensordot of a slice", lambda cp, x: cp.tensordot(x[0, :2], x[:, :2].T, 1), (0, 0, 2, 2)),
    ("a reshape that copies", lambda cp, x: x.T.reshape(6), (0, 0, 1, 1)),
    ("rows picked", lambda cp, x: x[cp.rows], (0, 0, 1, 1)),
    ("items picked", lambda cp, x: x[cp.rows, cp.rows], (0, 0, 2, 4)),
    ("a copy", lambda cp, x: x.copy(), (0, 0, 1, 1)),
    ("zeros", lambda cp, x: cp.zeros(3), (0, 0, 1, 1)),
    ("room", lambda cp, x: cp.empty(3), (0, 0, 1, 0)),
    ("a sort", lambda cp, x: cp.row.sort(), (0, 0, 1, 10)),
    ("three joined", lambda cp, x: cp.concatenate([x, x, x]), (0, 0, 1, 3)),
    ("nine joined", lambda cp, x: cp.stack([x] * 9), (1, 0, 2, 1)),
    ("equations", lambda cp, x: cp.linalg.solve(cp.square, cp.square), (0, 0, 5, 8)),
    ("to the device", lambda cp, x: cp.asarray(np.ones(3)), (1, 0, 1, 0)),
    ("to a place there", lambda cp, x: cp.row.set(np.ones(3)), (1, 0, 0, 0)),
    ("to the host", lambda cp, x: cp.asnumpy(x), (1, 1, 0, 0)),
    ("to the host from a slice", lambda cp, x: cp.asnumpy(x[:, :2]), (1, 1, 1, 1)),
    ("a number read", lambda cp, x: float(x[0, 0]), (1, 1, 0, 0)),
    ("a truth read", lambda cp, x: bool(x[0, 0]), (1, 1, 0, 0)),
    ("a branch", lambda cp, x: 1 if x[0, 0] > 1 else 0, (1, 1, 1, 1)),
    ("a mask", lambda cp, x: x[cp.mask], (0, 1, 2, 4)),
    ("places of a mask", lambda cp, x: cp.flatnonzero(cp.mask), (0, 1, 2, 4)),
]


@pytest.mark.parametrize("what", [what for what, *_ in COUNTED])
def test_the_double_counts(what, cupy, x):
    action, expected = {name: rest for name, *rest in COUNTED}[what]
    cupy.row, cupy.out = cupy.empty(3), cupy.empty((2, 3))
    cupy.rows, cupy.square = cupy.asarray(np.array([1, 0])), cupy.asarray(np.eye(2))
    cupy.batch = cupy.ones((2, 2, 2))
    cupy.mask = x > 2.0
    before = cupy.counts.now()
    action(cupy, x)
    assert cupy.counts.since(before)[:4] == expected


# bytes that kernels move: of x (2, 3) of float64, each operand once, what is broadcast once
MOVED = [
    ("in place", lambda cp, x: cp.exp(x, out=x), 2 * 48),
    ("a row that is broadcast", lambda cp, x: cp.add(x, x[0], out=cp.out), 48 + 24 + 48),
    ("a number", lambda cp, x: cp.add(x, 1.0, out=cp.out), 2 * 48),
    ("a reduction", lambda cp, x: cp.max(x, axis=0, out=cp.row), 48 + 24),
    ("a product", lambda cp, x: cp.matmul(x[:, :1], x[:1], out=cp.out), 2 * 16 + 16 + 24 + 48),
    ("one row of two", lambda cp, x: cp.take(x, cp.one, 0, out=cp.out[:1]), 24 + 8 + 24),
    ("nothing", lambda cp, x: x.T[1:], 0),
]


@pytest.mark.parametrize("what", [what for what, *_ in MOVED])
def test_bytes_are_counted(what, cupy, x):
    action, expected = {name: rest for name, *rest in MOVED}[what]
    cupy.row, cupy.out, cupy.one = cupy.empty(3), cupy.empty((2, 3)), cupy.zeros(1, np.int64)
    before = cupy.counts.now()
    action(cupy, x)
    assert cupy.counts.since(before).bytes == expected


def test_the_tables_are_whole():
    assert (len(REFUSED), len(COUNTED), len(MOVED), len(LAUNCHES)) == (21, 45, 7, 8)
    assert Count._fields == ("copies", "syncs", "allocations", "launches", "bytes")


@pytest.mark.parametrize("rows", [2, 3])
def test_einsum_is_einsum(cupy, rows):
    draw = np.random.default_rng(0)
    a, b, p = (draw.standard_normal(shape) for shape in ((rows, 4, 2), (rows, 4, 2), (rows,)))
    there = [cupy.asarray(one) for one in (a, b, p)]
    for subscripts, places in {
        "pck,pck->k": (0, 1),
        "pck,pck,p->kc": (0, 1, 2),
        "pck,p->ck": (0, 2),
        "pck,p->pkc": (0, 2),
        "pck,qck->pqk": (0, 1),
        "pck->kp": (0,),
    }.items():
        found = cupy.einsum(subscripts, *(there[i] for i in places))
        right = np.einsum(subscripts, *((a, b, p)[i] for i in places))
        np.testing.assert_allclose(cupy.asnumpy(found), right, rtol=1e-13, err_msg=subscripts)


# --- what has no answer, what is too small, what has no room --------------------------------------

SINGULAR = [
    ("solve", lambda cp, a: cp.linalg.solve(a, a)),
    ("eigh", lambda cp, a: cp.linalg.eigh(a)[0]),
    ("svd", lambda cp, a: cp.linalg.svd(a)[1]),
    ("cholesky", lambda cp, a: cp.linalg.cholesky(a)),
]


@pytest.mark.parametrize("what", [what for what, _ in SINGULAR])
def test_linalg_says_nothing_and_gives_nan(what, cupy):
    """Of the matrix alone that has no answer, whatever lies beside it."""
    bad = {"solve": 0.0, "cholesky": -1.0}.get(what, np.nan)
    matrices = np.stack([np.eye(3), np.full((3, 3), bad), 2 * np.eye(3)])
    found = cupy.asnumpy(dict(SINGULAR)[what](cupy, cupy.asarray(matrices)))
    assert np.isnan(found).reshape(3, -1).all(axis=1).tolist() == [False, True, False]
    assert np.isfinite(found[[0, 2]]).all()


def test_what_linalg_finds_lies_by_columns(cupy):
    """So that a batch of it is copied before a product."""
    vectors = cupy.linalg.eigh(cupy.asarray(np.stack([np.diag([1.0, 2.0])] * 2)))[1]
    before = cupy.counts.now()
    vectors @ vectors
    assert cupy.counts.since(before).allocations == 3
    before = cupy.counts.now()
    vectors[0] @ vectors[0]
    assert cupy.counts.since(before).allocations == 1


def test_many_large_systems_are_solved_one_by_one(cupy):
    def launches(size):
        many = cupy.asarray(np.stack([np.eye(size)] * 5))
        before = cupy.counts.now()
        cupy.linalg.solve(many, many)
        return cupy.counts.since(before).launches

    assert launches(257) - launches(256) == 4 * LAUNCHES["solve"]
    for wrong in ((3, 1), (5, 3)):
        with pytest.raises(ValueError, match="shape"):
            cupy.linalg.solve(cupy.ones((5, 3, 3)), cupy.ones(wrong))


def test_kernels_flush_denormals_of_float32(cupy):
    tiny = np.finfo(np.float32).tiny
    small = np.array([tiny, tiny / 2, -tiny / 2, 0, 1], np.float32)
    flushed = [tiny, 0, 0, 0, 1]
    there = cupy.asarray(small)
    assert cupy.asnumpy(there).tolist() == small.tolist()  # a copy is no arithmetic
    assert cupy.asnumpy(there * 1).tolist() == flushed
    assert cupy.asnumpy(there * np.float32(0.25)).tolist() == [0, 0, 0, 0, 0.25]
    assert cupy.asnumpy(there > 0).tolist() == [True, False, False, False, True]
    assert np.signbit(cupy.asnumpy(there * 1)).tolist() == [False, False, True, False, False]
    assert cupy.asnumpy(cupy.max(there[1:3].reshape(2, 1), axis=0)).tolist() == [0]
    wide = cupy.asarray(small.astype(np.float64))
    assert cupy.asnumpy(wide * 0.5).tolist() == (small.astype(np.float64) * 0.5).tolist()
    assert cupy.asnumpy(wide.astype(np.float32)).tolist() == flushed


def test_the_pool_keeps_what_is_freed_and_runs_out():
    cupy = Cupy(memory=4096)
    free = cupy.cuda.runtime.memGetInfo
    pool = cupy.get_default_memory_pool()
    held = [cupy.empty(64), cupy.empty(65)]  # of 8 bytes, in blocks of 512
    assert (pool.used_bytes(), free()) == (512 + 1024, (4096 - 1536, 4096))
    view = held[1][:2]
    del held
    assert (pool.used_bytes(), pool.free_bytes(), pool.total_bytes()) == (1024, 512, 1536)
    assert free() == (4096 - 1536, 4096)  # which the pool's free blocks are no part of
    with pytest.raises(OutOfMemoryError, match="Out of memory allocating 3,584 bytes"):
        cupy.empty(448)
    assert issubclass(OutOfMemoryError, MemoryError)
    del view
    cupy.empty(448)
    assert (pool.used_bytes(), pool.total_bytes()) == (0, 3584)
    pool.free_all_blocks()
    assert free() == (4096, 4096)


def test_a_copy_to_a_new_array_keeps_pinned_memory(cupy):
    cupy.asarray(np.zeros(3))
    assert cupy.pinned == 32
    cupy.asarray(np.zeros(128, np.int8))
    assert cupy.pinned == 128
    there = cupy.empty(1000)
    there.set(np.ones(1000))
    assert cupy.pinned == 128
    assert float(there.sum()) == 1000
    for wrong in (np.ones(999), np.ones(1000, np.float32), [1.0] * 1000):
        with pytest.raises(TypeError):
            there.set(wrong)


def uses_of_xp():
    """(name, keywords, place) of each `xp.name(...)` in the package."""
    for path in sorted(Path(trainer.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = {id(n.func): n for n in ast.walk(tree) if isinstance(n, ast.Call)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute):
                continue
            owner = re.fullmatch(r"(?:.+\.)?_?xp((?:\.linalg)?)", ast.unparse(node.value))
            if owner:
                call = calls.get(id(node))
                keywords = {k.arg for k in call.keywords} if call else set()
                yield f"{owner[1]}.{node.attr}"[1:], keywords, f"{path.name}:{node.lineno}"


def test_the_package_uses_nothing_of_xp_that_the_double_lacks():
    double, found = Cupy(), list(uses_of_xp())
    assert len(found) > 60
    some = {"matmul", "exp", "max", "take_along_axis", "copyto", "linalg.eigh"}
    assert some <= {name for name, *_ in found}
    assert any("fused.py" in place for *_, place in found)
    for name, keywords, place in found:
        function = attrgetter(name)(double)  # AttributeError: CuPy may have it, the double does not
        if name not in PLAIN:
            known = inspect.signature(function).parameters.keys() - UNHEEDED
            assert keywords <= known, f"{place}: {name} has no {keywords - known}"


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
    for name in sorted(set(public(double)) - PLAIN - OF_THE_DOUBLE):
        ours, theirs = getattr(double, name), getattr(real, name)
        compared += 1
        if isinstance(ours, Ufunc):
            assert isinstance(theirs, real.ufunc), name
            assert theirs.nin == ours.nin, name
        elif name == "matmul":
            assert {"out"} <= inspect.signature(theirs).parameters.keys()
        else:
            assert parameters(ours) == parameters(theirs), name
    assert compared == len(UFUNCS) + len(ALIASES) + 32
    assert len(public(double.linalg)) == 6
    for name in public(double.linalg):
        assert parameters(getattr(double.linalg, name)) == parameters(getattr(real.linalg, name))
    for keyword in KEYWORDS_OF_UFUNCS:
        assert f"    {keyword}" in real.ufunc.__call__.__doc__


def first_loop(ufunc, types):
    """The type of the first loop of CuPy that takes these, as it chooses; None without one."""
    for loop in ufunc.types:
        taken, _, given = loop.partition("->")
        if not {*taken, *given} <= {*np.typecodes["All"]}:
            continue  # of a type that another package brings, where it is installed
        if all(np.can_cast(*both) for both in zip(types, taken, strict=True)):
            return np.dtype(given)
    return None


def test_each_ufunc_gives_cupys_types(real):
    """Wherever NumPy has an answer: it refuses signs and differences of bool."""
    compared = 0
    for name in UFUNCS:
        for types in product(TYPES, repeat=getattr(np, name).nin):
            try:
                *_, expected = getattr(np, name).resolve_dtypes((*types, None))
            except TypeError:
                continue
            compared += 1
            assert first_loop(getattr(real, name), types) == expected, (name, types)
    assert compared > 500


def test_each_method_has_cupys_keywords(real):
    methods = [name for name in public(ndarray) if inspect.isfunction(getattr(ndarray, name))]
    assert len(methods) == 17
    for name in set(public(ndarray)) - set(methods):
        assert hasattr(real.ndarray, name), name
    for name in methods:
        written = getattr(real.ndarray, name).__doc__.splitlines()[0]  # Cython's own signature
        for keyword, *_ in parameters(getattr(ndarray, name)):
            assert keyword in written, f"{name}: {keyword} not in {written}"


def test_each_operator_and_flag_is_cupys(real):
    ours = [name for name in vars(ndarray) if name.startswith("__")]
    assert {"__float__", "__matmul__", "__iadd__"} < set(ours)
    for name in set(ours) - {"__dict__", "__weakref__"}:
        assert hasattr(real.ndarray, name), name
    for name in vars(Cupy().zeros(1).flags):
        assert hasattr(real._core.flags.Flags, name), name


def test_the_plain_names_are_cupys(real):
    for name in PLAIN:
        assert hasattr(real, name), name
    assert callable(real.cuda.runtime.memGetInfo)
    assert real.cuda.runtime.is_hip is False
    assert callable(real.cuda.get_current_stream)
    assert callable(real.cuda.Stream.synchronize)
    pool = real.get_default_memory_pool()
    for name in ("used_bytes", "free_bytes", "total_bytes", "get_limit", "free_all_blocks"):
        assert callable(getattr(pool, name)), name
    assert issubclass(real.cuda.memory.OutOfMemoryError, MemoryError)


def test_streams_and_graphs_are_cupys(real):
    for ours, theirs in ((Stream, real.cuda.Stream), (Graph, real.cuda.Graph)):
        for name in public(ours):
            assert hasattr(theirs, name), name
    assert "non_blocking" in real.cuda.Stream.__init__.__doc__ + real.cuda.Stream.__doc__
    assert callable(real.cuda.get_current_stream)
    assert "stream" in real.cuda.Graph.launch.__doc__


def test_cupys_module_of_cublas_is_linked_to_the_library(real):
    """So that names are found in it, in the library that CuPy itself has loaded."""
    package = Path(real.cuda.__file__)
    assert "_cupy.cuda.cublas = cublas" in package.read_text("utf-8")
    (module,) = (package.parents[2] / "cupy_backends/cuda/libs").glob("cublas.*.so")
    assert b"libcublas.so." in module.read_bytes()


def test_the_library_has_what_is_called_of_it(real):
    """Its names and its numbers, where it is installed; a handle needs a GPU besides."""
    try:
        module = real.cuda.cublas
    except ImportError as error:
        pytest.skip(f"cuBLAS is not installed ({str(error).splitlines()[0]})")
    library = ctypes.CDLL(module.__file__)
    assert all(library[name] for name in cublas._SIGNATURES)
    assert cublas._TF32 == module.CUBLAS_COMPUTE_32F_FAST_TF32
    assert cublas._FOUND_BY_ITSELF == module.CUBLAS_GEMM_DEFAULT
    computing = {name: compute for name, (_, compute, _) in cublas._TYPES.items()}
    assert computing == {
        "float32": module.CUBLAS_COMPUTE_32F,
        "float64": module.CUBLAS_COMPUTE_64F,
    }
    written = module.gemmEx.__doc__.splitlines()[0]  # Cython's own signature
    assert written.count(",") + 1 == len(cublas._SIGNATURES["cublasGemmEx"])
