"""Plain values to YAML that reads as the same values."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from trainer.config.yaml.scalars import Refused, resolve

# Plain in block and in flow style, for YAML 1.2 and for tools that still read 1.1.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+-]*")
_READ_BY_1_1 = {"y", "n", "yes", "no", "on", "off"}
# In a double-quoted scalar JSON's escapes are YAML's, but these may not stand there as they are.
_ESCAPED = re.compile(r"[\x00-\x1f\x7f-\xa0]|[\u2028\u2029]|[\ud800-\udfff]|\ufeff|[\ufffe\uffff]")


def to_yaml(tree: Mapping[Any, Any], exact: Collection[str] = ()) -> str:
    """Return dicts, tuples and scalars as YAML: blocks indented, lists on one line.

    Args:
        tree: what is written.
        exact: keys of it below which 1.0 is read as 1.0 again; elsewhere it is 1.
    """
    blocks = (_lines({key: value}, "", key in exact) for key, value in tree.items())
    return "\n".join(line for lines in blocks for line in lines) + "\n"


def flow(value: Any, exact: bool = False) -> str:
    """Return a value on one line, in flow style; only an `exact` 1.0 is read as 1.0 again."""
    if isinstance(value, Mapping):
        items = (f"{flow(key)}: {flow(item, exact)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(flow(item, exact) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value) if exact else repr(value).removesuffix(".0")
    return _text(value) if isinstance(value, str) else str(value)


def flow_keys(keys: Mapping[str, Any]) -> str:
    """Return keys on one line as they can be pasted into a block."""
    return ", ".join(f"{key}: {flow(value)}" for key, value in keys.items())


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _READ_BY_1_1:
        try:
            if resolve(text) == text:
                return text
        except Refused:
            pass
    quoted = json.dumps(text, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def _lines(block: Mapping[Any, Any], indent: str, exact: bool) -> Iterator[str]:
    for key, value in block.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{flow(key)}:"
            yield from _lines(value, indent + "  ", exact)
        elif isinstance(value, tuple) and any(isinstance(item, dict) for item in value):
            yield f"{indent}{flow(key)}:"
            yield from (f"{indent}  - {flow(item, exact)}" for item in value)
        else:
            yield f"{indent}{flow(key)}: {flow(value, exact)}"
