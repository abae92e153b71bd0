"""Settings of a trial in a few words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.text.numbers import plain_number
from trainer.text.printable import printable

_LONG = 24  # letters of a text from which on its shared parts are left out
_SHORT = {"repeat.few_shot.k": "k", "repeat.few_shot.rows": "rows"}

Settings = Mapping[str, Any]


def short_names(paths: Sequence[str]) -> list[str]:
    """The last word of each path; the last but one where that is `name`; all if two would agree."""
    names = []
    for path in paths:
        *before, last = path.split(".")
        names.append(_SHORT.get(path) or (before[-1] if last == "name" and before else last))
    return [
        name if names.count(name) == 1 else path for name, path in zip(names, paths, strict=True)
    ]


def settings_text(settings: Settings) -> str:
    """Settings in a few words, each key as short as it can be."""
    if not settings:
        return "as written"
    names = short_names(list(settings))
    return ", ".join(
        f"{name} {value_text(value)}" for name, value in zip(names, settings.values(), strict=True)
    )


def value_text(value: Any) -> str:
    """A swept value, numbers with four significant digits, in one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return plain_number(value)
    return printable(str(value)).replace("\n", "\\n")


class BriefSettings:
    """Settings in a few words, of long texts (paths of files) only what tells them apart.

    Args:
        axes: {swept path: its values}.
    """

    def __init__(self, axes: Mapping[str, Sequence[Any]]) -> None:
        self._shared = {path: _shared(values) for path, values in axes.items()}

    def __call__(self, settings: Settings) -> str:
        """A trial's."""
        return settings_text({path: self._value(path, v) for path, v in settings.items()})

    def _value(self, path: str, value: Any) -> Any:
        before, after = self._shared.get(path, (0, 0))
        if not isinstance(value, str) or len(value) <= _LONG or not before + after:
            return value
        inner = value[before : len(value) - after]
        return "…" * (before > 0) + inner + "…" * (after > 0)


def _shared(values: Sequence[Any]) -> tuple[int, int]:
    """How many letters of texts are the same at both ends, up to a folder's name."""
    if len(values) < 2 or not all(isinstance(value, str) for value in values):
        return 0, 0
    before, after = _alike(values), _alike([value[::-1] for value in values])
    shortest = min(map(len, values))
    return before, max(min(after, shortest - before), 0)


def _alike(values: Sequence[str]) -> int:
    """How many first letters are the same, up to a slash, which stays."""
    least, most = min(values), max(values)
    pairs = enumerate(zip(least, most, strict=False))
    count = next((i for i, (a, b) in pairs if a != b), len(least))
    return max(least[:count].rfind("/"), 0)
