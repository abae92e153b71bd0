"""Work that is left to itself, and how a process ends beside it."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from trainer.machine import interrupted, threads
from trainer.machine.interrupted import Interrupted, ask, never
from trainer.machine.threads import abandonable, one_thread_a_product, side_by_side


def test_asking_goes_on_or_not():
    ask(never)
    with pytest.raises(Interrupted):
        ask(lambda: 15)


def test_a_task_that_is_waited_for_gives_its_result_or_its_error():
    with np.errstate(divide="raise"):  # its context is the caller's
        assert abandonable(lambda: np.geterr()["divide"], never) == "raise"
    with pytest.raises(ZeroDivisionError):
        abandonable(lambda: 1 // 0, never)


def test_a_task_is_left_to_itself(monkeypatch):
    monkeypatch.setattr(threads, "_LOOK", 0.001)
    monkeypatch.setattr(interrupted, "_left", [])
    ended = threading.Event()
    with pytest.raises(Interrupted):
        abandonable(ended.wait, lambda: True)
    (thread,) = interrupted._left
    assert thread.is_alive()
    ended.set()
    thread.join(10)
    assert not interrupted._are_at_work()


def test_tasks_side_by_side_have_all_ended_where_one_fails(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 2)
    begun, ended = threading.Event(), []

    def slow():
        begun.set()
        threading.Event().wait(0.05)
        ended.append(1)

    def fails():
        begun.wait(10)
        raise Interrupted

    with one_thread_a_product(), pytest.raises(Interrupted):
        side_by_side([fails, slow])
    assert ended == [1]


LEAVES = """
import threading
from trainer.machine.interrupted import Interrupted, leave_at_once
from trainer.machine.threads import abandonable
try:
    abandonable(lambda: threading.Event().wait({seconds}), lambda: True)
except Interrupted:
    print("left", flush=True)
{then}
"""


@pytest.mark.parametrize(
    ("seconds", "then", "code"), [(600, "leave_at_once(143)", 143), (0.2, "", 0)]
)
def test_a_process_waits_for_it_unless_it_is_told_not_to(seconds, then, code):
    words = LEAVES.format(seconds=seconds, then=then)
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout.split()) == (code, [b"left"])
