"""Go on with a run whose process has ended, in its own folder, from its last checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trainer import device as devices
from trainer.config import Spec, load_spec
from trainer.console.interrupt import Interrupt
from trainer.console.terminal import Terminal
from trainer.device import Device
from trainer.errors import RunFolderError
from trainer.machine.threads import one_thread_a_product
from trainer.model.arithmetic import default_errstate
from trainer.runs import resuming
from trainer.runs.beginning import libraries
from trainer.runs.data_note import noted_digest
from trainer.runs.names import CHECKPOINTS, CONFIG, OVER
from trainer.runs.provenance import machine_facts
from trainer.runs.reader import RunReader
from trainer.runs.writer import RunWriter
from trainer.text.printable import one_line
from trainer.text.saved import Saved
from trainer.workflow.carry_out import Ready, announce, carry_out, facts_of, get_ready
from trainer.workflow.checkpoints import FACTS, SWEEP
from trainer.workflow.compiling import said_as_met
from trainer.workflow.given_spec import as_spec
from trainer.workflow.loaded import Run

_DIFFERS = {
    "config": f"{CONFIG} is not what it was when the run began; put it back, or run it anew",
    "data": "its data are not what they were (sha256 {was}, now {now}); put them back, or run it"
    " anew",
    "init": "the model that its init names is not what it was; put it back, or run it anew",
    "device": "it was trained on a {was}, and goes on there alone; this would be a {now}",
}
_EXACT = (
    "trainer", "numpy", "compiled_step", "cupy-cuda12x", "cupy-cuda13x", "platform", "cores",
    "matrix_libraries",
)  # fmt: skip
"""What the last bits of numbers depend on."""


@default_errstate
def resume(
    folder: str | os.PathLike[str],
    data: Mapping[str, Any] | None = None,
    *,
    terminal: Terminal | None = None,
    command: str | None = None,
    should_stop: Callable[[], int | None] | None = None,
) -> Run:
    """Go on with a run that was killed, interrupted or has failed; it ends as if it never was.

    On the same machine with the same libraries its model, tables and steps have the bytes that
    they would have had. A run that is over is left as it is; one without a checkpoint starts over
    in its folder.

    Args:
        folder: the run folder.
        data: the rows that were passed from Python, as `trainer.run` takes them.
        terminal: where to say what happens; silent by default.
        command: the command line, for the manifest.
        should_stop: as `trainer.run` takes it.

    Raises:
        RunFolderError: it is no run folder, its run goes on, or what it would go on with differs:
            its config, the digest of its data, the kind of its device.
        DataError, DeviceError, DiskError: as `trainer.run`.
    """
    terminal = terminal or Terminal(quiet=True)
    terminal.detach()
    path = Path(os.path.abspath(folder))
    reader = RunReader(path)
    if reader.status in OVER:
        terminal.line(f"{path}: the run is over ({reader.status}); there is nothing to go on with")
        return Run(path)
    if should_stop is not None:
        with one_thread_a_product():
            return _go_on(path, data, terminal, command, should_stop)
    with Interrupt() as interrupt, one_thread_a_product():
        done = _go_on(path, data, terminal, command, interrupt)
    interrupt.reraise()
    return done


def _go_on(
    path: Path,
    data: Mapping[str, Any] | None,
    terminal: Terminal,
    command: str | None,
    should_stop: Callable[[], int | None],
) -> Run:
    """Compare what there is with what there was before anything in the folder is changed."""
    with resuming.hold(path) as held:
        spec, before, saved = _spec_of(path, data), RunReader(path).manifest(), held.saved
        device = devices.choose(spec.device)
        announce(device, spec, terminal)
        with said_as_met(device, terminal.line):
            ready = _ready(path, device, spec, data, terminal, saved)
            _check_same(path, ready, saved)
            should_stop()  # from here on a signal is noted, and what the folder holds is whole
            folder, saved = RunWriter.go_on(held)
            for told in folder.found:
                terminal.error(f"warning: {told}")
            now, machine = libraries(), machine_facts()
            was = {**(before.get("versions") or {}), **(before.get("machine") or {})}
            terminal.summary([("resumed", _how(saved, was, now | machine))])
            folder.update_manifest(versions=now, machine=machine)
            began = before.get("command") or command  # it is the run's, not its last process's
            return carry_out(ready, folder, terminal, began, should_stop, saved=saved)


def _ready(
    path: Path,
    device: Device,
    spec: Spec,
    data: Mapping[str, Any] | None,
    terminal: Terminal,
    saved: Saved | None,
) -> Ready:
    """What the run goes on with, its columns in the stacks of its checkpoint.

    Raises:
        RunFolderError: the config has other columns.
    """
    if saved is not None and not _is_arranged(saved):
        raise RunFolderError(f"{path / CHECKPOINTS}: is not of a run of this program")
    try:
        return get_ready(device, spec, data, terminal, None if saved is None else saved[SWEEP])
    except ValueError as error:
        raise RunFolderError(f"{path / CONFIG}: has other trials than its checkpoint") from error


def _spec_of(path: Path, data: Mapping[str, Any] | None) -> Spec:
    """The spec of the folder's config.yaml, with the text that the user had written.

    Raises:
        SpecError: it is wrong.
    """
    return as_spec(path / CONFIG) if data is None else as_spec(load_spec(path / CONFIG), data)


def _is_arranged(saved: Saved) -> bool:
    """Whether a checkpoint says which columns were in which stacks."""
    try:
        arranged, facts = saved[SWEEP]["arrangement"], saved[FACTS]
        columns = [tuple(column) for stack in arranged["stacks"] for column in stack]
        numbers = [*(n for column in columns for n in column), arranged["threads"]]
    except (KeyError, TypeError):
        return False
    whole = all(type(n) is int and n >= 0 for n in numbers)
    known = isinstance(facts, dict) and facts.keys() >= _DIFFERS.keys()
    known = known and all(type(facts[n]) is str or (n, facts[n]) == ("init", None) for n in facts)
    return whole and all(len(c) == 3 for c in columns) and known


def _check_same(path: Path, ready: Ready, saved: Saved | None) -> None:
    """Check that what the run goes on with is what it was.

    Raises:
        RunFolderError: it is not; names what differs.
    """
    now = facts_of(ready)
    noted = {"data": noted_digest(ready.spec.source_text)}
    for name, told in _DIFFERS.items():
        was = (noted if saved is None else saved[FACTS]).get(name)
        if was not in (None, now[name]):
            raise RunFolderError(f"{path}: {told.format(was=was and one_line(was), now=now[name])}")


def _how(saved: Saved | None, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """How the run goes on, and whether to the last bit.

    Args:
        saved: its checkpoint.
        before: of the process that it had, what the last bits depend on.
        now: the same of this one.
    """
    if saved is None:
        return "it starts over in its folder, as it has no checkpoint"
    other = [
        f"{name} {before[name]} then, {now.get(name)} now"
        for name in _EXACT
        if name in before and before[name] != now.get(name)
    ]
    told = "it goes on from its last checkpoint"
    return f"{told}, to rounding, not to the bit: {', '.join(other)}" if other else told
