"""The page: a skeleton of words, its style and scripts, and the samples, joined to one file."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path

from trainer.explain.samples import PICTURES, tables
from trainer.text.atomic import write_atomic
from trainer.text.paths import named_file


def page() -> str:
    """The whole page. It asks for nothing outside itself, and is the same at each call."""
    samples = {name: tables(picture) for name, picture in PICTURES.items()}
    text = _part("page.html")
    for place, part in {
        "/* page.css */": _part("page.css"),
        "/* scripts */": "".join(map(_part, ("read.js", "draw.js", "hands.js"))),
        "{samples}": json.dumps(samples, separators=(",", ":")),
    }.items():
        text = text.replace(place, part)
    return text


def _part(name: str) -> str:
    return files("trainer.explain").joinpath(name).read_text(encoding="utf-8")


def write_page(out: str | os.PathLike[str] = "explain.html") -> Path:
    """Write the page.

    Args:
        out: the file; what stands there is replaced.

    Returns:
        Its absolute path.

    Raises:
        UserError: `out` is a folder, or lies in none.
        DiskError: the disk refused.
    """
    path = named_file(out, "explain.html")
    write_atomic(path, page().encode())
    return path
