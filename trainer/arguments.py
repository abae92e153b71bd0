"""The arguments of each command: what they are, what is wrong with them, what `--help` says."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from trainer.text.printable import one_line
from trainer.text.program import PROGRAM, meant_command, meant_option
from trainer.text.windows import command_line

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


def parse(argv: Sequence[str]) -> tuple[str, argparse.Namespace]:
    """The command's name and its arguments; SystemExit after a help or a fault, as argparse has it.

    Args:
        argv: what follows the program's name.
    """
    commands = {
        "run": _run_parser,
        "predict": _predict_parser,
        "report": _report_parser,
        "explain": _explain_parser,
        "init": _init_parser,
        "schema": _schema_parser,
        "warm": _warm_parser,
    }
    top = _Parser(
        prog=PROGRAM, usage=f"{PROGRAM} COMMAND ...", description=_ABOUT, epilog=_COMMANDS_HELP
    )
    top.add_argument("--version", action=_Version)
    top.add_argument("command", metavar="COMMAND", help="see below")
    if argv and argv[0] not in (*commands, "-h", "--help", "--version"):
        top.error(meant_command(argv, list(commands)))
    name, rest = top.parse_args(argv[:1]).command, argv[1:]
    parser = commands[name]()
    if name != "run":
        return name, parser.parse_args(rest)
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
    return name, args


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
