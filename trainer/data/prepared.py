"""The prepared rows of a run: every split, its encoder, and a summary of both."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from trainer.data.encode.encoder import Encoder
from trainer.data.rows import Coarse, Rows
from trainer.data.sources.digest import Digest


@dataclass(frozen=True)
class Summary:
    """What `prepare` found, for the terminal and the manifest. Every mapping is JSON-able."""

    source: str
    """How the training source is called: a bundled name, a path, or `data`."""
    rows: dict[str, int]
    """Rows a split, dropped ones not counted."""
    columns: int
    """Columns read as features, before one-hot."""
    features: int
    """D: columns after one-hot."""
    outputs: int
    """C."""
    class_counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """{split: {class: rows}} of single-label classes; empty otherwise."""
    expansions: dict[str, int] = field(default_factory=dict)
    """{text column: number of one-hot columns}."""
    weightless: dict[str, int] = field(default_factory=dict)
    """{source: rows of weight 0, which are left out}; only sources that have one."""
    dropped: dict[str, int] = field(default_factory=dict)
    """{source: rows dropped for a missing value}; only sources that lost one."""
    imputed: dict[str, int] = field(default_factory=dict)
    """{split: values filled in by `missing: mean`}; only splits that had one."""
    unseen: dict[str, dict[str, int]] = field(default_factory=dict)
    """{split: {text column: rows whose category no training row has}}; they encode as zeros."""
    index: tuple[str, ...] = ()
    """Columns of the training source that are its row index, and so no features."""
    remarks: tuple[str, ...] = ()
    """What a user should know of the training source, in clauses."""
    copies: tuple[str, ...] = ()
    """Splits that read the rows of the training source over again."""
    constant: tuple[str, ...] = ()
    """Features with one value in all training rows."""
    coarse: tuple[Coarse, ...] = ()
    """Columns that the run's precision, or float64, has few steps for."""


@dataclass(frozen=True)
class Prepared:
    """All the rows of a run, and what it takes to encode others the same way."""

    train: Rows
    val: Rows | None
    tests: tuple[Rows, ...]
    encoder: Encoder
    hashed: Digest = field(repr=False)
    """Of the bytes of every source."""
    summary: Summary

    def of_target(self, c: int) -> Prepared:
        """The same rows with output c alone, where each is a problem of its own."""
        target = self.encoder.target.alone(c)
        if target is self.encoder.target:
            return self
        return replace(
            self,
            train=self.train.of_target(c),
            val=None if self.val is None else self.val.of_target(c),
            tests=tuple(rows.of_target(c) for rows in self.tests),
            encoder=replace(self.encoder, target=target),
        )

    @property
    def digest(self) -> str:
        """sha256 (hex) over the bytes of every source; taken when it is first asked for."""
        return self.hashed.hexdigest()
