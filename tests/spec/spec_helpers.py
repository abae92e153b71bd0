"""Loading a spec from text, and its faults as the lines a user sees."""

from pathlib import Path

import pytest

from trainer.errors import SpecError
from trainer.spec import Spec, load_spec

SMALLEST = "model: softmax\ndata: {train: digits}\n"


def load(folder: Path, text: str | bytes, *overrides: str) -> Spec:
    file = folder / "a.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_spec(file, overrides)


def faults(folder: Path, text: str | bytes, *overrides: str) -> list[str]:
    """The lines of the SpecError of a file, without the folder that it is in."""
    with pytest.raises(SpecError) as caught:
        load(folder, text, *overrides)
    return [line.removeprefix(f"{folder}/") for line in str(caught.value).splitlines()]
