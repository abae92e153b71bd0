"""Train what a spec says, into a new run folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from trainer import device as devices
from trainer.config import Spec
from trainer.console.interrupt import Interrupt
from trainer.console.terminal import Terminal
from trainer.machine.threads import one_thread_a_product
from trainer.model.arithmetic import default_errstate
from trainer.runs.data_note import noted_digest
from trainer.runs.location import check_free
from trainer.runs.writer import RunWriter
from trainer.wording.opening import opening
from trainer.workflow.carry_out import announce, carry_out, get_ready, write_start
from trainer.workflow.compiling import said_as_met
from trainer.workflow.given_spec import SpecLike, as_spec
from trainer.workflow.loaded import Run


@default_errstate
def run(
    spec: SpecLike,
    out: str | os.PathLike[str] | None = None,
    data: Mapping[str, Any] | None = None,
    *,
    terminal: Terminal | None = None,
    command: str | None = None,
    should_stop: Callable[[], int | None] | None = None,
) -> Run:
    """Train what a spec says and leave a run folder.

    Args:
        spec: a spec, or what `load_spec` takes.
        out: exactly this run folder, new or empty; by default `runs/<name>/<date>-<time>`.
        data: rows in place of the spec's files: {"train": (X, y), "val": (X, y), "test": (X, y) or
            {name: (X, y)}, "weight": w (N,)}, and the column of `repeat.folds`
            under its name; NumPy, CuPy or any DLPack arrays, or tables for X. Without "val" there
            is no validation, but where the spec has a fraction written for `data.val`; so it is
            with "test".
        terminal: where to say what happens; silent by default.
        command: the command line, for the manifest.
        should_stop: asked after each step; a signal's number ends the run, None and 0 do not. By
            default Ctrl-C and SIGTERM do: the step is finished, everything is written, and then the
            interruption is raised.

    Returns:
        The run; its `status` is "finished", "diverged", "unranked" (no trial has a number to be
        ranked by) or "interrupted".

    Raises:
        SpecError: the spec is wrong.
        DataError: the data are wrong, or do not fit the model.
        DeviceError: `device: gpu` where none can be used, or a device that is full.
        RunFolderError: `out` is a file or not empty.
        DiskError: the disk refused; what was written before stays. Once a run trains it goes on,
            puts elsewhere what its folder refuses to the end, and raises this after that.
    """
    spec = as_spec(spec, data)
    terminal = terminal or Terminal(quiet=True)
    terminal.detach()  # from a run before, or from one that came to no folder
    if should_stop is not None:
        with one_thread_a_product():
            return _run(spec, out, data, terminal, command, should_stop)
    with Interrupt() as interrupt, one_thread_a_product():
        done = _run(spec, out, data, terminal, command, interrupt)
    interrupt.reraise()
    return done


def _run(
    spec: Spec,
    out: str | os.PathLike[str] | None,
    data: Mapping[str, Any] | None,
    terminal: Terminal,
    command: str | None,
    should_stop: Callable[[], int | None],
) -> Run:
    if out is not None:
        check_free(out)  # before the data are read, which may take minutes
    device = devices.choose(spec.device)
    announce(device, spec, terminal)
    with said_as_met(device, terminal.line):
        ready = get_ready(device, spec, data, terminal)
        read, noted = ready.sweep.sources.digest, noted_digest(spec.source_text)
        if noted is not None and noted != read:
            terminal.summary(opening({"noted_data": {"noted": noted, "read": read}}))
        should_stop()  # from here on a signal is noted, and what the folder holds is whole
        folder = RunWriter.create(spec.name, out)
        begin = partial(write_start, folder, ready)
        return carry_out(ready, folder, terminal, command, should_stop, begin)
