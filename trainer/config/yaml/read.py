"""YAML text to plain values, with the line and column of every key and value.

Built on PyYAML's events, which do not recurse and carry positions. The pure-Python parser is
pinned: libyaml's accepts a different set of files and crashes on deep nesting. Scalars follow the
core schema of YAML 1.2 (§10.3.2), as editors do: `1e-3` is a number, `no` is text, `010` is ten.

Anchors, aliases, tags, merge keys, duplicate keys, a second document and numbers that do not fit
are faults. They are collected, not raised, so that one look at the file shows all of them; what
could not be read is left out of the value, and its path is remembered as already reported.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from trainer.config.yaml.scalars import Path, Refused, resolve
from trainer.config.yaml.tree import MAX_CHARACTERS, MAX_DEPTH, MAX_NODES, Place, Tree
from trainer.errors import Fault
from trainer.text.printable import dotted


def read_yaml(text: str, file: str, folder: str, at: Path = (), position: bool = True) -> Tree:
    """Read one YAML document.

    Args:
        text: the document, already decoded.
        file: the name that faults carry.
        folder: the folder that relative paths of the document are relative to.
        at: the path of the document in the spec: () for a file, the key for an override.
        position: False leaves lines and columns out of the faults (an override is one line).
    """
    return _Reader(text, file, folder, at, position).read()


class _LeftOut:
    """Stands for a key or a value that could not be read, also in paths."""

    def __str__(self) -> str:
        return "?"


_LEFT_OUT = _LeftOut()
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# What YAML 1.2 (§5.1) does not allow in a file: control characters but tab and line ends.
# Classes apart, not one that is negated: that takes ten times as long to compile.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]|[\ud800-\udfff]|[\ufffe\uffff]"
)


class _Stop(Exception):
    """Reading cannot go on; the reason is already among the faults."""


class _Reader:
    """One pass over the events of one document."""

    def __init__(self, text: str, file: str, folder: str, at: Path, position: bool) -> None:
        self.text, self.file, self.folder, self.at = text, file, folder, at
        self.position = position
        self.tree = Tree()
        self.path: Path = at  # of the last node, for faults
        self.line = 0
        self.nodes = 0

    def read(self) -> Tree:
        try:
            self._check_text()
            self.loader = yaml.SafeLoader(self.text)  # not CSafeLoader: see the module's docstring
            self._document()
        except _Stop:
            self.tree.value = None
        return self.tree

    def _check_text(self) -> None:
        if len(self.text) > MAX_CHARACTERS:
            self._stop((1, 1), f"over {MAX_CHARACTERS:,} characters; a config is a few lines long")
        if found := _CONTROL.search(self.text):
            before = self.text[: found.start()]
            line = before.count("\n") + 1
            what = f"the character U+{ord(found[0]):04X} is not text; remove it, or save as UTF-8"
            self._stop((line, found.start() - before.rfind("\n")), what)

    def _document(self) -> None:
        self._next(self.at)  # the start of the stream
        event = self._next(self.at)
        if isinstance(event, yaml.StreamEndEvent):
            return
        value = self._node(self._next(self.at), self.at, (0, 0), 0)
        self.tree.value = None if value is _LEFT_OUT else value
        self._next(self.at)  # the end of the document
        event = self._next(self.at)
        if not isinstance(event, yaml.StreamEndEvent):
            what = (
                "a second document begins here; a file holds one, so remove this and what follows"
            )
            self.path = self.at
            self._fault(_start(event), what)

    def _next(self, inside: Path) -> Any:
        """Return the next event; `inside` is the path of the collection that is being read."""
        try:
            return self.loader.get_event()  # type: ignore[no-untyped-call]
        except yaml.MarkedYAMLError as error:
            problem, context = error.problem or "", error.context or ""
            never_closed = "stream" in problem or "separator" in problem
            marks = (error.context_mark, error.problem_mark)
            position = _position(next(filter(None, marks if never_closed else marks[::-1])))
            if never_closed or position[0] != self.line:  # not of the last node, but around it
                self.path = inside
            self._stop(position, _plain_words(problem, context))
        except (ValueError, OverflowError):  # of chr() and int() inside PyYAML
            what = "an escape or a version that YAML does not have; check it, or use single quotes"
            self._stop(_position(self.loader.get_mark()), what)

    def _node(self, event: Any, path: Path, key: tuple[int, int], depth: int) -> Any:
        """Read the node that `event` begins, and note its place."""
        start = _start(event)
        self.path, self.line = path, start[0]
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self._stop(start, f"over {MAX_NODES:,} values; a config is a few lines long")
        if depth > MAX_DEPTH:
            self._stop(start, f"nested over {MAX_DEPTH} levels deep; the deepest key is at level 4")
        if isinstance(event, yaml.AliasEvent):
            return self._leave_out(start, "aliases (*) are not read; write the value out")
        if event.anchor is not None:
            self._fault(start, "anchors (&) are not read; write the value out where it is needed")
        if event.tag is not None:
            self._fault(start, "tags (!) are not read; write the value without one")
        place = Place(self.file, self.folder, key if key != (0, 0) else start, start)
        if not self.position:
            place = Place(self.file, self.folder)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path, place)
        self.tree.places.setdefault(path, place)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path, depth)
        return self._mapping(path, depth)

    def _scalar(self, event: Any, path: Path, place: Place) -> Any:
        plain = event.implicit[0] or (event.style is None and event.tag is not None)
        text = event.value if plain else None
        self.tree.places.setdefault(
            path, Place(place.file, place.folder, place.key, place.value, text)
        )
        if _SURROGATE.search(event.value):
            return self._leave_out(
                _start(event), "half of a character (\\uD800 to \\uDFFF); use \\U"
            )
        try:
            return resolve(event.value) if plain else event.value
        except Refused as error:
            return self._leave_out(_start(event), str(error))

    def _sequence(self, path: Path, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := self._next(path), yaml.SequenceEndEvent):
            item = self._node(event, (*path, len(items)), (0, 0), depth + 1)
            items.append(None if item is _LEFT_OUT else item)
        return items

    def _mapping(self, path: Path, depth: int) -> dict[Any, Any]:
        mapping: dict[Any, Any] = {}
        first: dict[Any, int] = {}  # the line of each key
        while not isinstance(event := self._next(path), yaml.MappingEndEvent):
            start = _start(event)
            key = self._key(event, path, depth)
            repeated = key in first
            if repeated:
                self.path = (*path, key)
                line = f", first on line {first[key]}" if self.position else ""
                self._fault(start, f"written twice{line}; keep one")
            value = self._node(self._next((*path, key)), (*path, key), start, depth + 1)
            if key is _LEFT_OUT or repeated:
                continue
            first[key] = start[0]
            if value is not _LEFT_OUT:
                mapping[key] = value
        return mapping

    def _key(self, event: Any, path: Path, depth: int) -> Any:
        """Read a key, which is a scalar that is not null."""
        start = _start(event)
        if not isinstance(event, yaml.ScalarEvent):
            self.path = path
            self._fault(start, "this key is not a word; write key: value")
            self._node(event, (*path, _LEFT_OUT), (0, 0), depth + 1)
            return _LEFT_OUT
        key = self._node(event, (*path, _LEFT_OUT), (0, 0), depth + 1)
        self.path = path
        if key is None:
            self._fault(start, "a key is missing before the colon; write key: value")
        elif isinstance(key, float) and not math.isfinite(key):
            self._fault(start, "this key is not a finite number; quotes make it text")
        elif key == "<<" and event.implicit[0]:
            self._fault(start, "merge keys (<<) are not read; write the keys out")
        else:
            return key
        return _LEFT_OUT

    def _leave_out(self, position: tuple[int, int], what: str) -> object:
        self._fault(position, what)
        self.tree.reported.add(self.path)
        return _LEFT_OUT

    def _fault(self, position: tuple[int, int], what: str) -> None:
        line, column = position if self.position else (0, 0)
        self.tree.faults.append(Fault(self.file, line, column, dotted(self.path) or "(file)", what))

    def _stop(self, position: tuple[int, int], what: str) -> None:
        self._fault(position, what)
        raise _Stop


def _start(event: Any) -> tuple[int, int]:
    return _position(event.start_mark)


def _position(mark: Any) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1


# What PyYAML says, in words for somebody who does not know the grammar; the first that fits.
_SYNTAX = (
    ("'<stream end>'", "a bracket is not closed; close it"),
    ("'\\t'", "a tab stands where spaces belong; indent with spaces"),
    ("mapping values are not allowed", "a second ': ' or an indent that fits no key above;"
     " line up the keys, and quote a value that has ': ' in it"),
    ("could not find expected ':'", "a line without ': '; write key: value"),
    ("expected ',' or ']'", "a '[' is not closed, or a comma is missing; write [1, 2, 3]"),
    ("expected ',' or '}'", "a '{' is not closed, or a comma is missing; write {key: value}"),
    ("unexpected end of stream", "a quote is not closed; close it where the text ends"),
    ("unexpected document separator", "a quote is not closed; close it where the text ends"),
    ("unknown escape character", "a backslash in double quotes that YAML does not know;"
     " use single quotes"),
    ("expected escape sequence", "a backslash in double quotes that YAML does not know;"
     " use single quotes"),
    ("expected <block end>", "an indent that fits no line above; line up the keys of one block"),
    ("expected '<document start>'", "something follows the end of the document; remove it"),
    ("that cannot start any token", "a character that begins no value; quote the value"),
    ("incompatible YAML document", "another version of YAML; remove the line %YAML"),
    ("expected the node content", "a bracket or a comma without a value before it;"
     " quote it if it is text"),
)  # fmt: skip


def _plain_words(problem: str, context: str) -> str:
    for needle, words in _SYNTAX:
        if needle in problem:
            return words
    return f"not YAML: {' '.join(f'{context}, {problem}'.split())}; check quotes and indentation"
