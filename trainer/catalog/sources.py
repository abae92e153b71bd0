"""Facts of sources of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Bundled(NamedTuple):
    """A data set in the package: its target's column, and the model that it is for."""

    target: str
    model: str


BUNDLED: dict[str, Bundled] = {
    "diamonds": Bundled("price", "linear"),
    "breast_cancer": Bundled("diagnosis", "logistic"),
    "digits": Bundled("digit", "softmax"),
}
"""ATTRIBUTION.md beside the files says whence."""


class SourceFacts(NamedTuple):
    """What is true of a kind of source, which is named after the key that tells it.

    Attributes:
        paths: its keys that are paths.
        suffixes: of the files that it reads.
        example: the source of a {file}, as a fault proposes it.
        not_inherited: keys of train that val and test do not take from it.
        named: keys whose values name something in another file of that kind.
        indexed: whether columns are called by an index.
        listed: whether its key tells it as a list alone, and else names something.
    """

    paths: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    example: str = ""
    not_inherited: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    indexed: bool = False
    listed: bool = False


_NAMES = ("features", "target", "weight", "columns")

SOURCES: dict[str, SourceFacts] = {
    "table": SourceFacts(
        paths=("table",),
        suffixes=(".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet"),
        example="{{table: {file}, target: y}}",
        named=("weight",),
    ),
    "npy": SourceFacts(
        paths=("npy", "target", "weight", "group"),
        suffixes=(".npy",),
        example="{{npy: {file}, target: y.npy}}",
        not_inherited=("target", "weight", "group"),
        named=("columns",),
    ),
    "npz": SourceFacts(
        ("npz",), (".npz",), "{{npz: {file}, features: X, target: y}}", named=_NAMES
    ),
    "safetensors": SourceFacts(
        paths=("safetensors",),
        suffixes=(".safetensors",),
        example="{{safetensors: {file}, features: X, target: y}}",
        named=_NAMES,
    ),
    "libsvm": SourceFacts(
        ("libsvm",), (".libsvm", ".svm", ".svmlight", ".txt"), "{{libsvm: {file}}}", indexed=True
    ),
    "synthetic": SourceFacts(not_inherited=("synthetic",)),
    "features": SourceFacts(
        paths=("features", "target", "weight", "group"),
        not_inherited=("target", "weight", "group"),
        named=("columns",),
        listed=True,
    ),
}


def source_of(block: Mapping[Any, Any]) -> str | None:
    """The kind of a source with these keys; None where no key tells it."""
    for name, facts in SOURCES.items():
        if name in block and (isinstance(block[name], list | tuple) or not facts.listed):
            return name
    return None
