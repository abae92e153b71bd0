"""The JSON Schema of a config file, with which editors complete and explain its keys.

`stacked-trainer schema > schema/config.json` writes it; a test says when to.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from trainer.catalog import MODELS
from trainer.config.schema.spec import Spec
from trainer.text.printable import one_of


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, with this file's words in place of Python's."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Write an absent value as the word none: the file has no null."""
        return {"anyOf": [self.generate_inner(schema["schema"]), {"const": "none"}]}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Write the default of an absent value as the word none, and leave it out of blocks."""
        json_schema = super().default_schema(schema)
        default = json_schema.get("default", "required")
        if default is None:
            return {**json_schema, "default": "none"}
        return (
            {**json_schema, "default": _present(default)}
            if "default" in json_schema
            else json_schema
        )

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        """Let forms overlap: a block without keys fits several, and means the first."""
        union = super().tagged_union_schema(schema)
        return {"anyOf": union["oneOf"]} if "oneOf" in union else union

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Leave titles out: they would repeat the key."""
        return False


def _present(default: Any) -> Any:
    """A default without what is absent in it."""
    if not isinstance(default, dict):
        return default
    return {key: _present(value) for key, value in default.items() if value is not None}


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of a config file."""
    schema = Spec.model_json_schema(schema_generator=_Generator)
    definitions = schema["$defs"]
    held = {}  # sources of val and test take the keys they leave out from train
    for name in ("TableSource", "NpySource", "NpzSource", "SafetensorsSource", "LibsvmSource"):
        held[f"Held{name}"] = {**definitions[name], "required": []}
    for name in ("NamedTable", "NamedNpy", "NamedNpz", "NamedSafetensors", "NamedLibsvm"):
        definitions[name]["required"] = ["name"]
    properties = definitions["Data"]["properties"]
    for key in ("val", "test"):
        text = json.dumps(properties[key])
        for name in held:
            text = text.replace(f'/{name.removeprefix("Held")}"', f'/{name}"')
        properties[key] = json.loads(text)
    schema["$defs"] = dict(sorted({**definitions, **held}.items()))
    title = f"Config of a run of {one_of(tuple(MODELS))} regression"
    return {"$schema": _Generator.schema_dialect, **schema, "title": title}


def config_schema_text() -> str:
    """Return `schema/config.json` as it should be."""
    return json.dumps(config_schema(), indent=1, ensure_ascii=False) + "\n"
