"""Plain values to YAML that reads as the same values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from trainer.config.yaml.scalars import Refused, resolve

# Plain in block and in flow style, for YAML 1.2 and for tools that still read 1.1.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+-]*")
_READ_BY_1_1 = {"y", "n", "yes", "no", "on", "off"}
# In a double-quoted scalar JSON's escapes are YAML's, but these may not stand there as they are.
_ESCAPED = re.compile(r"[\x00-\x1f\x7f-\xa0]|[\u2028\u2029]|[\ud800-\udfff]|\ufeff|[\ufffe\uffff]")


def to_yaml(tree: Mapping[Any, Any]) -> str:
    """Return dicts, tuples and scalars as YAML: blocks indented, lists on one line."""
    return "\n".join(_lines(tree, "")) + "\n"


def flow(value: Any) -> str:
    """Return a value on one line, in flow style."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
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


def _lines(block: Mapping[Any, Any], indent: str) -> Iterator[str]:
    for key, value in block.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{flow(key)}:"
            yield from _lines(value, indent + "  ")
        elif isinstance(value, tuple) and any(isinstance(item, dict) for item in value):
            yield f"{indent}{flow(key)}:"
            yield from (f"{indent}  - {flow(item)}" for item in value)
        else:
            yield f"{indent}{flow(key)}: {flow(value)}"
