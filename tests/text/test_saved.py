"""Records of what was learned: one name, and arrays of their own where they are copied."""

import re
from pathlib import Path

import numpy as np

import trainer
from trainer.text.saved import copied

ROOT = Path(trainer.__file__).parent


def test_one_module_says_what_is_saved():
    defined = re.compile(r"^Saved\b.*=", re.M)
    named = [path for path in ROOT.rglob("*.py") if defined.search(path.read_text("utf-8"))]
    assert [path.relative_to(ROOT).as_posix() for path in named] == ["text/saved.py"]


def test_a_copy_has_arrays_of_its_own_in_c_order():
    array = np.arange(6.0).reshape(2, 3).T
    found = copied({"a": {"b": array, "c": [1, None]}})
    assert found["a"]["c"] == [1, None]
    assert found["a"]["b"].flags.c_contiguous
    array[0, 0] = 7
    assert found["a"]["b"][0, 0] == 0
