"""The choice of a device, with modules that stand in for CuPy in each of its states."""

import builtins
import sys
from threading import get_ident
from types import SimpleNamespace

import numpy as np
import pytest
from double import Cupy

from trainer import device as devices
from trainer.device import Sizes, choose
from trainer.errors import DeviceError
from trainer.machine import threads
from trainer.machine.threads import one_thread_a_product

NVIDIA = {"name": b"NVIDIA H100"}


def cupy_module(**changes):
    """A CuPy that works, but for what is changed."""
    cupy = Cupy()
    cupy.__version__ = "14.2.0"
    cupy.is_available = lambda: True
    cupy.cuda.Device = lambda: SimpleNamespace(id=0)
    cupy.cuda.runtime.getDeviceProperties = lambda index: NVIDIA
    for name, value in changes.items():
        setattr(cupy, name, value)
    return cupy


def raising(error):
    def function(*args, **kwargs):
        raise error

    return function


DRIVER = RuntimeError("cudaErrorInsufficientDriver: driver too old\nsecond line")
STATES = [
    ("no device", {"is_available": lambda: False}, "CuPy 14.2.0 finds no CUDA device or driver"),
    ("no driver", {"is_available": raising(DRIVER)}, "cudaErrorInsufficientDriver: driver too old"),
    ("no NVRTC", {"exp": raising(RuntimeError("libnvrtc.so not found"))}, "libnvrtc.so not found"),
    ("no message", {"ones": raising(RuntimeError())}, "RuntimeError"),
    ("wrong", {"exp": lambda x: x + 2.0}, "CuPy computed 16.0 where 12 is right"),
]


@pytest.fixture
def install(monkeypatch):
    return lambda module: monkeypatch.setitem(sys.modules, "cupy", module)


@pytest.mark.parametrize(("what", "changes", "reason"), STATES)
def test_a_gpu_that_cannot_compute_is_explained_in_one_line(what, changes, reason, install):
    install(cupy_module(**changes))
    chosen = choose("auto")
    assert (chosen.kind, chosen.xp) == ("cpu", np)
    assert reason in chosen.reason
    assert "\n" not in chosen.reason
    with pytest.raises(DeviceError) as caught:
        choose("gpu")
    assert reason in str(caught.value)
    assert str(caught.value).startswith("device: gpu: ")
    assert str(caught.value).endswith("use device: cpu, or auto to fall back to it")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ImportError("No module named 'cupy'"), "CuPy is not installed (pip install"),
        (OSError("broken wheel\nmore"), "CuPy cannot be imported (broken wheel)"),
    ],
)
def test_a_cupy_that_cannot_be_imported_is_explained(error, reason, monkeypatch):
    real = builtins.__import__

    def importing(name, *args, **kwargs):
        if name == "cupy":
            raise error
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", importing)
    assert reason in choose("auto").reason
    with pytest.raises(DeviceError, match="device: gpu"):
        choose("gpu")


@pytest.mark.parametrize("wanted", ["auto", "gpu"])
def test_a_gpu_that_computes_is_chosen_and_named(wanted, install):
    module = cupy_module()
    install(module)
    chosen = choose(wanted)
    assert (chosen.kind, chosen.name) == ("gpu", "NVIDIA H100 (CuPy 14.2.0)")
    assert chosen.xp is module
    assert chosen.twin == "cuda"
    assert chosen.reason


def test_kernels_for_nvidias_gpus_are_not_launched_on_amds_and_none_multiplies_in_tf32(install):
    module = cupy_module()
    properties = {"name": b"AMD Instinct MI210", "major": 9, "minor": 0}  # its own counting
    module.cuda.runtime.getDeviceProperties = lambda number: properties
    install(module)
    assert choose("gpu").tf32
    module.cuda.runtime.is_hip = True
    found = choose("gpu")
    assert (found.twin, found.tf32) == ("none", False)
    with pytest.raises(DeviceError, match=r"and AMD Instinct MI210 \(CuPy .*\) is none of them"):
        found.check_tf32()


def test_the_cpu_is_never_second_guessed(install):
    install(cupy_module(is_available=raising(AssertionError("asked"))))
    chosen = choose("cpu")
    assert (chosen.kind, chosen.reason) == ("cpu", "asked for")
    assert np.__version__ in chosen.name


def device(kind):
    return devices.cpu("") if kind == "cpu" else devices.from_cupy(Cupy(), "the double")


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_arrays_go_there_and_back(kind):
    place = device(kind)
    host = np.arange(12.0).reshape(3, 4)
    there = place.to_device(host.T, np.float32)
    back = place.to_host(there)
    assert isinstance(back, np.ndarray)
    assert back.flags.c_contiguous
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, host.T)


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_rows_are_taken_and_products_made_into_what_is_given(kind):
    place = device(kind)
    source, rows = place.to_device(np.arange(12.0).reshape(4, 3)), np.array([2, 0])
    out, product = place.xp.empty((2, 3)), place.xp.empty((3, 3))
    place.take_rows(source, place.to_device(rows), out)
    np.testing.assert_array_equal(place.to_host(out), [[6, 7, 8], [0, 1, 2]])
    place.matmul(out.T, out, out=product)
    held = place.to_host(out)
    np.testing.assert_array_equal(place.to_host(product), held.T @ held)


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
@pytest.mark.parametrize("dtype", [None, np.float32])
def test_what_is_fetched_together_waits_once(kind, dtype):
    place = device(kind)
    arrays = {
        "none": np.zeros((0, 2)),
        "vector": np.arange(3.0),
        "matrix": np.arange(6.0).reshape(2, 3),
        "number": np.array([7.0]),
    }
    there = {name: place.to_device(array, dtype) for name, array in arrays.items()}
    syncs = 0 if kind == "cpu" else place.xp.counts.syncs
    found = place.fetch(there)
    assert kind == "cpu" or place.xp.counts.syncs == syncs + 1
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert isinstance(found[name], np.ndarray)
        assert found[name].dtype == (dtype or np.float64)
        np.testing.assert_array_equal(found[name], array)


UPLOADS = [(1, 100), (3, 100), (1000, 1), (999, 7), (5, 0)]  # rows of so many numbers


@pytest.mark.parametrize(("rows", "numbers"), UPLOADS)
def test_large_arrays_are_uploaded_in_slices_and_keep_no_pinned_memory(rows, numbers, monkeypatch):
    monkeypatch.setattr(devices, "_UPLOAD", 1024)
    place, host = device("gpu"), np.random.default_rng(0).standard_normal((rows, numbers))
    place.to_device(np.zeros(100))
    there = place.to_device(host)
    assert place.to_host(there).tobytes() == host.tobytes()
    assert place.xp.pinned == 1024  # of 800 bytes
    assert place.xp.pool.peak <= 1024 + -(-host.nbytes // 512) * 512  # no second copy of it


def test_slices_of_an_upload_are_as_large_as_they_may_be(monkeypatch):
    monkeypatch.setattr(devices, "_UPLOAD", 1024)
    place = device("gpu")
    before = place.xp.counts.copies
    place.to_device(np.zeros((999, 7)))
    assert place.xp.counts.copies - before == 56  # of 54.6 KB by at most 18 rows of 56 bytes


@pytest.mark.parametrize(("rows", "waits"), [(16, 0), (17, 1), (999, 1)])
def test_the_hosts_array_is_its_owners_again_when_an_upload_returns(rows, waits, monkeypatch):
    """A slice is read from where it lies, and CUDA may do so late: small arrays CuPy copies."""
    monkeypatch.setattr(devices, "_UPLOAD", 1024)
    place = device("gpu")
    syncs = place.xp.counts.syncs
    place.to_device(np.zeros((rows, 8)))
    assert place.xp.counts.syncs - syncs == waits


def test_memory_is_what_is_free_and_what_the_pool_has_left():
    cupy = Cupy(memory=2**20)
    place = devices.from_cupy(cupy, "the double")
    held = cupy.empty(2**16)
    assert place.memory() == 2**19
    del held
    assert cupy.cuda.runtime.memGetInfo() == (2**19, 2**20)
    assert place.memory() == 2**20


def test_a_limit_of_cupys_pool_is_the_memory_there_is():
    """Of a GPU that others use as well: what is past it the pool refuses."""
    cupy = Cupy(memory=2**30)
    cupy.pool.limit = 2**20
    place = devices.from_cupy(cupy, "the double")
    assert place.sizes == Sizes.of_gpu(2**20)
    held = cupy.empty(2**16)
    assert place.memory() == 2**19
    cupy.empty(2**16)
    with pytest.raises(MemoryError):
        cupy.empty(2**16 + 1)
    assert len(held) == 2**16
    cupy.pool.limit = 2**31  # more than there is
    assert place.memory() == 2**30 - 2**19
    assert devices.from_cupy(cupy, "the double").sizes == Sizes.of_gpu(2**30)


def test_sizes_are_of_the_device_and_not_of_what_is_free():
    cupy = Cupy(memory=2**30)
    empty = devices.from_cupy(cupy, "the double")
    held = cupy.zeros(2**20)
    assert devices.from_cupy(cupy, "the double").sizes == empty.sizes == Sizes.of_gpu(2**30)
    assert len(held) == 2**20
    assert empty.sizes.chunk_bytes == 2**23
    assert Sizes.of_gpu(139 * 2**30).chunk_bytes == 2**30
    assert (device("cpu").at_once(77), empty.at_once(77), empty.at_once(2**24)) == (
        77,
        2**23,
        2**24,
    )


def test_a_gpu_does_one_thing_after_another(monkeypatch):
    """Its own threads are many; the host's would only wait for each other."""
    monkeypatch.setattr(threads, "_cores", lambda libraries: 4)
    with one_thread_a_product():
        assert set(device("gpu").side_by_side([get_ident] * 9)) == {get_ident()}


def test_a_gpu_whose_float64_is_slow_says_so(install):
    def chosen(ratio):
        found = {"name": b"NVIDIA L4", "singleToDoublePrecisionPerfRatio": ratio}
        module = cupy_module()
        module.cuda.runtime.getDeviceProperties = lambda index: found
        install(module)
        return choose("auto")

    assert chosen(2).reason == "a GPU passed the smoke test"
    assert (chosen(64).float64_cost, device("cpu").float64_cost) == (64, 2)
    assert chosen(64).reason == (
        "a GPU passed the smoke test; float64 takes it 64 times as long as float32, which solvers"
        " and `precision: float64` will feel, and optimizers in float32 will not"
    )


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_a_device_that_is_full_is_explained_in_one_line(kind):
    with pytest.raises(DeviceError) as caught, device(kind).enough_memory():
        raise MemoryError("Out of memory allocating 5 bytes.\nmore")
    less = {
        "gpu": "device: cpu takes the machine's own",
        "cpu": "fewer rows or trials or precision: float32 take less",
    }
    name = {"gpu": "the double", "cpu": "the machine"}[kind]
    assert str(caught.value) == (
        f"device: {name} has not enough memory (Out of memory allocating 5 bytes); {less[kind]}"
    )


FULL = [
    RuntimeError("cudaErrorMemoryAllocation: out of memory"),
    RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
    RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"),
    RuntimeError("CUSOLVER_STATUS_ALLOC_FAILED"),
    MemoryError("std::bad_alloc"),  # Thrust's, in a sort
]


@pytest.mark.parametrize("error", FULL, ids=str)
def test_libraries_that_have_no_room_on_a_gpu_are_a_gpu_that_is_full(error):
    with pytest.raises(DeviceError) as caught, device("gpu").enough_memory():
        raise error
    assert f"has not enough memory ({error}); device: cpu" in str(caught.value)
    assert device("gpu").is_full(error)
    assert device("cpu").is_full(error) == isinstance(error, MemoryError)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 7.45 GiB for an array with shape (1000000000,)"),
        MemoryError(),
    ],
)
def test_a_host_that_is_full_is_no_full_gpu(error):
    with pytest.raises(DeviceError) as caught, device("gpu").enough_memory():
        raise error
    said = str(error) or "MemoryError"
    assert str(caught.value).startswith(
        f"device: the machine has not enough memory ({said}); fewer"
    )


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_what_is_not_of_memory_stays_as_it_is(kind):
    error = RuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered")
    with pytest.raises(RuntimeError) as caught, device(kind).enough_memory():
        raise error
    assert caught.value is error


def test_a_gpu_that_runs_out_of_memory_is_one_that_is_full():
    cupy = Cupy(memory=2**20)
    place = devices.from_cupy(cupy, "the double")
    with (
        pytest.raises(DeviceError, match="the double has not enough memory"),
        place.enough_memory(),
    ):
        place.to_device(np.zeros(2**18))
