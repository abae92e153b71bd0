"""The commands, from `run` to `schema`: arguments in, an exit code out.

Results go to standard output, all else to standard error. Exit codes: 0 done, 1 a fault of ours or
of the disk, 2 the user's input is wrong, 3 every trial diverged or none has a rank, 130 and 143
interrupted. What a command needs is imported when it runs, so that `--help` is quick.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

from trainer.arguments import parse
from trainer.console.interrupt import Interrupt
from trainer.console.terminal import Terminal
from trainer.errors import DiskError, TrainerError, UserError
from trainer.machine.interrupted import leave_at_once
from trainer.text.program import PROGRAM
from trainer.text.windows import command_line

_EXIT_CODES = {"finished": 0, "diverged": 3, "unranked": 3, "failed": 1}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments, `sys.argv[1:]` unless given.

    Returns:
        The exit code.
    """
    # it would read the entry points of every installed package, for plugins that we have no use for
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.disable()  # until `_loaded`
    try:
        code = _command(sys.argv[1:] if argv is None else list(argv))
        leave_at_once(code)
        return code
    finally:
        gc.enable()
        for stream in (sys.stdout, sys.stderr):
            _settle(stream)


def _loaded() -> None:
    """Let the collector of cycles begin, when a command's modules are there.

    What they made stays to the end, and is nothing to look through: that took a tenth of the time
    of a short run.
    """
    if not gc.get_freeze_count():  # the first command of a process
        gc.freeze()
    gc.enable()


def _command(argv: Sequence[str]) -> int:
    try:
        name, args = parse(argv)
    except SystemExit as leave:  # argparse has said why
        return int(leave.code or 0)
    terminal = Terminal(quiet=args.quiet)
    with Interrupt() as interrupt:
        try:
            return _COMMANDS[name](args, terminal, interrupt)
        except TrainerError as error:
            terminal.error(str(error))
            return error.exit_code
        except KeyboardInterrupt:
            terminal.error("interrupted")
            return interrupt.exit_code
        except Exception as error:
            if interrupt.signum is not None:  # which a library met on its way and renamed
                terminal.error("interrupted")
                return interrupt.exit_code
            if isinstance(error, FileNotFoundError) and not _has_current_folder():
                terminal.error("the current folder is gone; change to one that is there")
                return 2
            if isinstance(error, MemoryError):
                what = (str(error).splitlines() or ["MemoryError"])[0]
                terminal.error(f"memory ran out ({what}); fewer rows or trials take less")
                return 1
            terminal.error(_our_fault(error, terminal))
            return 1


def _run(args: argparse.Namespace, terminal: Terminal, interrupt: Interrupt) -> int:
    spec = None
    if args.resume is None:
        from trainer.config.load import load_spec

        spec = load_spec(args.config, args.overrides)
        if args.check:
            _emit(spec.to_yaml().rstrip("\n"))
            return 0
        if args.plan:
            from trainer.workflow.plan import plan

            _emit(plan(spec, terminal.line).rstrip("\n"))
            return 0
    from trainer.workflow import resume, run

    _loaded()
    given: Any = {
        "command": args.command_line, "terminal": terminal, "should_stop": interrupt
    }  # fmt: skip
    if spec is None:
        done = resume.resume(args.resume, **given)
    else:
        done = run.run(spec, out=args.out, **given)
    _emit(str(done.folder))
    status = done.status
    return interrupt.exit_code if status == "interrupted" else _EXIT_CODES[status]


def _predict(args: argparse.Namespace, terminal: Terminal, interrupt: Interrupt) -> int:
    from trainer.predict.tables import predict_file

    _loaded()
    text, told = predict_file(args.run, args.data, args.out, with_target=not args.no_target)
    if told:
        terminal.line(told)
    if text is not None:
        _emit(text)
    return 0


def _report(args: argparse.Namespace, terminal: Terminal, interrupt: Interrupt) -> int:
    from trainer.workflow.report import write_compare, write_report

    _loaded()
    if len(args.runs) == 1:
        if args.out is not None:
            raise UserError("--out: the report of one run is drawn into its folder; name two runs")
        page = write_report(args.runs[0])
    else:
        page = write_compare(args.runs, "compare.html" if args.out is None else args.out)
    _emit(str(page))
    return 0


def _explain(args: argparse.Namespace, terminal: Terminal, interrupt: Interrupt) -> int:
    from trainer.explain import write_page

    _emit(str(write_page(args.out)))
    return 0


def _init(args: argparse.Namespace, terminal: Terminal, interrupt: Interrupt) -> int:
    from trainer.starter import write_starter

    path, schema = write_starter(args.kind, args.out)
    terminal.line(schema)
    terminal.line(f"`{command_line([PROGRAM, 'run', os.path.relpath(path)])}` trains it")
    _emit(str(path))
    return 0


def _schema(args: argparse.Namespace, terminal: Terminal, interrupt: Interrupt) -> int:
    from trainer.config.json_schema import config_schema_text

    _emit(config_schema_text().rstrip("\n"))
    return 0


def _warm(args: argparse.Namespace, terminal: Terminal, interrupt: Interrupt) -> int:
    from trainer.workflow.warm import warm

    terminal.line(warm(terminal.line, interrupt))
    return 0


_COMMANDS: dict[str, Callable[[argparse.Namespace, Terminal, Interrupt], int]] = {
    "run": _run,
    "predict": _predict,
    "report": _report,
    "explain": _explain,
    "init": _init,
    "schema": _schema,
    "warm": _warm,
}


def _has_current_folder() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _emit(text: str) -> None:
    """Print on standard output, whatever letters a path is made of, whoever has stopped reading.

    Raises:
        DiskError: standard output is a file on a disk that refuses.
    """
    try:
        try:
            print(text, flush=True)
        except UnicodeEncodeError:  # nothing of it was printed
            # not os.fsencode: the file system's letters may be ASCII too; its odd bytes are kept
            sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")
            sys.stdout.flush()
    except BrokenPipeError:
        return
    except OSError as error:
        from trainer.text.atomic import disk_error

        raise disk_error("standard output", error) from error


def _settle(stream: TextIO | None) -> None:
    """Write what a stream still holds, or drop it: Python would try again, and fail, as it ends."""
    if stream is None:
        return
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _our_fault(error: Exception, terminal: Terminal) -> str:
    """One line for a fault of ours; its traceback is in run.log, or in a file of its own."""
    import tempfile

    what = (str(error).splitlines() or [""])[0]
    name = f"{type(error).__name__}: {what}" if what else type(error).__name__
    trace = traceback.format_exc()
    log: Path | str | None = terminal.log_path
    try:
        if log is None:
            with tempfile.NamedTemporaryFile(
                "w", prefix="trainer-", suffix=".log", delete=False, errors="backslashreplace"
            ) as file:
                file.write(trace)
            log = file.name
        else:
            terminal.log(trace)
    except (OSError, DiskError):
        return f"a fault of ours: {name}; please report it"
    return f"a fault of ours: {name}; please report it with {log}"
