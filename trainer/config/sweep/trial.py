"""One point of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec

SHOTS = "repeat.few_shot.k"
"""The key that is an axis where its value is a list."""


@dataclass(frozen=True)
class Trial:
    """One point of a sweep.

    Attributes:
        number: from 0, in order of expansion.
        settings: swept key -> value, in the order of the axes; empty in a plain run.
        spec: what a plain run of it would be; `repeat` stays, with one k of few_shot.
        fractions: keys given by a path -> fraction of lambda_max. Until `with_lambda_max` the
            settings and the spec hold the fraction in place of the value.
    """

    number: int
    settings: Mapping[str, Any]
    spec: Spec
    fractions: Mapping[str, float] = field(default_factory=dict)

    def with_lambda_max(self, lambda_max: float) -> Trial:
        """The trial with its penalties in place of fractions.

        Args:
            lambda_max: the least l1 at which all weights are 0.
        """
        penalty, settings = self.spec.penalty, dict(self.settings)
        for key, fraction in self.fractions.items():
            last = key.rpartition(".")[2]
            ratio = getattr(penalty, "l1_ratio", 1.0) or 1.0  # of alpha only a part is l1
            settings[key] = fraction * lambda_max / ratio
            penalty = penalty.model_copy(update={last: settings[key]})
        spec = self.spec.model_copy(update={"penalty": penalty})
        return replace(self, settings=settings, spec=spec)
