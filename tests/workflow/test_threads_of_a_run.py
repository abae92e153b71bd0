"""A run multiplies on one thread, and leaves the host program's threads as they were."""

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import trainer

SPEC = {"model": "softmax", "data": {"train": "digits"}, "device": "cpu"}
SPEC |= {"optimizer": {"name": "sgd", "lr": 0.1, "epochs": 1}}


def in_force():
    return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]


pytestmark = pytest.mark.skipif(not in_force(), reason="a matrix library that cannot be told")


def trained(folder, seen=None):
    def should_stop():
        if seen is not None:
            seen.extend(in_force())

    return trainer.run(SPEC, out=folder, should_stop=should_stop)


def test_a_run_has_one_thread_a_product_and_its_host_what_it_had(tmp_path):
    seen = []
    with threadpool_limits(2, "blas"):
        trained(tmp_path / "a", seen)
        assert set(in_force()) == {2}
    assert set(seen) == {1}


def test_a_run_that_fails_leaves_threads_as_they_were(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with threadpool_limits(2, "blas"):
        with pytest.raises(trainer.RunFolderError):
            trained(tmp_path / "full")
        source = {"table": str(tmp_path / "none.csv"), "target": "y"}
        with pytest.raises(trainer.DataError):
            trainer.run({**SPEC, "data": {"train": source}})
        assert set(in_force()) == {2}


def test_runs_in_threads_of_one_process(tmp_path):
    runs = {}

    def train(name):
        runs[name] = trained(tmp_path / name)

    with threadpool_limits(2, "blas"):
        workers = [threading.Thread(target=train, args=(name,)) for name in "abc"]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
        assert set(in_force()) == {2}
    models = [trainer.load_model(runs[name].folder) for name in "abc"]
    assert all(np.array_equal(models[0].weights, one.weights) for one in models)


def test_the_threads_of_the_host_change_no_bit(tmp_path):
    weights = []
    for count in (1, 2, 3):
        with threadpool_limits(count, "blas"):
            run = trained(tmp_path / str(count))
        weights.append(trainer.load_model(run.folder).weights)
    assert all(np.array_equal(weights[0], one) for one in weights)
