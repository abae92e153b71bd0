"""Signals: the first asks, the second kills, and before anyone asks the first ends the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from trainer.console import interrupt as interrupt_module
from trainer.console.interrupt import Interrupt

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def send(signum: int) -> None:
    os.kill(os.getpid(), signum)
    time.sleep(0)  # the handler runs between two bytecodes


@pytest.fixture(autouse=True)
def own_handlers():
    before = {signum: signal.getsignal(signum) for signum in CODES}
    yield
    for signum, handler in before.items():
        assert signal.getsignal(signum) is handler


@pytest.mark.parametrize("signum", CODES)
def test_a_signal_is_noted_once_someone_asks(signum):
    with Interrupt() as interrupt:
        assert interrupt() is None
        send(signum)
        assert interrupt() == signum
        assert interrupt.signum == signum
    assert interrupt.exit_code == CODES[signum]


@pytest.mark.parametrize("signum", CODES)
def test_before_that_it_ends_the_command(signum):
    with Interrupt() as interrupt, pytest.raises(KeyboardInterrupt):
        send(signum)
    assert interrupt.exit_code == CODES[signum]


def test_an_interrupt_without_a_signal_counts_as_ctrl_c():
    assert Interrupt().exit_code == 130


@pytest.mark.parametrize("second", CODES)
def test_the_second_kills(monkeypatch, second):
    died = []
    monkeypatch.setattr(interrupt_module, "_die", died.append)
    with Interrupt() as interrupt:
        interrupt()
        send(signal.SIGINT)
        send(second)  # the same Ctrl-C once more, by way of a wrapper
        assert died == []
        time.sleep(interrupt_module._ECHO)
        send(second)
        assert died == [CODES[second]]


def test_before_it_kills_one_thing_is_done_once(monkeypatch):
    done = []
    monkeypatch.setattr(interrupt_module, "_die", done.append)
    with Interrupt() as interrupt:
        interrupt()

        def last_act():
            done.append("acts")
            send(signal.SIGTERM)  # a third, while it hangs
            raise OSError

        interrupt.last_act = last_act
        send(signal.SIGINT)
        assert done == []
        time.sleep(interrupt_module._ECHO)
        send(signal.SIGINT)
    assert done == ["acts", 143, 130]


def test_the_process_is_gone_at_once(tmp_path):
    code = f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from trainer.console.interrupt import Interrupt
        with Interrupt() as interrupt:
            interrupt()
            print("ready", flush=True)
            while not interrupt():
                time.sleep(0.01)
            print("noted", flush=True)
            try:
                time.sleep(60)
            finally:
                print("cleaned up", flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "noted\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=600)
    assert rest == ""
    assert process.returncode == 130


def test_another_thread_may_not_listen_and_does_not_fail():
    outcomes = []

    def listen() -> None:
        with Interrupt() as interrupt:
            outcomes.append(interrupt())

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert outcomes == [None]


@pytest.mark.parametrize(
    ("signum", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_reraise(signum, error):
    with Interrupt() as interrupt:
        interrupt()
        interrupt.reraise()
        send(signum)
    with pytest.raises(error) as caught:
        interrupt.reraise()
    if error is SystemExit:
        assert caught.value.code == 143
