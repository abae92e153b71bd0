"""What the user wrote: from a YAML file, or a mapping, and overrides to a `Spec`.

file  text of the file        read      YAML with positions        plain   the same of a mapping
load  overrides, paths        schema    keys, bounds, defaults     rules   keys that must agree
validate  pydantic's findings in plain words    words  did you mean     write  a Spec as YAML
json_schema  schema/config.json for editors
"""

from trainer.spec.file import read_text
from trainer.spec.load import load_spec
from trainer.spec.schema import METRICS, Spec

__all__ = ["METRICS", "Spec", "load_spec", "read_text"]
