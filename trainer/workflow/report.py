"""The pages of run folders: the report draws them, the room of configs reads config.yaml."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer import report
from trainer.config import load_spec
from trainer.config.yaml.read import read_yaml
from trainer.errors import UserError
from trainer.model.arithmetic import default_errstate
from trainer.runs.names import CONFIG


@default_errstate
def draw_report(folder: str | os.PathLike[str]) -> bytes:
    """The page of a run folder, drawn from it alone."""
    return report.draw_report(folder, CONFIG_READER)


@default_errstate
def write_report(folder: str | os.PathLike[str]) -> Path:
    """Draw report.html into a run folder, as `trainer.report.write_report` does; its path."""
    return report.write_report(folder, CONFIG_READER)


@default_errstate
def write_compare(folders: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> Path:
    """Draw several runs on one page, as `trainer.report.write_compare` does; its path."""
    return report.write_compare(folders, out, CONFIG_READER)


def config_values(text: str, folder: Path) -> Mapping[str, Any]:
    """config.yaml as plain values; empty if it holds none."""
    value = read_yaml(text, CONFIG, str(folder)).value
    return value if isinstance(value, Mapping) else {}


def swept_settings(file: Path) -> tuple[dict[str, list[Any]], dict[int, dict[str, Any]]]:
    """(swept path -> its values, trial -> its settings) of a config.yaml; empty if it is broken.

    A penalty along a path has no value before the data are read: it is left out.
    """
    try:
        spec = load_spec(file)
    except UserError:
        return {}, {}
    unknown = {path for trial in spec.trials for path in trial.fractions}
    swept = {path: list(values) for path, values in spec.axes.items() if path not in unknown}
    return swept, {
        trial.number: {path: v for path, v in trial.settings.items() if path in swept}
        for trial in spec.trials
    }


CONFIG_READER = report.ConfigReader(config_values, swept_settings)
