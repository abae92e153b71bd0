"""The program's name, and what a command line that is none was meant to be."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from trainer.text.printable import one_of

PROGRAM = "stacked-trainer"
_CONFIGS = (".yaml", ".yml")
_CONFIG_OPTIONS = ("c", "cfg", "config", "config-file", "config_file", "file")
_OTHER_WORDS = {
    "run": ("train", "fit", "sweep", "start", "launch", "optimize"),
    "predict": ("score", "evaluate", "eval", "test", "infer", "apply"),
    "report": ("compare", "show", "plot", "view"),
    "init": ("new", "create", "template", "example", "starter"),
    "schema": ("config", "keys"),
    "warm": ("compile", "warmup", "warm-up"),
    "--help": ("help",),
    "--version": ("version", "-v"),
}
_DEVICES = {"gpu": "gpu", "cuda": "gpu", "cpu": "cpu"}


def meant_command(argv: Sequence[str], commands: Sequence[str]) -> str:
    """What is wrong with a first argument that is no command, and what to write.

    Args:
        argv: the arguments, one at least.
        commands: those there are.
    """
    first, *rest = argv
    words = {word: command for command, others in _OTHER_WORDS.items() for word in others}
    if first.startswith("-"):
        key, equals, value = first.lstrip("-").partition("=")
        if key in _CONFIG_OPTIONS and (rest or value):
            config = [value, *rest] if equals else rest
            return f"{first.partition('=')[0]} is no command; write {_line('run', *config)}"
        meant = words.get(first.lower()) or _nearest(first, ("--help", "--version"))
        option = f"{key}={value}" if "." in key and equals else first
        right = f"did you mean {meant}?" if meant else f"for example {PROGRAM} run CONFIG {option}"
        return f"{first} stands where the command does; {right}"
    if first.lower().endswith(_CONFIGS):
        return f"{_shown(first)} is no command; write {_line('run', *argv)}"
    if first.lower() == "help" and rest[:1] and rest[0] in commands:
        return f"'help' is no command; did you mean {_line(rest[0], '--help')}?"
    meant = words.get(first.lower()) or _nearest(first, commands)
    right = f"did you mean {_line(meant, *rest)}?" if meant else f"write {one_of(commands)}"
    return f"{_shown(first)} is no command; {right}"


def meant_option(
    extra: Sequence[str],
    argv: Sequence[str],
    options: Sequence[str],
    called: Callable[[str], Sequence[str]],
) -> str | None:
    """What to write for arguments that `run` does not know: keys written as options.

    Args:
        extra: the unknown arguments.
        argv: all of them.
        options: those there are.
        called: gives the dotted paths of a config that a word may stand for.
    """
    first = next((word for word in extra if word.startswith("-")), "")
    key, equals, value = first.lstrip("-").partition("=")
    at = list(argv).index(first) + 1 if first in argv else len(argv)
    if not equals and at < len(argv) and not argv[at].startswith("-"):
        value = argv[at]
    if key in _DEVICES and not equals:
        return f"write --device {_DEVICES[key]}"
    found = called(key.replace("-", "_"))
    if value and (found or "." in key):
        path = min(found, key=lambda path: path.count("."), default=key)
        return f"write {shlex.quote(f'{path}={value}')}"
    if value and key in _CONFIG_OPTIONS:
        return f"write {_line('run', value)}"
    close = _nearest(first.partition("=")[0], options)
    return f"did you mean {close}?" if close else None


def _nearest(word: str, known: Sequence[str]) -> str | None:
    from trainer.text.suggest import nearest  # with NumPy, which a command line that is one spares

    return nearest(word, known)


def _line(*words: str) -> str:
    return shlex.join([PROGRAM, *words])


def _shown(word: str) -> str:
    return repr(word if len(word) <= 60 else word[:57] + "...")
