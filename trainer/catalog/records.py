"""What the JSON files of a run folder hold: manifest.json, results.json and model.json.

Whoever writes a key of theirs names it here; whoever reads one of these files has it checked here,
as it may come from anybody. Further keys are let pass.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from trainer.catalog.models import LOSSES, MODELS

RUN_STATUSES = ("running", "finished", "interrupted", "failed", "diverged", "unranked")
"""Of manifest.json."""
ENDS = (
    "finished", "converged", "not_converged", "early_stopped", "halved", "interrupted", "diverged",
)  # fmt: skip
"""Statuses of a trial, and of its columns."""

LONGEST = 1e10
"""Seconds of a run, at most."""
Count = Annotated[int, Field(ge=0, le=2**53)]
Number = Annotated[float, Field(allow_inf_nan=False)]


def _in_range(value: Any, depth: int = 20) -> Any:
    """A value of a setting, whose whole numbers other libraries can hold."""
    if isinstance(value, Mapping | list):
        if not depth:
            raise ValueError("recursion limit exceeded")
        for inner in value.values() if isinstance(value, Mapping) else value:
            _in_range(inner, depth - 1)
    elif isinstance(value, int) and abs(value) >= 2**64:
        raise ValueError("a whole number of more than 64 bits")
    return value


Value = Annotated[Any, AfterValidator(lambda value: _in_range(value))]
"""Of a setting: a number, a word, true or false, a list, a mapping."""
Metrics = dict[str, Number | None]  # a number that is none is null in JSON
Settings = dict[str, Value]


class Record(BaseModel):
    """A JSON object: types are exact, further keys are let pass."""

    # built at first use, as a run reads few of them and a command waits for its imports
    model_config = ConfigDict(strict=True, extra="allow", protected_namespaces=(), defer_build=True)


# ---------------------------------------------------------------- manifest.json


class DeviceRecord(Record):
    """Where a run was carried out, and why there."""

    kind: str
    name: str
    reason: str | None = None


class DataRecord(Record):
    """What was read; rows by split."""

    digest: str | None = None
    source: str | None = None
    rows: dict[str, Count] = {}
    columns: Count | None = None
    features: Count | None = None
    outputs: Count | None = None


class SolverRecord(Record):
    """A solver, why it was taken, and for how many columns."""

    name: str
    reason: str
    columns: Count


class StacksRecord(Record):
    """How columns lie in stacks: [columns of a stack, how many there are], the widest first.

    `threads` is how many stacks train side by side.
    """

    widths: list[Annotated[list[Count], Field(min_length=2, max_length=2)]]
    threads: Count


class ManifestRecord(Record):
    """manifest.json; all but its status may be yet to come."""

    format_version: Literal[1] = 1
    status: str
    name: str = ""
    started: str | None = None
    ended: str | None = None
    seconds: Annotated[float, Field(ge=0, le=LONGEST)] | None = None
    versions: dict[str, str | None] | None = None
    git_commit: str | None = None
    git_dirty: bool | None = None
    command: str | None = None
    notes: str | None = None
    device: DeviceRecord | None = None
    data: DataRecord | None = None
    solver: list[SolverRecord] | None = None
    reason: str | None = None
    warning: str | None = None
    pid: Count | None = None
    host: str | None = None
    boot_id: str | None = None
    machine: dict[str, Value] | None = None
    stacks: StacksRecord | None = None
    resumed: list[str] | None = None
    trained: str | None = None
    elsewhere: str | None = None
    checkpoints: dict[str, Number] | None = None

    @field_validator("status")
    @classmethod
    def _known(cls, status: str) -> str:
        if status not in RUN_STATUSES:
            raise ValueError(f"none of {', '.join(RUN_STATUSES)}")
        return status


# ---------------------------------------------------------------- results.json


class MetricRecord(Record):
    """What trials are ranked by."""

    name: str
    goal: Literal["minimize", "maximize"]


class Standing(Record):
    """A trial and how it did."""

    trial: Count
    settings: Settings = {}
    metrics: Metrics
    std: Metrics = {}
    defined: dict[str, Count] = {}


Ends = Annotated[list[Number], Field(min_length=2, max_length=2)]


class ScoresRecord(Record):
    """Metrics alone."""

    metrics: Metrics = {}


class RefitRecord(ScoresRecord):
    """What the chosen trial was trained on again, and for how long."""

    rows: str
    epochs: Count
    intervals: dict[str, Ends] = {}


class LabelRecord(Record):
    """What is measured of one label; None where it is not defined."""

    label: str
    precision: Number | None
    recall: Number | None
    f1: Number | None
    auc: Number | None
    average_precision: Number | None


class InnerRecord(ScoresRecord):
    """Metrics of a trial over the inner folds that chose it."""

    std: Metrics = {}


class ChosenRecord(Record):
    """How many repeats chose a trial."""

    trial: Count
    settings: Settings = {}
    repeats: Count


class NestedRecord(Record):
    """What repeats chose by inner folds, most often first."""

    inner_folds: Count
    chosen: list[ChosenRecord]


class BestRecord(Standing):
    """The chosen trial; `labels` are by split, where a row has several."""

    labels: dict[str, list[LabelRecord]] = {}
    parts: dict[str, Annotated[list[Count], Field(min_length=2, max_length=2)]] = {}
    epochs: Count | None = None
    best_epoch: Count | None = None
    refit: RefitRecord | None = None
    inner: InnerRecord | None = None
    intervals: dict[str, Ends] = {}


class RunnerUpRecord(Standing):
    """The best of the others, and how far it is behind."""

    margin: Number | None = None
    standard_errors: Number | None = None
    ahead_in: Number | None = None
    margin_interval: Ends | None = None
    held_ratio: Number | None = None
    paired: bool = True


class PerRepeatRecord(ScoresRecord):
    """What repeats that chose for themselves came to, over their own winners."""

    per: Settings = {}
    trials: list[Count]
    std: Metrics = {}
    nested: NestedRecord | None = None


class GroupRecord(Standing):
    """The winner among the trials with these values, of a target that is a problem of its own."""

    per: Settings
    target: str | None = None
    refit: ScoresRecord | None = None
    nested: PerRepeatRecord | None = None


class EdgeRecord(Record):
    """A swept number whose best value is at an end of its grid."""

    path: str
    side: str
    value: Value
    advice: str


class RungRecord(Record):
    """What one halving did."""

    evaluation: Count
    alive: Count
    kept: Count
    dropped: list[Count]


class IntervalsRecord(Record):
    """How the intervals were made."""

    resamples: Count
    level: Annotated[float, Field(gt=0, lt=1)]
    fewest: Count
    cut: bool = False
    by: dict[str, Literal["row", "group"]] = {}
    few: dict[str, Count] = {}
    undefined: dict[str, Count] = {}
    selected: list[str] = []
    without: list[str] = []
    ungrouped: list[str] = []


class WinRecord(Record):
    """In which share of the resamples a setting would win."""

    trial: Count
    settings: Settings
    share: Annotated[float, Field(ge=0, le=1)]


class BootstrapRecord(Record):
    """What the intervals of coefficients.csv are of, and who would win."""

    resamples: Count
    level: Annotated[float, Field(gt=0, lt=1)]
    penalised: bool
    selects: bool
    wins: list[WinRecord] = []


class PValueRecord(Record):
    """How often a choice by permuted labels is as good."""

    score: Number | None = None
    p_value: Annotated[float, Field(gt=0, le=1)]
    as_good: Count = 0
    undefined: Count = 0


class PermutationRecord(Record):
    """The permutation test: of the chosen trial, or by name of targets with their own."""

    metric: str
    count: Count
    fewest: Count | None = None
    arrangements: Count | None = None
    score: Number | None = None
    p_value: Annotated[float, Field(gt=0, le=1)] | None = None
    as_good: Count = 0
    undefined: Count = 0
    targets: dict[str, PValueRecord] = {}


class InfluenceRecord(Record):
    """How many training rows times outputs influence.csv has, and of how many."""

    rows: Count
    of: Count


class ResultsRecord(Record):
    """results.json."""

    metric: MetricRecord
    counts: dict[str, Count] = {}
    trials: Count | None = None
    repeats: Annotated[int, Field(ge=1, le=2**31)] = 1
    left_out: dict[str, str] = {}
    inner_left_out: dict[str, Count] = {}
    axes: dict[str, list[Value]] = {}
    rule: Literal["best", "one_std_err"] = "best"
    best: BestRecord | None = None
    intervals: IntervalsRecord | None = None
    bootstrap: BootstrapRecord | None = None
    influence: InfluenceRecord | None = None
    runner_up: RunnerUpRecord | None = None
    permutation_test: PermutationRecord | None = None
    groups: list[GroupRecord] = []
    per_repeat: list[PerRepeatRecord] = []
    without_winner: list[Settings] = []
    edges: list[EdgeRecord] = []
    halving: list[RungRecord] = []
    targets: list[str] = []
    targets_left_out: dict[str, str] = {}
    repeats_left_out: dict[str, dict[str, Count]] = {}


# ---------------------------------------------------------------- model.json


class ModelRecord(Record):
    """model.json."""

    format_version: Literal[1]
    model: str
    loss: str
    loss_parameters: dict[str, Number] = {}
    metrics: list[str] = []
    sha256: str
    columns: list[str]
    features: list[str]
    categories: dict[str, list[str]]
    unit: bool
    impute: list[Number | str]
    target: str
    target_columns: list[str]
    outputs: Annotated[list[str], Field(min_length=1)]
    classes: list[bool | int | str] | None
    target_mean: list[Number]
    target_scale: list[Number]
    keys: dict[str, str]
    separate: bool = False
    pairs: list[Annotated[list[bool | int | str], Field(min_length=2, max_length=2)]] | None = None

    @field_validator("loss")
    @classmethod
    def _of_its_model(cls, loss: str, info: Any) -> str:
        if (info.data.get("model"), loss) not in LOSSES:
            raise ValueError("no loss of its model")
        return loss

    @field_validator("model")
    @classmethod
    def _known(cls, model: str) -> str:
        if model not in MODELS:
            raise ValueError(f"none of {', '.join(MODELS)}")
        return model


_WORDS = {  # of a fault, by pydantic's name for it
    "missing": "is not there",
    "model_type": "is no mapping",
    "dict_type": "is no mapping",
    "list_type": "is no list",
    "string_type": "is no text",
    "int_type": "is no whole number",
    "float_type": "is no number",
    "finite_number": "is not finite",
    "bool_type": "is neither true nor false",
}


def read_record(kind: type[Record], data: bytes) -> dict[str, Any]:
    """The JSON object of a file, checked.

    Args:
        kind: of the record.
        data: the file's bytes.

    Raises:
        ValueError: they are no JSON, or of other keys or types; the message is a clause.
    """
    try:
        record = json.loads(data.decode(), parse_constant=_no_constant)
        if not isinstance(record, dict):
            raise ValueError("not a JSON object")
        kind.model_validate(record)
    except RecursionError:
        raise ValueError("recursion limit exceeded") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        said = first["msg"].removeprefix("Value error, ")
        what = _WORDS.get(first["type"], f"is wrong: {said[:1].lower()}{said[1:]}")
        place = ".".join(p if str(p).isprintable() else repr(p) for p in map(str, first["loc"]))
        raise ValueError(f"its {place[:120]} {what}") from None
    return record


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")
