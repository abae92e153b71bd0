"""Write a starter config and, beside it, the JSON Schema of its keys; no file is overwritten."""

from __future__ import annotations

import contextlib
import os
import shlex
from importlib.resources import files
from pathlib import Path

from trainer.config.json_schema import config_schema_text
from trainer.errors import UserError
from trainer.text.atomic import disk_error
from trainer.text.paths import named_file

KINDS = ("softmax", "logistic", "linear", "sweep", "probe")
SCHEMA = "stacked-trainer.schema.json"
"""Name of the schema beside a starter, which the starter's first line names."""


def starter_text(kind: str, name: str) -> str:
    """The text of a starter.

    Args:
        kind: one of `KINDS`.
        name: what its file is called, for the command in its second line.
    """
    text = files("trainer.starter").joinpath(f"{kind}.yaml").read_text(encoding="utf-8")
    return text.replace(f"run {kind}.yaml", f"run {shlex.quote(name)}", 1)


def write_starter(kind: str, out: str | os.PathLike[str] | None = None) -> tuple[Path, str]:
    """Write a starter and the schema.

    Args:
        kind: one of `KINDS`.
        out: the file; by default `<kind>.yaml` in the current folder.

    Returns:
        The starter's absolute path, and a sentence about the schema.

    Raises:
        UserError: the file is there already, or cannot be one.
        DiskError: the disk refused.
    """
    path = named_file(f"{kind}.yaml" if out is None else out, f"{kind}.yaml")
    if not _write_new(path, starter_text(kind, path.name)):
        raise UserError(
            f"{path}: is there already, and init overwrites nothing; name another file with --out"
        )
    schema, text = path.with_name(SCHEMA), config_schema_text()
    if _write_new(schema, text):
        return path, f"{SCHEMA}, beside it, is for editors, which complete and explain its keys"
    if schema.read_bytes() == text.encode():
        return path, f"{SCHEMA} is beside it already"
    return path, (
        f"{SCHEMA} beside it is another version's, and stays; `stacked-trainer schema` prints ours"
    )


def _write_new(path: Path, text: str) -> bool:
    """Write a file that is not there yet; whether it was not."""
    try:
        with path.open("xb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))  # as the name has its odd bytes
    except FileExistsError:
        return False
    except OSError as error:
        with contextlib.suppress(OSError):  # a half would stand in the way of the next try
            path.unlink(missing_ok=True)
        raise disk_error(path, error) from error
    return True
