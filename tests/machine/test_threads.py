"""One thread a product within a run, what was set before after it, and work side by side."""

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import trainer
from trainer import device as devices
from trainer.device import Sizes
from trainer.machine import threads
from trainer.machine.threads import cores, make_pool, one_thread_a_product, side_by_side

ROOT = Path(trainer.__file__).parents[1]
BLAS = [one for one in threadpool_info() if one["user_api"] == "blas"]
CPU = devices.cpu("asked for")
needs_blas = pytest.mark.skipif(not BLAS, reason="this NumPy's matrix library cannot be told")


def in_force():
    return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]


@needs_blas
def test_a_block_has_one_thread_and_gives_back_what_was_set():
    with threadpool_limits(2, "blas"):
        before = in_force()
        with one_thread_a_product():
            assert set(in_force()) == {1}
            with one_thread_a_product():
                assert set(in_force()) == {1}
            assert set(in_force()) == {1}
        assert in_force() == before
        with pytest.raises(KeyboardInterrupt), one_thread_a_product():
            raise KeyboardInterrupt
        assert in_force() == before


@needs_blas
def test_blocks_of_two_threads_that_overlap_give_back_the_first_ones_setting():
    begun, ended = threading.Event(), threading.Event()

    def other():
        with one_thread_a_product():
            begun.set()
            ended.wait(10)

    with threadpool_limits(2, "blas"):
        before = in_force()
        thread = threading.Thread(target=other)
        with one_thread_a_product():
            thread.start()
            assert begun.wait(10)
        assert set(in_force()) == {1}  # the other's block is open
        ended.set()
        thread.join()
        assert in_force() == before


@needs_blas
def test_what_somebody_else_sets_within_stays():
    with threadpool_limits(2, "blas"):
        with one_thread_a_product():
            outer = threadpool_limits(3, "blas")
        assert set(in_force()) == {3}
        outer.restore_original_limits()


@needs_blas
def test_cores_are_no_more_than_the_user_says(monkeypatch):
    monkeypatch.setattr(threads, "_affinity", lambda: 6)
    monkeypatch.setattr(threads, "processor_limits", list)
    for count in (1, 4):
        with threadpool_limits(count, "blas"):
            assert cores() == count
            with one_thread_a_product():
                assert cores() == count


@needs_blas
@pytest.mark.parametrize(("quota", "count"), [(0.5, 1), (1.5, 2), (9.0, 4)])
def test_cores_are_no_more_than_a_containers_share(monkeypatch, quota, count):
    monkeypatch.setattr(threads, "_affinity", lambda: 4)
    monkeypatch.setattr(threads, "processor_limits", lambda: [quota])
    with threadpool_limits(8, "blas"):
        assert cores() == count


@needs_blas
@pytest.mark.parametrize("name", ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_cores_follow_the_environment(name):
    if name.startswith("MKL") != (BLAS[0]["internal_api"] == "mkl") and not name.startswith("OMP"):
        pytest.skip("another library's")
    code = "import numpy; from trainer.machine.threads import cores; print(cores())"
    rest = {k: v for k, v in os.environ.items() if not k.endswith("NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**rest, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "", name: "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n"


def test_without_a_library_that_can_be_told_all_processors_count(monkeypatch):
    monkeypatch.setattr(threads, "_libraries", list)
    monkeypatch.setattr(threads, "_affinity", lambda: 3)
    monkeypatch.setattr(threads, "processor_limits", list)
    with one_thread_a_product():
        assert cores() == 3


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(threads, "_cores", lambda libraries: 2)


def test_tasks_go_side_by_side_in_a_run_and_come_in_order(two_cores):
    meet = threading.Barrier(2)

    def task(number):
        meet.wait(10)  # only if the other is running
        return number

    with one_thread_a_product():
        assert side_by_side([lambda: task(1), lambda: task(2)]) == [1, 2]
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("trainer")]


def test_tasks_of_a_thread_that_has_one_core_and_outside_of_runs_stay_in_it(two_cores):
    def who():
        return side_by_side([threading.get_ident, threading.get_ident])

    assert who() == [threading.get_ident()] * 2
    with one_thread_a_product(), make_pool(2) as pool:
        inner = pool.submit(lambda: (who(), threading.get_ident())).result()
    assert inner[0] == [inner[1]] * 2


def test_tasks_have_the_callers_numpy_settings(two_cores):
    def divide():
        return np.ones(2) / np.zeros(2)  # a warning is an error in these tests

    with one_thread_a_product(), np.errstate(divide="ignore"):
        assert np.isinf(side_by_side([divide, divide])).all()


def test_a_fault_of_a_task_is_raised(two_cores):
    with one_thread_a_product(), pytest.raises(ZeroDivisionError):
        side_by_side([lambda: 1, lambda: 1 / 0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_process_has_threads_of_its_own():
    code = """
import os, time, trainer.machine.threads as t
t._cores = lambda libraries: 2
with t.one_thread_a_product():
    for _ in range(3):  # until both threads are there and wait
        t.side_by_side([lambda: time.sleep(0.05)] * 4)
    if (child := os.fork()) == 0:
        os._exit(7 if t.side_by_side([int, int]) == [0, 0] else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    assert done.stdout == "7\n"


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(devices, "_PART_ROWS", 40)
    monkeypatch.setattr(devices, "_PART_PRODUCTS", 500)


@pytest.mark.parametrize("rows", [1, 7, 100, 999])
def test_large_products_and_grams_are_the_same_in_parts(small_parts, rows):
    rng = np.random.default_rng(0)
    a, b, p = rng.standard_normal((rows, 6)), rng.standard_normal((6, 5)), rng.random(rows)
    np.testing.assert_allclose(CPU.product(a, b), a @ b, rtol=1e-12)
    np.testing.assert_allclose(CPU.product(a.T, a), a.T @ a, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(CPU.gram(a, p), a.T @ (a * p[:, None]), rtol=1e-9, atol=1e-12)
    parts = CPU.row_parts(a)
    assert np.concatenate([a[part] for part in parts]).shape == a.shape
    assert 1 <= len(parts) <= 8


def test_no_product_of_a_part_has_a_sliver_of_the_rows():
    """A product reads all of b for each slice of a's rows, however few these are."""
    shapes = []

    def noted(a, b, out):
        shapes.append((a.shape, b.shape))
        return np.matmul(a, b, out=out)

    library = SimpleNamespace(matmul=noted, empty=np.empty)
    device = replace(CPU, xp=library)
    X, dz = np.ones((1 << 19, 32), np.float32), np.ones((1 << 19, 32), np.float32)
    assert (device.product(X.T, dz) == len(X)).all()
    assert len(shapes) == 4
    assert {a[0] for a, _ in shapes} == {32}
    assert sum(b[0] for _, b in shapes) == len(X)


def test_how_many_cores_there_are_changes_no_bit(small_parts, monkeypatch):
    rng = np.random.default_rng(1)
    a, b, p = rng.standard_normal((999, 6)), rng.standard_normal((6, 50)), rng.random(999)
    found = []
    for count in (1, 2, 5):
        monkeypatch.setattr(threads, "_cores", lambda libraries, count=count: count)
        with one_thread_a_product():
            found.append((CPU.product(a, b), CPU.product(a.T, a), CPU.gram(a, p)))
    for other in found[1:]:
        assert all(np.array_equal(x, y) for x, y in zip(found[0], other, strict=True))


def test_a_gpu_takes_all_rows_at_once(small_parts):
    gpu = replace(CPU, sizes=Sizes.of_gpu(2**30))
    assert gpu.row_parts(np.ones((1000, 9))) == [slice(0, 1000)]
