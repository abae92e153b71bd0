"""What the user wrote: from a YAML file, or a mapping, and overrides to a `Spec`.

file     the text of a config        read, scalars   YAML to a tree of values with positions
plain    a mapping to such a tree    load            overrides, paths, keys taken from train
schema   keys, defaults, bounds      takes           what a key takes, in types and in words
rules    keys that must agree        validate        a tree to a Spec, or to all its faults
explain  a fault in plain words      words           other tools' words, near spellings
axes     a swept key to its values   grid            a sweep to rows of settings
expand   rows to trials, each a Spec trial           one of them
paths    made absolute, inherited    variables       ${name}
write    a Spec back to YAML         written         a sweep back to its file
json_schema   schema/config.json, for editors
"""

from trainer.spec.file import read_text
from trainer.spec.load import load_spec
from trainer.spec.schema import METRICS, Spec

__all__ = ["METRICS", "Spec", "load_spec", "read_text"]
