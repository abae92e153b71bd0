"""Measure a GPU in ten minutes, most valuable first, each part bounded.

What was measured is in the folder whenever the command is ended: gpu.jsonl (a line a result),
gpu.log and a page of it. The exit code is 0 if every part is done and every check holds.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu import page, records, wheels
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.runner import Log, run_parts

_LOG = "gpu.log"
_MINUTES, _AGAIN = 10.0, 4.0
# a terminal that is closed hangs up
_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_SAME = "the same GPU as before"
_DOCS = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"


def main(argv: Sequence[str]) -> int:
    """Read the arguments, measure, write; return the exit code."""
    args = _parser().parse_args(argv)
    begun = time.monotonic()
    if args.wheels:
        print("\n".join(wheels.lines(args.wheels)))
        return 0
    try:
        found = records.read(args.again or args.page) if args.again or args.page else []
    except (OSError, ValueError) as error:
        return _refuse(f"{args.again or args.page}: {error}")
    try:
        return _page(args, found) if args.page else _begin(args, found, begun)
    except OSError as error:  # such as a disk that is full: what is written stays
        return _refuse(str(error))


def _page(args: argparse.Namespace, found: Sequence[records.Record]) -> int:
    """Write the page of results, no more; return the exit code."""
    path = page.write(found, args.out or _DOCS)
    if path is None:
        return _refuse(f"{args.page}: no GPU was measured: a page is made of one alone")
    print(path)
    return 0


def _begin(args: argparse.Namespace, found: Sequence[records.Record], begun: float) -> int:
    """Look at what is asked for, and carry it out; return the exit code."""
    out = records.output_folder(args.out) or (args.again.parent if args.again else None)
    if out is None:
        return _refuse("--out FOLDER says where the results go, or the environment's OUT")
    out = out.absolute()  # parts have a folder of their own to be in
    if (out / records.FILE).exists() and not args.again:
        return _refuse(
            f"{out} has results already: take another folder, or --again {out / records.FILE}"
        )
    if args.again and page.is_rehearsal(found) != args.rehearse:
        other = "a rehearsal" if not args.rehearse else "no rehearsal"
        return _refuse(f"{args.again} is of {other}, whose results would be kept")
    wanted = [name for name in PARTS if not args.again or name in _left(found)]
    return _measure(args, out, found, wanted, begun)


def _measure(
    args: argparse.Namespace,
    out: Path,
    known: Sequence[records.Record],
    wanted: list[str],
    begun: float,
) -> int:
    """Carry out parts; return the exit code."""
    names = [name for name in wanted if not args.part or name in args.part]
    minutes = args.minutes or (_AGAIN if args.again else _MINUTES)
    out.mkdir(parents=True, exist_ok=True)
    file, log = out / records.FILE, Log(out / _LOG)
    kept = [one for one in known if one["part"] not in {*names, records.RUN}]
    records.replace(file, kept)
    what = "a rehearsal on the double of CuPy" if args.rehearse else "of this machine's GPU"
    told = f"{time.strftime('%Y-%m-%d %H:%M')}, {minutes:g} minutes at most, {what}"
    record: dict[str, Any] = {"kind": "note", "part": records.RUN, "name": "scripts/gpu"}
    record |= {"words": told, "minutes": minutes, "rehearsal": args.rehearse}
    record |= {"parts": wanted if args.again else names, "gpu": _gpu_of(known) if kept else ""}
    records.append(file, record)
    log(f"scripts/gpu: {told}; {len(names)} parts: {', '.join(names)}")

    def done() -> None:
        _check_gpu(file, record["gpu"])
        page.write(records.read(file), out)

    try:
        with _ended_by_signals():
            if args.wheelhouse and (fault := wheels.install(args.wheelhouse, log)):
                check: dict[str, Any] = {"kind": "check", "part": records.RUN, "name": "wheels"}
                check |= {"ok": False, "words": fault}
                records.append(file, check)
                log(records.line(check))
            run_parts(names, out, begun + 60 * minutes, args.rehearse, log, done)
    except SystemExit:  # by a signal
        _close(file, log)
        raise
    return _close(file, log)


def _close(file: Path, log: Log) -> int:
    """Say what does not hold; return the exit code."""
    found = records.read(file)
    faults = records.failures(found)
    held = sum(one["kind"] == "check" and one["ok"] for one in found)
    log(f"{held} checks hold; results in {file}")
    for fault in faults:
        log(f"NOT: {fault}")
    if faults:
        log(f"to do the rest: scripts/gpu --again {file}")
    return 1 if faults else 0


def _gpu_of(known: Sequence[records.Record]) -> str:
    """The GPU that results are of; of those that were kept before, theirs."""
    kept = [one["gpu"] for one in known if one.get("gpu")]
    return str(kept[0]) if kept else page.device_of(known)


def _check_gpu(file: Path, known: str) -> None:
    """Note once if this is another GPU than the one that results which are kept are of."""
    found = records.read(file)
    gpu = page.device_of(found)
    if not (gpu and known) or page.name_of(gpu) == page.name_of(known):
        return
    if all(one.get("name") != _SAME for one in found):
        words = f"results that are kept are of {known}, this is {gpu}"
        check = {"kind": "check", "part": "device", "name": _SAME, "ok": False, "words": words}
        records.append(file, check)


def _left(found: Sequence[records.Record]) -> set[str]:
    """The parts that are to be done again, and those that were never begun; the device always."""
    return records.unfinished(found) | {"device"}


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let what ends this process end the part's as well."""

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, known in before.items():
        if known is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, end)
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        for number, known in before.items():
            signal.signal(number, known)


def _refuse(words: str) -> int:
    print(f"scripts/gpu: {words}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:11} {part.title}" for name, part in PARTS.items())
    made = argparse.ArgumentParser(
        prog="scripts/gpu",
        description=__doc__,
        epilog=f"parts, in this order:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="of the results (default: $OUT, or with --again theirs)",
    )
    add("--minutes", type=_minutes, metavar="M", help="of all parts (10; with --again 4)")
    add("--part", action="append", choices=PARTS, metavar="PART", help="this one; several times")
    one = made.add_mutually_exclusive_group().add_argument
    one("--again", type=Path, metavar="RESULTS", help="a gpu.jsonl: do what failed or is missing")
    one("--page", type=Path, metavar="RESULTS", help="write its page to docs/benchmarks, no more")
    add("--rehearse", action="store_true", help="all parts, tiny, without a GPU")
    add("--wheels", type=int, nargs="?", const=12, choices=(12, 13), metavar="12|13",
        help="print the packages that all parts want, for pip download")  # fmt: skip
    add("--wheelhouse", type=Path, metavar="FOLDER", help="of wheels: install what is missing")
    return made


def _minutes(word: str) -> float:
    """A number above 0."""
    try:
        found = float(word)
    except ValueError:
        found = 0.0
    if not 0 < found < 1e4:
        raise argparse.ArgumentTypeError(f"expected a number of minutes above 0, got {word}")
    return found
