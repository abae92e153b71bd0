"""Products by a cuBLAS handle of our own, against NumPy's, on a cuBLAS that refuses wrong calls."""

import ctypes
import itertools

import numpy as np
import pytest
import shim
from double import Cupy
from double_streams import HANDLES

from trainer.machine import cublas
from trainer.machine.cublas import Products, usable

pytestmark = pytest.mark.skipif(shim.COMPILER is None, reason=shim.WHY_NOT)
CLOSE = {"float32": 1e-6, "float64": 1e-14}
SHAPES = list(itertools.product((1, 5), (1, 3, 4), (1, 7)))  # (n, m) by (m, p)
LAYOUTS = ["rows", "padded rows", "columns", "padded columns"]


@pytest.fixture
def cupy():
    return Cupy()


@pytest.fixture
def products(cupy):
    return Products(cupy, 9)


def laid_out(cupy, values, layout):
    """A matrix on the device, as rows or columns, with NaN between them where they are padded."""
    given = values if "rows" in layout else values.T
    held = np.full((given.shape[0], given.shape[1] + 3 * ("padded" in layout)), np.nan)
    held = held.astype(values.dtype)
    held[:, : given.shape[1]] = given
    found = cupy.asarray(held)[:, : given.shape[1]]
    return found if "rows" in layout else found.T


@pytest.mark.parametrize("precision", CLOSE)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_product_is_numpys(layout, precision, cupy, products):
    draw = np.random.default_rng(0)
    for n, m, p in SHAPES:
        a, b, out = (
            draw.standard_normal(shape).astype(precision) for shape in ((n, m), (m, p), (n, p))
        )
        for add in (False, True):
            found = cupy.asarray(out if add else np.full_like(out, np.nan))
            one, other = laid_out(cupy, a, layout), laid_out(cupy, b, LAYOUTS[add])
            products.product(one, other, found, add=add)()
            assert np.abs(found.get() - (a @ b + add * out)).max() <= 10 * CLOSE[precision]


def test_the_table_of_layouts_is_whole():
    assert (len(SHAPES), len(LAYOUTS), len(FAULTS)) == (12, 4, 6)


def test_tf32_keeps_ten_bits_of_float32(cupy, products):
    draw = np.random.default_rng(0)
    a, b = (draw.standard_normal((40, 40)).astype("float32") for _ in range(2))
    there, found = [cupy.asarray(one) for one in (a, b)], cupy.empty((40, 40), np.float32)
    products.product(*there, found, tf32=True)()
    off = np.abs(found.get() - a @ b).max() / np.abs(a @ b).max()
    assert 1e-5 < off < 2e-3
    assert [one.compute for one in cupy.cuda.products] == [77]


# what would be wrong with a call, and the argument of cublasGemmEx that makes it so
FAULTS = {
    "an operation that is none": (1, 7, 7),
    "no rows": (3, 0, 7),
    "columns of A nearer than they are long": (9, 2, 7),
    "columns of B nearer than they are long": (12, 1, 7),
    "float64 in TF32": (17, 77, 15),
    "an algorithm of its own": (18, 3, 15),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_call_is_refused(fault, cupy, products, monkeypatch):
    at, value, status = FAULTS[fault]
    a, b, out = (cupy.ones(shape, np.float64) for shape in ((5, 3), (3, 4), (5, 4)))
    multiply = products.product(a, b, out)
    multiply()
    true = products._functions["cublasGemmEx"]
    products._functions["cublasGemmEx"] = lambda *given: true(*given[:at], value, *given[at + 1 :])
    with pytest.raises(RuntimeError, match=f"cublasGemmEx of cuBLAS failed with status {status}"):
        multiply()


def test_arguments_are_as_wide_as_cs():
    """An address that is passed as an int of 32 bits would be cut."""
    names = {name: len(arguments) for name, arguments in cublas._SIGNATURES.items()}
    assert names["cublasGemmEx"] == 19
    wide = [ctypes.sizeof(one) == 8 for one in cublas._SIGNATURES["cublasGemmEx"]]
    assert [at for at, is_wide in enumerate(wide) if is_wide] == [0, 6, 7, 10, 13, 14]


def test_what_does_not_fit_is_refused(cupy, products):
    a, b, out = cupy.ones((5, 3)), cupy.ones((3, 4)), cupy.ones((5, 4))
    for given in ((b, a, out), (a, b, out.T), (a, b, cupy.ones((5, 4), np.float32))):
        with pytest.raises(AssertionError):
            products.product(*given)
    with pytest.raises(AssertionError, match="side by side"):
        products.product(cupy.ones((5, 3, 2))[:, :, 0], b, out)


def test_a_graph_runs_when_it_is_launched_and_as_often(cupy, products):
    a, found = cupy.ones((2, 2)), cupy.zeros((2, 2))
    graph = products.captured(products.product(a, a, found, add=True))
    assert found.get().sum() == 0
    for times in (1, 2):
        graph.launch()
        assert (found.get() == 2 * times).all()
    products.product(a, a, found)()  # on the stream outside again
    assert (found.get() == 2).all()


def test_what_cannot_be_captured_leaves_the_stream_as_it_was(cupy, products):
    with pytest.raises(RuntimeError, match="allocations: operation not permitted"):
        products.captured(lambda: cupy.empty(3))
    assert cupy.cuda.get_current_stream() is cupy.cuda.null
    found = cupy.zeros((1, 1))
    products.product(cupy.ones((1, 1)), cupy.ones((1, 1)), found)()
    assert found.get() == 1


def test_without_room_of_its_own_a_captured_product_would_allocate(cupy, products):
    a, found = cupy.ones((2, 2)), cupy.zeros((2, 2))
    products._functions["cublasSetWorkspace_v2"] = lambda *given: 0
    with pytest.raises(RuntimeError, match="status 14"):
        products.captured(products.product(a, a, found))


@pytest.mark.parametrize(("major", "megabytes"), [(0, 4), (8, 4), (9, 32), (10, 32)])
def test_the_room_is_what_nvidia_advises(major, megabytes, cupy):
    assert Products(cupy, major)._workspace.nbytes == megabytes * 2**20


def test_a_handle_goes_with_who_made_it(cupy):
    before = set(HANDLES)
    products = Products(cupy, 0)
    (own,) = set(HANDLES) - before
    work = products.product(cupy.ones((1, 1)), cupy.ones((1, 1)), cupy.ones((1, 1)))
    del products
    work()  # holds it
    assert own in HANDLES
    del work
    assert own not in HANDLES


def test_why_there_are_no_graphs_is_one_line(cupy, monkeypatch):
    products, why = usable(cupy, 0)
    assert isinstance(products, Products)
    assert why == ""
    small = Cupy(memory=2**20)
    found, why = usable(small, 0)
    assert found is None
    assert why.startswith("Out of memory allocating 4,194,304 bytes")
    monkeypatch.setattr(type(cupy.cuda), "Stream", lambda *_, **__: 1 / 0)
    assert usable(cupy, 0) == (None, "division by zero")
    monkeypatch.undo()
    monkeypatch.setattr(shim, "COMPILER", None)
    assert usable(Cupy(), 0) == (None, shim.WHY_NOT or "ImportError")


def test_a_graph_that_computes_something_else_is_not_used(cupy, monkeypatch):
    true = Products.product
    monkeypatch.setattr(Products, "product", lambda *given, **how: true(*given))  # overwrites
    assert usable(cupy, 0) == (None, "a graph of products gave 12.0 where 36 is right")
