"""What the terminal and the manifest tell about the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trainer.data.encoder import Encoded, Encoder
from trainer.data.fit import constant_features
from trainer.data.frame import Frame
from trainer.data.rows import Rows, Summary, label_text


class Held(NamedTuple):
    """A split, where it is from, and what encoding it came upon."""

    frame: Frame
    rows: Rows
    encoded: Encoded


def summarize(encoder: Encoder, splits: Sequence[Held]) -> Summary:
    """Count; the training rows come first."""
    lost = {id(part.frame): part.frame.rows for part in splits}  # one file may be two sources
    for part in splits:
        lost[id(part.frame)] -= len(part.rows)
    return Summary(
        source=splits[0].frame.where,
        rows={part.rows.name: len(part.rows) for part in splits},
        columns=len(encoder.columns),
        features=len(encoder.features),
        outputs=len(encoder.target_mean),
        class_counts=_class_counts(encoder, [part.rows for part in splits]),
        expansions={name: len(values) for name, values in encoder.categories.items()},
        dropped={p.frame.where: lost[id(p.frame)] for p in splits if lost[id(p.frame)]},
        imputed={p.rows.name: p.encoded.imputed for p in splits if p.encoded.imputed},
        unseen={p.rows.name: p.encoded.unseen for p in splits if p.encoded.unseen},
        constant=constant_features(encoder, splits[0].rows.X),
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
