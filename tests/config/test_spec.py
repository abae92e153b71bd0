"""What a spec knows besides its keys: its trials and the text that it was written in."""

import ast
from pathlib import Path

import trainer
from trainer.config import load_spec
from trainer.config.schema.spec import Expansion

ROOT = Path(trainer.__file__).parent
PLAIN = {"model": "softmax", "data": {"train": "digits"}}


def test_a_spec_that_is_given_something_to_know_is_another():
    spec = load_spec(PLAIN)
    told = spec.with_expansion(Expansion(axes={"seed": (0, 1)}, notes=("a",), tree={"b": [1]}))
    named = told.with_source_text("text")
    assert (spec.axes, spec.expansion_notes, spec.source_text) == ({}, (), None)
    assert (told.axes, told.expansion_notes, told.source_text) == ({"seed": (0, 1)}, ("a",), None)
    assert (named.axes, named.source_text) == (told.axes, "text")
    assert spec == told == named
    assert spec.tree()["model"] == "softmax"
    tree = named.tree()
    tree["b"].append(2)
    assert named.tree() == {"b": [1]}


def test_a_spec_without_an_expansion_is_its_own_trial():
    spec = load_spec(PLAIN).with_expansion(Expansion())
    (trial,) = spec.trials
    assert (trial.number, dict(trial.settings)) == (0, {})
    assert trial.spec is spec


def test_nobody_writes_what_is_private_to_another():
    found = {}
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and node.attr.startswith("_")
                and not node.attr.endswith("__")  # Python's own
                and ast.unparse(node.value) not in ("self", "cls")
            ):
                found.setdefault(str(path.relative_to(ROOT)), set()).add(node.attr)
    # the two methods of Spec that make a copy which knows more
    assert found == {"config/schema/spec.py": {"_expansion", "_source_text"}}
