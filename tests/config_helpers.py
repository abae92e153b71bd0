"""Loading a spec from text, and its faults as the lines a user sees."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from trainer.config import Spec, load_spec
from trainer.errors import Fault, SpecError

SMALLEST = "model: softmax\ndata: {train: digits}\n"


def load(folder: Path, text: str | bytes, *overrides: str) -> Spec:
    file = folder / "a.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_spec(file, overrides)


def attempt(source: Any, overrides: Sequence[str] = ()) -> tuple[Spec | None, list[Fault]]:
    """The spec, or its faults, of what may be either."""
    try:
        return load_spec(source, overrides), []
    except SpecError as error:
        return None, error.faults


def faults(folder: Path, text: str | bytes, *overrides: str) -> list[str]:
    """The lines of the SpecError of a file, without the folder that it is in."""
    with pytest.raises(SpecError) as caught:
        load(folder, text, *overrides)
    return [line.removeprefix(f"{folder}/") for line in str(caught.value).splitlines()]
