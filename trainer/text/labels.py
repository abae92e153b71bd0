"""Names, labels and categories in one form, however a file, a frame or YAML spells them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np

_TRUTH = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}
_WHOLE = re.compile(r"\+?(-?(?:0|[1-9][0-9]{0,17}))(?:\.0*)?")
_AS_NUMBER = {"false": "0", "true": "1"}
_AS_TRUTH = {"0": "false", "1": "true"}


def nfc(name: str) -> str:
    """A name in Unicode's composed form: é as one letter and as two are one name."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def label_text(label: Any) -> str:
    """How a label is written in YAML and in column names: true, 3 (also for 3.0), cat.

    Text is taken for what it spells: `True` and `TRUE` are true, `1.0` and `+1` are 1; `01` and
    `1.50` are names and stay. Spaces around it are no part of it: files with `, ` between cells
    have them before each.
    """
    if isinstance(label, str):
        label = label.strip()
        if label in _TRUTH:
            return _TRUTH[label]
        whole = _WHOLE.fullmatch(label)
        return str(int(whole[1])) if whole else nfc(str(label))
    if isinstance(label, bool | np.bool_):
        return "true" if label else "false"
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return str(int(label))
    return str(label)


def column_texts(labels: Iterable[Any]) -> list[str]:
    """The text of each label of one column; in a column of booleans 1 is true and 0 is false."""
    texts = [label_text(label) for label in labels]
    found = set(texts)
    if found <= _AS_NUMBER.keys() | _AS_TRUTH.keys() and not found.isdisjoint(_AS_NUMBER):
        return [_AS_TRUTH.get(text, text) for text in texts]
    return texts


def label_positions(labels: Iterable[Any]) -> dict[str, int]:
    """{text of a label: its position}; true is 1 and false is 0 where there are no other labels."""
    position = {label_text(label): i for i, label in enumerate(labels)}
    for others in (_AS_NUMBER, _AS_TRUTH):
        if position.keys() <= others.keys():
            return position | {others[text]: i for text, i in position.items()}
    return position
