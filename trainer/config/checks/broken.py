"""A rule of settings that do not go together, and one that is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec


class Broken(NamedTuple):
    """A rule that a spec breaks: the key to change, why and to what, and the other keys read."""

    key: str
    what: str
    reads: tuple[str, ...] = ()


Rule = Callable[["Spec"], Iterator[Broken]]
