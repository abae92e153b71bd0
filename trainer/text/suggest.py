"""Suggestions for misspelt names: the nearest one there is. All results are one line."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from trainer.text.labels import nfc
from trainer.text.names import cut_apart
from trainer.text.printable import SHOWN, quote

LISTED = 6


def nearest_name(name: str, names: Sequence[str]) -> str:
    """`'label' is the nearest name`, or the names there are."""
    close = closest(name, names)
    if close is not None:
        return f"{_shown_apart(close, name)} is the nearest name"
    shown = ", ".join(map(repr, cut_apart([name, *names[:LISTED]], SHOWN)[1:]))
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"there are {shown}{more}" if names else "there are none"


def _shown_apart(close: str, name: str) -> str:
    """The near name between quotes, not as the one that was written is shown."""
    if quote(close) != quote(name):
        return quote(close) if nfc(close) != nfc(name) else ascii(close)
    return repr(cut_apart([close, name], SHOWN)[0])


def closest(name: str, names: Sequence[str]) -> str | None:
    """The likeliest correction of a name, or None: same letters, same stem, then difflib."""
    for other in names:
        if nfc(other).casefold() == nfc(name).casefold():
            return other
    for other in names:
        if other.split(".")[0] == name.split(".")[0] and name.split(".")[0]:
            return other
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return found[0] if found else None


def nearest(word: str, known: Sequence[str]) -> str | None:
    """Return the known word that `word` seems to be a misspelling of, or None."""
    folded = {name.casefold(): name for name in reversed(known)}
    close = difflib.get_close_matches(word.casefold()[:SHOWN], folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None
