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
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from trainer.console.interrupt import Interrupt
from trainer.console.terminal import Terminal
from trainer.errors import DiskError, TrainerError, UserError
from trainer.machine.interrupted import leave_at_once
from trainer.text.printable import one_line
from trainer.text.program import PROGRAM, meant_command, meant_option
from trainer.text.windows import command_line

if TYPE_CHECKING:
    from trainer.workflow.loaded import Run

_EXIT_CODES = {"finished": 0, "diverged": 3, "unranked": 3, "failed": 1}

_ABOUT = "Linear, logistic, softmax and Poisson regression, many models at once."
_COMMANDS_HELP = """commands:
  run CONFIG [key=value ...]   train what a YAML file says, into a run folder
  predict RUN DATA             predict with the model of a run folder
  report RUN [RUN ...]         draw the page of a run again, or one that compares several
  explain                      write a page that shows the mathematics, with sliders
  init [KIND]                  write a config to begin with, and its schema beside it
  schema                       print the JSON Schema of a config, for editors
  warm                         compile what a GPU compiles at first use, ahead of the first run

`COMMAND --help` tells more.
"""
_RUN_EPILOG = """examples:
  run configs/softmax.yaml
  run configs/softmax.yaml optimizer.lr=0.5 penalty.l2=1e-3
  run my.yaml early_stopping=none --out runs/mine --device cpu
  run --resume runs/mine
"""
_RUN_USAGE = f"""{PROGRAM} run CONFIG [key=value ...] [--out DIR] [--device auto|gpu|cpu]
                           [--quiet] [--check | --plan]
       {PROGRAM} run --resume DIR [--quiet]"""
_RUN_ABOUT = """Train what CONFIG says and leave a run folder: its path is the last line printed."""
_PREDICT_ABOUT = """Predict the rows of DATA with the model of RUN.

Columns are found by name. Where DATA has the target too, the predictions are scored. There is a row
for each row of DATA; where a value is missing and training filled none in, it is empty.
"""
_REPORT_ABOUT = """Draw report.html into RUN, from that folder alone.

Of several runs, write one page that compares them: what differs, their metrics, their curves.
Pages open offline in any browser; the path is the last line printed.
"""
_INIT_ABOUT = """Write a config that runs as it is, for your own data, and its schema beside it.

Nothing is overwritten; the path of the config is the last line printed.
"""
_SCHEMA_ABOUT = """Print the JSON Schema of a config on standard output."""
_WARM_ABOUT = """Compile the kernels of a GPU ahead of the first run, which then begins at once.

They are kept where CuPy keeps them, ~/.cupy/kernel_cache by default, until CuPy, CUDA's compiler,
the kind of GPU or this package is another one.
"""
_EXPLAIN_ABOUT = """Write one page that shows why the gradient is the error, with sliders to move.

It opens offline in any browser: its path is the last line printed.
"""


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
        command, args = _parse(argv)
    except SystemExit as leave:  # argparse has said why
        return int(leave.code or 0)
    terminal = Terminal(quiet=args.quiet)
    with Interrupt() as interrupt:
        try:
            return command(args, terminal, interrupt)
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
    if args.resume is not None:
        from trainer.workflow.resume import resume

        _loaded()
        told = {"command": args.command_line, "terminal": terminal, "should_stop": interrupt}
        return _end(resume(args.resume, **told), interrupt)
    from trainer.config.load import load_spec

    spec = load_spec(args.config, args.overrides)
    if args.check:
        _emit(spec.to_yaml().rstrip("\n"))
        return 0
    if args.plan:
        from trainer.workflow.plan import plan

        _emit(plan(spec, terminal.line).rstrip("\n"))
        return 0
    from trainer.workflow.run import run

    _loaded()
    done = run(
        spec,
        out=args.out,
        command=args.command_line,
        terminal=terminal,
        should_stop=interrupt,
    )
    return _end(done, interrupt)


def _end(done: Run, interrupt: Interrupt) -> int:
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


_Command = Callable[[argparse.Namespace, Terminal, Interrupt], int]


def _parse(argv: Sequence[str]) -> tuple[_Command, argparse.Namespace]:
    """Read the arguments; SystemExit after a help or a fault, as argparse has it."""
    commands = {
        "run": (_run, _run_parser),
        "predict": (_predict, _predict_parser),
        "report": (_report, _report_parser),
        "explain": (_explain, _explain_parser),
        "init": (_init, _init_parser),
        "schema": (_schema, _schema_parser),
        "warm": (_warm, _warm_parser),
    }
    top = _Parser(
        prog=PROGRAM, usage=f"{PROGRAM} COMMAND ...", description=_ABOUT, epilog=_COMMANDS_HELP
    )
    top.add_argument("--version", action=_Version)
    top.add_argument("command", metavar="COMMAND", help="see below")
    if argv and argv[0] not in (*commands, "-h", "--help", "--version"):
        top.error(meant_command(argv, list(commands)))
    name, rest = top.parse_args(argv[:1]).command, argv[1:]
    command, parser = commands[name][0], commands[name][1]()
    if name != "run":
        return command, parser.parse_args(rest)
    # Intermixed: `CONFIG --out DIR key=value` would otherwise lose its override.
    args, extra = parser.parse_known_intermixed_args(rest)
    if extra:
        parser.error(_unknown_options(parser, extra, rest))
    if args.resume is not None:
        _check_alone(parser, args)
    elif args.config is None:
        parser.error("CONFIG is missing: name a YAML file")
    if args.device is not None:
        args.overrides.append(f"device={args.device}")
    args.command_line = command_line([PROGRAM, "run", *rest])
    return command, args


def _check_alone(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse what `--resume` does not go with: a run goes on as it began."""
    if args.config is not None:
        given = " ".join([args.config, *args.overrides])
        parser.error(f"--resume: takes the folder's own config.yaml; remove {given}")
    for name in ("out", "device", "check", "plan"):
        if getattr(args, name):
            parser.error(f"--resume: a run goes on as it began; remove --{name}")


def _unknown_options(parser: argparse.ArgumentParser, extra: list[str], argv: Sequence[str]) -> str:
    from trainer.config.checks.fault_messages import paths_called

    options = [name for name in parser._option_string_actions if name.startswith("--")]
    right = meant_option(extra, argv, options, paths_called)
    return f"unrecognized arguments: {' '.join(extra)}" + (f"; {right}" if right else "")


def _run_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"{PROGRAM} run", usage=_RUN_USAGE, description=_RUN_ABOUT, epilog=_RUN_EPILOG
    )
    parser.add_argument("config", metavar="CONFIG", nargs="?", help="a YAML file")
    parser.add_argument(
        "overrides",
        metavar="key=value",
        nargs="*",
        help="set a key of the file, its parts joined by dots; the value is read as YAML",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="exactly this run folder (default: runs/<name>/<date>-<time>)"
    )
    parser.add_argument(
        "--resume",
        metavar="DIR",
        help="go on with the run of this folder, from its last checkpoint",
    )
    parser.add_argument("--device", metavar="auto|gpu|cpu", help="the same as device=...")
    parser.add_argument("--quiet", action="store_true", help="show errors only")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--check", action="store_true", help="check the file, print it resolved, train nothing"
    )
    instead.add_argument(
        "--plan", action="store_true", help="print memory, log size and time, train nothing"
    )
    return parser


def _predict_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=f"{PROGRAM} predict", description=_PREDICT_ABOUT)
    parser.add_argument("run", metavar="RUN", help="a run folder")
    parser.add_argument(
        "data",
        metavar="DATA",
        help="a .csv, .tsv, .parquet, .npy, .npz or .safetensors file, or LIBSVM text;"
        " - for standard input",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="a .csv or .parquet file (default: CSV on standard output)"
    )
    parser.add_argument(
        "--no-target", action="store_true", help="predict only, whatever the target's column holds"
    )
    parser.set_defaults(quiet=False)
    return parser


def _report_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=f"{PROGRAM} report", description=_REPORT_ABOUT)
    parser.add_argument("runs", metavar="RUN", nargs="+", help="a run folder")
    parser.add_argument(
        "--out", metavar="FILE", help="the page of several runs (default: compare.html)"
    )
    parser.set_defaults(quiet=False)
    return parser


def _explain_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=f"{PROGRAM} explain", description=_EXPLAIN_ABOUT)
    parser.add_argument(
        "--out", metavar="FILE", default="explain.html", help="the page (default: explain.html)"
    )
    parser.set_defaults(quiet=False)
    return parser


def _init_parser() -> argparse.ArgumentParser:
    kinds = ("softmax", "logistic", "linear", "sweep", "probe")
    parser = _Parser(prog=f"{PROGRAM} init", description=_INIT_ABOUT)
    parser.add_argument(
        "kind",
        metavar="KIND",
        nargs="?",
        choices=kinds,
        default=kinds[0],
        help=f"{', '.join(kinds)} (default: {kinds[0]})",
    )
    parser.add_argument("--out", metavar="FILE", help="the config (default: KIND.yaml)")
    parser.set_defaults(quiet=False)
    return parser


def _schema_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=f"{PROGRAM} schema", description=_SCHEMA_ABOUT)
    parser.set_defaults(quiet=False)
    return parser


def _warm_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=f"{PROGRAM} warm", description=_WARM_ABOUT)
    parser.set_defaults(quiet=False)
    return parser


class _Parser(argparse.ArgumentParser):
    """An argparse parser whose faults are one line, and that guesses no option from its start."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings
        )

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{one_line(message)}; see {self.prog} --help\n")


class _Version(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from trainer.runs.provenance import __version__

        print(__version__)
        parser.exit()


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
