"""The digest of a run's data in its config.yaml: a comment, by which later data can be compared."""

from __future__ import annotations

import re

_NOTE = "# data sha256: "
_NOTED = re.compile(rf"^{_NOTE}([0-9a-f]{{64}})\s*$", re.M)


def with_digest(config: str, digest: str) -> str:
    """A config's text with the digest of its data as the first line."""
    return f"{_NOTE}{digest}\n{config}"


def noted_digest(config: str | None) -> str | None:
    """The digest (sha256, hex) that a config's text notes; None where it notes none.

    Args:
        config: the file as written; None for a spec without one.
    """
    noted = _NOTED.search(config or "")
    return noted and noted[1]
