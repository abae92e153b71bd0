"""What the user wrote: from a YAML file, or a mapping, and overrides to a `Spec`.

load          a file, overrides, paths, keys taken from train
yaml          text to values with their positions, and back
schema        keys, defaults, bounds, what each takes
checks        what is wrong with a key or a value, and what would be right
sweep         a swept key to its values, and all of them to trials
paths         made absolute, inherited from train
json_schema   schema/config.json, for editors
"""

from trainer.config.load import load_spec
from trainer.config.schema.spec import Spec
from trainer.config.yaml.read_file import read_text

__all__ = ["Spec", "load_spec", "read_text"]
