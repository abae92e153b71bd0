"""A few lines that ask for more than any machine has: each is a line before anything is built."""

import pytest

from trainer.config import load_spec
from trainer.errors import SpecError

BASE = """\
model: softmax
data: {train: digits}
optimizer: {lr: 0.1, epochs: 1, batch_size: full}
"""
LRS = "{parameters: {optimizer.lr: {geomspace: {start: 1e-6, stop: 1, num: 1000}}}}"
BIG = "x" * 300_000
QUOTED = "'${a}'"

BOMBS = {
    "seeds": (
        "init: {normal: 1}\nrepeat: {seeds: 1000000000}\n",
        "repeat: 1,000,000,000 repeats; at most 10,000 are right",
    ),
    "tries": (
        "repeat: {few_shot: {k: 1, tries: 1000000000}}\n",
        "repeat: 1,000,000,000 repeats; at most 10,000 are right",
    ),
    "folds": (
        "repeat: {folds: 1000000000, times: 1000000000}\n",
        "repeat: 1,000,000,000,000,000,000 repeats; at most 10,000 are right",
    ),
    "columns": (
        f"init: {{normal: 1}}\nrepeat: {{seeds: 5000}}\nsweep: {LRS}\n",
        "repeat: 1,000 trials x 5,000 repeats; at most 1,000,000 are right",
    ),
    "a variable often": (
        f"vars: {{a: {BIG}}}\nnotes: {'${a}' * 5000}\n",
        "notes: its variables make far too many letters; write shorter ones",
    ),
    "a variable in many words": (
        f"vars: {{a: {BIG}}}\nselect: {{per: []}}\nloss: [{', '.join(500 * [QUOTED])}]\n",
        "loss.3: its variables make far too many letters; write shorter ones",
    ),
    "a variable in many trials": (
        f"vars: {{a: {BIG}, b: 0}}\nnotes: '${{a}}${{b}}'\n"
        f"sweep: {{parameters: {{vars.b: [{', '.join(map(str, range(500)))}]}}}}\n",
        "notes: its variables make far too many letters; write shorter ones",
    ),
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_bomb_is_a_line(tmp_path, what):
    text, why = BOMBS[what]
    (tmp_path / "a.yaml").write_text(BASE + text)
    with pytest.raises(SpecError) as caught:
        load_spec(tmp_path / "a.yaml")
    assert why in str(caught.value)
    assert len({fault.what for fault in caught.value.faults}) == 1


def test_what_is_below_is_right(tmp_path):
    text = "init: {normal: 1}\nrepeat: {seeds: 10000}\nvars: {a: xyz}\nnotes: ${a}\n"
    (tmp_path / "a.yaml").write_text(BASE + text)
    spec = load_spec(tmp_path / "a.yaml")
    assert (spec.repeat.count, spec.notes) == (10_000, "xyz")
    folds = load_spec({"model": "softmax", "data": {"train": "digits"}, "repeat": {"folds": 5}})
    assert folds.repeat.count == 5
