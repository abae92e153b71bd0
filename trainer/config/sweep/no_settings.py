"""Keys whose best value is luck: trials that differ in one are averaged over, never ranked."""

from __future__ import annotations

from collections.abc import Collection

_CURES = {
    "seed": "repeat: {{seeds: {count}}} averages over them",
    "data.seed": "repeat: {{folds: 5, times: {count}}} averages over splits",
    "data.train.synthetic.seed": "a run each shows how far they differ",
    "data.val.synthetic.seed": "a run each shows how far they differ",
    "data.test.synthetic.seed": "a run each shows how far they differ",
}
_POSITIVE = "data.positive"


def why_not_ranked(key: str, per: Collection[object], count: int | None) -> str | None:
    """Why trials that differ in this key cannot be ranked; None where they can.

    Args:
        key: dotted, of an axis.
        per: `select.per`: each value of these has a winner of its own, which is no ranking.
        count: how many values it has; None where that is not known.
    """
    if key in per or key not in (*_CURES, _POSITIVE):
        return None
    each = f"select: {{per: [{key}]}} chooses for each"
    if key == _POSITIVE:
        return f"metrics of one class do not rank against those of the other; {each}"
    if count == 1:
        return f"a seed is no setting; set {key} outside of the sweep"
    luck = f"the luckiest of {count}" if count else "the luckiest"
    cure = _CURES[key].format(count=count or 5)
    return f"a seed is no setting: {luck} would win; {cure}, {each}"
