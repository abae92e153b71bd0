"""What a key takes, in types that pydantic checks and in words that a fault repeats.

`Expected` is the words: any fault of the value becomes that one sentence, at the key itself,
whatever pydantic found inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, get_args

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
)
from pydantic_core import CoreSchema, core_schema

from trainer.catalog import MODELS, metrics_of
from trainer.text.printable import one_of


@dataclass(frozen=True)
class Expected:
    """What a key takes, in plain words; without them, the words of its Literal."""

    words: str = ""
    choices: tuple[str, ...] = ()

    def phrase(self, annotation: Any) -> str:
        """Return the words for a key of this type."""
        return self.words or one_of(tuple(_literals(annotation)))

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        choices = self.choices or tuple(_literals(source))
        context = {"expected": self.phrase(source), "choices": choices}
        return core_schema.custom_error_schema(
            handler(source),
            "expected",
            custom_error_message="{expected}",
            custom_error_context=context,
        )


@dataclass(frozen=True)
class OneOf:
    """One of the names of a table, as a Literal of them would be."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.literal_schema(list(self.names))


def _literals(annotation: Any) -> Iterator[str]:
    for inner in get_args(annotation):
        if isinstance(inner, str):
            yield inner
        else:
            yield from _literals(inner)


def _none_is_absent(value: Any) -> Any:
    """Read the word none as absence; refuse the null of YAML, which is a line left unfinished."""
    if value is None:
        raise ValueError
    return None if isinstance(value, str) and value == "none" else value


Absent = BeforeValidator(_none_is_absent)

_MAX = Le(2**63 - 1)
Text = Annotated[str, Expected("text")]
Name = Annotated[str, MinLen(1), Expected("a name")]
PathText = Annotated[str, Field(pattern=r"^[^\x00]+$"), Expected("the path of a file")]
Seed = Annotated[int, Ge(0), _MAX, Expected("a whole number from 0")]
Count = Annotated[int, Ge(1), _MAX, Expected("a whole number from 1")]
OptionalCount = Annotated[
    int | None, Ge(1), _MAX, Absent, Expected("a whole number from 1", ("none",))
]
Positive = Annotated[float, Gt(0), Expected("a number above 0")]
FromZero = Annotated[float, Ge(0), Expected("a number from 0")]
Decay = Annotated[float, Ge(0), Lt(1), Expected("a number from 0 to below 1")]
Share = Annotated[float, Ge(0), Le(1), Expected("a number from 0 to 1")]
Switch = Annotated[bool, Expected("true or false")]
Names = Annotated[tuple[Name, ...], MinLen(1), Field(strict=False)]
OptionalName = Annotated[str | None, MinLen(1), Absent, Expected("a name", ("none",))]


class Block(BaseModel):
    """A mapping of the file. `form` names it where a key takes one of several."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        defer_build=True,  # a spec's own validator holds those of its blocks
    )
    form: ClassVar[str] = ""

    def tree(self) -> dict[str, Any]:
        """Return the block as dicts, tuples and scalars, without what is absent."""
        values = {key: getattr(self, key) for key in type(self).model_fields}
        return {key: _tree(value) for key, value in values.items() if value is not None}


def _tree(value: Any) -> Any:
    if isinstance(value, Block):
        return value.tree()
    return tuple(map(_tree, value)) if isinstance(value, tuple) else value


def tag(form: str) -> str:
    """Return the tag of a form in pydantic's paths; no key looks like it."""
    return f"<{form}>"


def word_or_mapping(value: Any) -> str:
    """Return the tag of a key that takes a word or a mapping."""
    return tag("mapping" if isinstance(value, (dict, Block)) else "word")


def word_or_list(value: Any) -> str:
    """Return the tag of a key that takes a word or a list."""
    return tag("list" if isinstance(value, (list, tuple)) else "word")


MetricName = Annotated[
    str,
    MinLen(1),
    Field(
        json_schema_extra={
            "enum": list(dict.fromkeys(name for model in MODELS for name in metrics_of(model)))
        }
    ),
]
METRIC_NAMES: dict[str, Any] = {
    "enum": [
        "train_loss",
        *dict.fromkeys(f"val_{name}" for model in MODELS for name in metrics_of(model)),
    ]
}
