"""schema/config.json: current, complete, and of one mind with load_spec."""

from pathlib import Path

import jsonschema
import pytest

from trainer.config import load_spec
from trainer.config.json_schema import config_schema, config_schema_text
from trainer.config.yaml.read import read_yaml
from trainer.errors import SpecError

ROOT = Path(__file__).parents[2]
SMALL = {"model": "softmax", "data": {"train": "digits"}}
CONFIGS = sorted(ROOT.glob("configs/**/*.yaml"))


def accepts(config):
    return jsonschema.Draft202012Validator(config_schema()).is_valid(config)


def test_the_file_is_current():
    text = (ROOT / "schema" / "config.json").read_text(encoding="utf-8")
    assert text == config_schema_text(), "stacked-trainer schema > schema/config.json"


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(config_schema())


def test_every_key_has_a_description():
    blocks = [config_schema(), *config_schema()["$defs"].values()]
    keys = [
        (block.get("title"), key, entry)
        for block in blocks
        for key, entry in block.get("properties", {}).items()
    ]
    assert len(keys) > 100
    assert [(title, key) for title, key, entry in keys if not entry.get("description")] == []


def test_absent_values_are_the_word_none():
    assert '"null"' not in config_schema_text()
    assert ": null" not in config_schema_text()


TABLE = {"table": "a.csv", "target": "y"}
# (what is changed in the smallest config, whether it is right)
CASES = [
    ({}, True),
    ({"penalty": {"C": 1}}, True),
    ({"penalty": {"alpha": 1, "l1_ratio": 0.5}}, True),
    ({"penalty": {"C": 1, "alpha": 1}}, False),
    ({"optimizer": {"name": "adam", "beta1": 0.5}}, True),
    ({"optimizer": {"name": "adam", "momentum": 0.5}}, False),
    ({"optimizer": {"beta1": 0.5}}, False),
    ({"optimizer": {"lr": 0}}, False),
    ({"optimizer": {"steps": "none"}}, True),
    ({"optimizer": {"steps": None}}, False),
    ({"early_stopping": "none"}, True),
    ({"early_stopping": {}}, True),
    ({"early_stopping": {"metric": "val_loss"}}, True),
    ({"early_stopping": {"metric": "val_acc"}}, False),
    ({"class_weight": {"a": 1}}, True),
    ({"class_weight": {"a": -1}}, False),
    ({"data": {"train": TABLE, "val": {"table": "b.csv"}}}, True),
    ({"data": {"train": {"table": "a.csv"}}}, False),
    ({"data": {"train": TABLE, "test": [{"name": "t", "table": "b.csv"}]}}, True),
    ({"data": {"train": TABLE, "test": [{"table": "b.csv"}]}}, False),
    ({"data": {"train": TABLE, "val": 1}}, False),
    ({"init": {"normal": 0.1}}, True),
    ({"sweep": "none"}, True),
    ({"sweep": {"parameters": {"optimizer.lr": [0.1]}}}, True),
    ({"sweep": {"method": "bayes"}}, False),
    ({"repeat": {"folds": 5}}, True),
    ({"repeat": {"folds": 1}}, False),
    ({"repeat": {"few_shot": {"k": [1, 2]}}, "optimizer": {"batch_size": "full"}}, True),
    ({"select": {"rule": "two_std_err"}}, False),
    ({"vars": {"layer": 0}}, True),
    ({"log": {"every": 10, "gradients": "none"}}, True),
    ({"bias": "yes"}, False),
    ({"seed": -1}, False),
]


@pytest.mark.parametrize(("change", "right"), CASES)
def test_it_agrees_with_load_spec(change, right):
    config = {**SMALL, **change}
    assert accepts(config) == right
    if right:
        load_spec(config)
    else:
        with pytest.raises(SpecError):
            load_spec(config)


def test_the_table_of_cases_is_whole():
    assert len(CASES) == 33


def test_the_configs_are_found():
    assert len(CONFIGS) == 24


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_every_config_is_right_and_names_the_schema(config):
    text = config.read_text(encoding="utf-8")
    up = "../" * len(config.relative_to(ROOT).parent.parts)
    assert text.startswith(f"# yaml-language-server: $schema={up}schema/config.json\n")
    assert accepts(read_yaml(text, config.name, "").value)
    load_spec(config)


def test_the_resolved_spec_is_right(tmp_path):
    assert accepts(read_yaml(load_spec(SMALL).to_yaml(), "a.yaml", "").value)
