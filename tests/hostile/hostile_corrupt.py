"""Ways to break a file, a config, an override: each seeded, each with a name."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from random import Random
from typing import Any

HUGE = (
    "1e999",
    "1e30",
    "1e30",
    "-1e999",
    "1e308",
    "9" * 40,
    "9" * 5000,
    "1e-320",
    "nan",
    "-inf",
    "0x7f",
    "1e" * 9,
)
WORDS = (
    "",
    "x",
    "NA",
    "none",
    "true",
    '"',
    "'",
    "é",
    "\u202e",
    "🦖",
    "\ud800",
    "a,b",
    "\t",
    "[",
    ":",
)
SCALARS = (
    *HUGE, "~", "null", "none", "true", "no", "010", "1:30", "-0", "0", "-1", "1.5", "[]", "{}",
    "[[]]",
    "'x'", '"\\ud800"', '"\\0"', "&a 1", "*a", "!!python/object:os.system x", "<<", "695e0514",
    "[1, [2, {a: 3}]]", "{a: {b: {c: 1}}}", "../x", "/", ".", "..", "~/x", "é", "🦖", "|",
    "x" * 3000,
    "2026-01-01", "auto", "full", "balanced", "sgd", "adamw", "digits", "softmax", "linear",
)  # fmt: skip
KEYS = ("lr", "momentum", "name", "model", "seed", "<<", "", "é", "x" * 2000, "0", "true", "[1]",
        "C",
        "table", "npy", "npz", "libsvm", "synthetic", "weight", "target",
        "steps", "sweep")  # fmt: skip
NAMES = (
    "../x",
    "/",
    ".",
    "..",
    "",
    "a" * 300,
    "a\nb",
    "a\0b",
    "é",
    "\udcff",
    "-x",
    "~",
    "a b",
    "CON",
)

_NUMBER = re.compile(rb"[0-9][0-9.]*")
_CELL = re.compile(rb"[A-Za-z0-9.+-]+")


def broken_bytes(rng: Random, data: bytes) -> tuple[bytes, str]:
    """The bytes after one to three corruptions, and their names."""
    named = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        name, action = rng.choice(list(_BYTES.items()))
        data = action(rng, data)
        named.append(name)
    return data, "+".join(named)


def broken_file(rng: Random, name: str, data: bytes) -> tuple[bytes, str]:
    """The same for a file; what is packed is broken inside or outside."""
    if name.endswith(".gz") and rng.random() < 0.5:
        inside, what = broken_bytes(rng, gzip.decompress(data))
        return gzip.compress(inside, mtime=0), f"inside {what}"
    return broken_bytes(rng, data)


def _somewhere(rng: Random, data: bytes) -> int:
    """A place, as often near an end as anywhere: there are headers and footers."""
    near = min(len(data), 64)
    return rng.choice((rng.randint(0, len(data)), rng.randint(0, near), len(data) - near // 2))


def _slice(rng: Random, data: bytes) -> tuple[int, int]:
    start = _somewhere(rng, data)
    return start, min(len(data), start + rng.choice((1, 2, 8, 40, 400)))


def _flip(rng: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 8))):
        if changed:
            changed[min(_somewhere(rng, data), len(changed) - 1)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _replaced(pattern: re.Pattern[bytes], choices: tuple[str, ...]) -> Callable[..., bytes]:
    def action(rng: Random, data: bytes) -> bytes:
        found = list(pattern.finditer(data))
        if not found:
            return data
        at = rng.choice(found)
        word = rng.choice(choices).encode("utf-8", "surrogatepass")
        return data[: at.start()] + word + data[at.end() :]

    return action


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _cut(rng: Random, data: bytes) -> bytes:
    a, b = _slice(rng, data)
    return data[:a] + data[b:]


def _zeros(rng: Random, data: bytes) -> bytes:
    a, b = _slice(rng, data)
    return data[:a] + bytes(b - a) + data[b:]


def _repeat(rng: Random, data: bytes) -> bytes:
    a, b = _slice(rng, data)
    return data[:b] + data[a:b] * rng.choice((1, 2, 50)) + data[b:]


def _insert(rng: Random, data: bytes) -> bytes:
    a = _somewhere(rng, data)
    return data[:a] + rng.randbytes(rng.choice((1, 4, 64))) + data[a:]


def _swap(rng: Random, data: bytes) -> bytes:
    (a, b), (c, d) = sorted((_slice(rng, data), _slice(rng, data)))
    return data if c < b else data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _nest(rng: Random, data: bytes) -> bytes:
    a = _somewhere(rng, data)
    return data[:a] + rng.choice((b"[", b"{a: ", b"(", b"- ")) * rng.choice((30, 5000)) + data[a:]


def _lines(rng: Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    action = rng.choice((lines.reverse, lambda: rng.shuffle(lines), lambda: lines.extend(lines)))
    action()
    return b"".join(lines)


_BYTES: dict[str, Callable[[Random, bytes], bytes]] = {
    "flip": _flip,
    "truncate": lambda rng, data: data[: _somewhere(rng, data)],
    "cut": _cut,
    "zeros": _zeros,
    "repeat": _repeat,
    "insert": _insert,
    "swap": _swap,
    "nest": _nest,
    "lines": _lines,
    "huge number": _replaced(_NUMBER, HUGE),
    "type": _replaced(_CELL, WORDS),
    "number for text": _replaced(re.compile(rb"[A-Za-z_]+"), ("7", "-1", "1e5", "0")),
    "CRLF": lambda rng, data: data.replace(b"\n", b"\r\n"),
    "CR": lambda rng, data: data.replace(b"\n", b"\r"),
    "BOM": lambda rng, data: b"\xef\xbb\xbf" * rng.choice((1, 2)) + data,
    "UTF-16": lambda rng, data: _text(data).encode(rng.choice(("utf-16", "utf-16-be", "utf-32"))),
    "Latin-1": lambda rng, data: data.replace(b"a", b"\xe9"),
    "NUL": lambda rng, data: data.replace(rng.choice((b"\n", b",", b" ")), b"\0"),
    "empty": lambda rng, data: b"",
    "doubled": lambda rng, data: data * 2,
    "separators": lambda rng, data: data.replace(b",", rng.choice((b";", b"\t", b",,", b" "))),
}


# ---------------------------------------------------------------- configs


def flow(value: Any) -> str:
    """YAML in one line; a `Raw` goes in as it is."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and not isinstance(value, Raw):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


class Raw(str):
    """Text that goes into YAML without quotes."""


def broken_tree(rng: Random, tree: dict[str, Any]) -> str:
    """Change one place of a tree of dicts and lists; the name of the change."""
    places = list(_places(tree))
    holder, key = rng.choice(places)
    change = rng.choice(("value", "value", "value", "key", "drop", "nest", "move", "list"))
    if change == "value":
        holder[key] = Raw(rng.choice(SCALARS))
    elif change == "key" and isinstance(holder, dict):
        holder[Raw(rng.choice(KEYS))] = holder.pop(key)
    elif change == "drop":
        del holder[key]
    elif change == "nest":
        deep = rng.choice((1, 3, 40, 400))
        holder[key] = Raw("[" * deep + flow(holder[key]) + "]" * deep)
    elif change == "move":
        other, place = rng.choice(places)
        other[place] = Raw(flow(holder[key]))
    else:
        holder[key] = [holder[key]] * rng.choice((0, 2, 100))
    return f"{change} at {key}"


def _places(tree: Any) -> list[tuple[Any, Any]]:
    keys = list(tree) if isinstance(tree, dict) else range(len(tree))
    found = [(tree, key) for key in keys]
    for key in keys:
        if isinstance(tree[key], dict | list):
            found += _places(tree[key])
    return found


def broken_override(rng: Random, tree: dict[str, Any]) -> str:
    """`key=value` of which one side or the other is strange."""
    paths = list(_dotted(tree))
    key = rng.choice(
        (*paths, *paths, rng.choice(KEYS), "", ".", "data.test.0.name", "a" + ".a" * 500)
    )
    equals = "=" if rng.random() < 0.95 else ""
    value = rng.choice((*SCALARS, *SCALARS, *WORDS, "../data/none.csv", "[" * 5000))
    return f"{key}{equals}{value}"


def _dotted(tree: dict[str, Any], above: str = "") -> list[str]:
    found = []
    for key, value in tree.items():
        found.append(f"{above}{key}")
        if isinstance(value, dict):
            found += _dotted(value, f"{above}{key}.")
    return found
