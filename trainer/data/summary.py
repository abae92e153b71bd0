"""The summary of a run's rows, for the terminal and the manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from trainer.data.encode.encoder import Encoded, Encoder
from trainer.data.prepared import Summary
from trainer.data.rows import Coarse, Rows
from trainer.data.sources.source import Source
from trainer.text.labels import label_text


class EncodedSplit(NamedTuple):
    """The rows of a split, and what encoding them counted."""

    rows: Rows
    encoded: Encoded


class LostRows(NamedTuple):
    """{source: rows of weight 0}, and {source: rows that `missing: drop` took}; 0 for none."""

    weightless: Mapping[str, int]
    dropped: Mapping[str, int]


class FoundColumns(NamedTuple):
    """Names of features with one value; columns that hardly vary for their size."""

    constant: tuple[str, ...]
    coarse: tuple[Coarse, ...]


def summarize(
    source: Source,
    encoder: Encoder,
    splits: Sequence[EncodedSplit],
    lost: LostRows,
    found: FoundColumns,
) -> Summary:
    """Count; the training rows come first.

    Args:
        source: what was read.
        encoder: fitted to the training rows.
        splits: what was encoded.
        lost: rows that are in no split.
        found: columns that vary little.
    """
    return Summary(
        source=source.frame.where,
        rows={part.rows.name: len(part.rows) for part in splits},
        columns=len(encoder.columns),
        features=len(encoder.features),
        outputs=len(encoder.target_mean),
        class_counts=_class_counts(encoder, [part.rows for part in splits]),
        expansions={name: len(values) for name, values in encoder.categories.items()},
        weightless={where: rows for where, rows in lost.weightless.items() if rows},
        dropped={where: rows for where, rows in lost.dropped.items() if rows},
        imputed={p.rows.name: p.encoded.imputed for p in splits if p.encoded.imputed},
        unseen={p.rows.name: p.encoded.unseen for p in splits if p.encoded.unseen},
        index=source.frame.index,
        remarks=source.frame.remarks,
        copies=tuple(p.rows.name for p in splits if p.rows.name in source.copies),
        constant=found.constant,
        coarse=found.coarse,
    )


def _class_counts(encoder: Encoder, splits: Sequence[Rows]) -> dict[str, dict[str, int]]:
    classes = encoder.classes
    if encoder.target.kind != "labels" or classes is None:
        return {}
    counts = {}
    for rows in splits:
        codes = rows.y.reshape(-1).astype(np.int64)
        number = np.bincount(codes, minlength=len(classes)).tolist()
        counts[rows.name] = dict(zip(map(label_text, classes), number, strict=True))
    return counts
