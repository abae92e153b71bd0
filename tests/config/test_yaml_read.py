"""YAML 1.2 scalars, positions, and every hostile form, each refused quickly at its place."""

import math

import pytest
import yaml
from config_helpers import SMALLEST, faults, load
from hypothesis import given
from hypothesis import strategies as st

from trainer.config import read_text
from trainer.config.yaml import read
from trainer.config.yaml.read import read_yaml
from trainer.config.yaml.scalars import Refused, resolve
from trainer.config.yaml.tree import Tree
from trainer.errors import UserError

SCALARS = [
    ("", None), ("~", None), ("null", None), ("NULL", None),
    ("true", True), ("True", True), ("FALSE", False),
    ("no", "no"), ("on", "on"), ("y", "y"), ("nULL", "nULL"), ("tRUE", "tRUE"),
    ("0", 0), ("-0", 0), ("+7", 7), ("-12", -12), ("010", 10), ("-010", -10), ("0o17", 15),
    ("0x1F", 31), ("9223372036854775807", 2**63 - 1), ("-9223372036854775807", -(2**63) + 1),
    ("0" * 5000, 0), ("1_000", "1_000"), ("0b1", "0b1"), ("1:30", "1:30"), ("0o8", "0o8"),
    ("1e-3", 1e-3), ("1E5", 1e5), (".5", 0.5), ("5.", 5.0), ("-1.5e+3", -1500.0), ("1e-999", 0.0),
    ("e5", "e5"), (".", "."), ("1e", "1e"), ("1 2", "1 2"), ("٣", "٣"), ("2026-01-1", "2026-01-1"),
    (".inf", math.inf), ("-.INF", -math.inf), ("+.Inf", math.inf),
    ("inf", "inf"), ("nan", "nan"), ("<<", "<<"), ("=", "="),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_scalars_follow_yaml_1_2(text, value):
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


def test_the_table_of_scalars_is_whole():
    assert len({text for text, _ in SCALARS}) == len(SCALARS) == 46


def test_nan_is_read_as_nan():
    assert all(math.isnan(resolve(text)) for text in (".nan", ".NaN", ".NAN"))


@pytest.mark.parametrize(
    "text",
    ["695e0514", "-1e999", "9" * 5000, "9223372036854775808", "0x" + "f" * 9999, "0o" + "7" * 40],
)
def test_numbers_that_do_not_fit_are_refused_and_quotes_are_proposed(text):
    with pytest.raises(Refused, match="quotes make it text"):
        resolve(text)


def test_quoted_block_and_flow_scalars_are_text(tmp_path):
    text = SMALLEST + "notes: |\n  1e-3\n  two\nname: '010'\n"
    spec = load(tmp_path, text)
    assert (spec.notes, spec.name) == ("1e-3\ntwo\n", "010")
    flow = '{model: softmax, "data": {"train": digits}, notes: "a\\tb\\u00e9"}'
    assert load(tmp_path, flow).notes == "a\tbé"


@pytest.mark.parametrize("head", ["", "\ufeff", "# a comment\n", "%YAML 1.2\n---\n", "\r\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marks_comments_and_line_ends_change_nothing(tmp_path, head, end):
    text = (head + SMALLEST + "seed: 3\n...\n").replace("\r\n", "\n").replace("\n", end)
    assert load(tmp_path, text).seed == 3


def test_every_key_and_value_has_its_line_and_column():
    text = "model: softmax\ndata:\n  train: {table: a.csv,\n    target: [x, 'y']}\nlr: 1e1\n"
    tree = read_yaml(text, "a.yaml", "/here")
    places = {path: (place.key, place.value, place.text) for path, place in tree.places.items()}
    assert places[("model",)] == ((1, 1), (1, 8), "softmax")
    assert places[("data",)] == ((2, 1), (3, 3), None)
    assert places[("data", "train", "table")] == ((3, 11), (3, 18), "a.csv")
    assert places[("data", "train", "target")] == ((4, 5), (4, 13), None)
    assert places[("data", "train", "target", 1)] == ((4, 17), (4, 17), None)
    assert places[("lr",)] == ((5, 1), (5, 5), "1e1")
    assert all(place.folder == "/here" for place in tree.places.values())


BIG = 60_000
# (the text, the start of its only or first fault)
HOSTILE = {
    "empty": ("", "a.yaml:1:1: (file): it is empty; the smallest is {model: softmax,"),
    "comments only": ("# x\n\n", "a.yaml:1:1: (file): it is empty;"),
    "null": ("~", "a.yaml:1:1: (file): it is empty;"),
    "a list": ("\n- a\n", "a.yaml:2:1: (file): expected a mapping of keys, got a list;"),
    "a word": ("softmax", "a.yaml:1:1: (file): expected a mapping of keys, got 'softmax';"),
    "latin-1": (SMALLEST.encode() + b"notes: caf\xe9", "a.yaml:3:11: (file): the byte 0xE9 is not"),
    "utf-16": (SMALLEST.encode("utf-16"), "a.yaml:1:1: (file): the byte 0xFF is not UTF-8; save"),
    "NUL": (SMALLEST + "notes: a\0", "a.yaml:3:9: (file): the character U+0000 is not text;"),
    "escape": (SMALLEST + 'notes: "\x1b"', "a.yaml:3:9: (file): the character U+001B is not"),
    "half a character": (
        SMALLEST + 'notes: "\\ud83d"',
        "a.yaml:3:8: notes: half of a character",
    ),
    "tab": (SMALLEST + "log:\n\tevery: 1", "a.yaml:4:1: log: a tab stands where spaces belong;"),
    "second document": (SMALLEST + "---\nx: 1", "a.yaml:3:1: (file): a second document begins"),
    "after the end": (SMALLEST + "...\nx: 1", "a.yaml:4:1: (file): something follows the end"),
    "anchor": (SMALLEST + "seed: &s 1", "a.yaml:3:7: seed: anchors (&) are not read;"),
    "alias": (SMALLEST + "notes: *a", "a.yaml:3:8: notes: aliases (*) are not"),
    "tag": (SMALLEST + "seed: !!int 1", "a.yaml:3:7: seed: tags (!) are not read;"),
    "python tag": (SMALLEST + "notes: !!python/name:os.system x", "a.yaml:3:8: notes: tags (!)"),
    "merge key": (SMALLEST + "log:\n  <<: {every: 1}", "a.yaml:4:3: log: merge keys (<<) are not"),
    "duplicate": (SMALLEST + "model: linear", "a.yaml:3:1: model: written twice, first on line 1;"),
    "list as key": (SMALLEST + "? [a]\n: 1", "a.yaml:3:3: (file): this key is not a word;"),
    "null as key": (SMALLEST + "~: 1", "a.yaml:3:1: (file): a key is missing before the colon;"),
    "nan as key": (SMALLEST + "class_weight: {.nan: 1}", "a.yaml:3:16: class_weight: this key is"),
    "number as key": (SMALLEST + "1: 1", "a.yaml:3:1: 1: unknown key; the keys here are name,"),
    "git hash": (SMALLEST + "name: 695e0514", "a.yaml:3:7: name: 695e0514 is a number too large"),
    "huge integer": (SMALLEST + "seed: " + "9" * 5000, "a.yaml:3:7: seed: 9999999999"),
    "huge hexadecimal": (SMALLEST + "seed: 0x" + "f" * 50_000, "a.yaml:3:7: seed: 0xfffff"),
    "infinity": (SMALLEST + "optimizer: {lr: .inf}", "a.yaml:3:17: optimizer.lr: expected a"),
    "not a number": (SMALLEST + "optimizer: {lr: .nan}", "a.yaml:3:17: optimizer.lr: expected a"),
    "nested lists": ("a: " + "[" * BIG, "a.yaml:1:24: a.0.0.0"),
    "nested mappings": ("{a: " * BIG, "a.yaml:1:82: a.a.a"),
    "nested dashes": ("- " * BIG, "a.yaml:1:43: 0.0.0"),
    "nested keys": ("? " * BIG, "a.yaml:1:3: (file): this key is not a word"),
    "many values": ("a: [" + "x," * BIG + "]", "a.yaml:1:39999: a.19997: over 20,000 values;"),
    "many characters": ("#" * 2_000_000, "a.yaml:1:1: (file): over 1,048,576 bytes;"),
    "merge bomb": (
        "a: &a {x: 1}\nb: &b {<<: [*a, *a, *a]}\nc: {<<: [*b, *b, *b]}\n",
        "a.yaml:1:1: a: unknown key;",
    ),
    "alias bomb": (
        "a: &a [x]\n" + "".join(f"{c}: &{c} [*a,*a]\n" for c in "bcdefgh"),
        "a.yaml:1:1: a: unknown key;",
    ),
    "bad escape": (SMALLEST + r'notes: "\U00110000"', "a.yaml:3:11: (file): an escape or a"),
    "unknown escape": (SMALLEST + r'notes: "C:\data"', "a.yaml:3:12: (file): a backslash in"),
    "bad version": ("%YAML 1." + "9" * 5000 + "\n---\n", "a.yaml:1:9: (file): an escape or a"),
    "two colons": ("model: a: b\n", "a.yaml:1:9: model: a second ': ' or an indent"),
    "no colon": (SMALLEST + "seed 1\n", "a.yaml:4:1: (file): a line without ': ';"),
    "open quote": (SMALLEST + "notes: 'x\n", "a.yaml:3:8: notes: a quote is not closed;"),
    "open bracket": (SMALLEST + "log: {every: 1\n", "a.yaml:3:6: log"),
    "wrong indent": ("model: softmax\n  data: 1\n", "a.yaml:2:7: (file): a second ': ' or"),
    "stray bracket": (SMALLEST + "seed: ]\n", "a.yaml:3:7: (file): a bracket or a comma"),
    "at sign": (SMALLEST + "seed: @x\n", "a.yaml:3:7: (file): a character that begins no value"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_at_its_place(tmp_path, name):
    text, start = HOSTILE[name]
    lines = faults(tmp_path, text)
    assert lines[0].startswith(start)
    assert all(len(line) < 400 and line.isprintable() for line in lines)
    assert all("; " in line for line in lines)


def test_the_table_of_hostile_text_is_whole():
    assert len(HOSTILE) == 46


def test_faults_of_the_text_and_of_the_keys_come_together(tmp_path):
    text = "model: &m softmx\nmodel: x\ndata: {train: *m}\nlr: 1\n"
    assert [line.split(": ")[0] for line in faults(tmp_path, text)] == [
        "a.yaml:1:8",
        "a.yaml:1:8",
        "a.yaml:2:1",
        "a.yaml:3:15",
        "a.yaml:4:1",
    ]


def test_the_parser_is_the_pure_python_one(tmp_path, monkeypatch):
    class Opened(Exception):
        pass

    def opened(text):
        raise Opened

    monkeypatch.setattr(read.yaml, "SafeLoader", opened)
    with pytest.raises(Opened):
        load(tmp_path, SMALLEST)
    assert not issubclass(yaml.SafeLoader, getattr(yaml, "CParser", ()))


WORDS = st.sampled_from(
    ["model", "softmax", "data", "train", "digits", "optimizer", "lr", "0.1", "1e999", "none",
     ": ", ":", "\n", "\n  ", "\n- ", "{", "}", "[", "]", ", ", "'", '"', "\\", "&a ", "*a", "!!x ",
     "<<", "? ", "|", ">", "#", "---\n", "...\n", "%", "\t", "\0", "\x85", "\u2028", "\ufeff", "é"]
)  # fmt: skip


@given(st.lists(WORDS, max_size=30).map("".join))
def test_any_mixture_of_yaml_is_a_spec_or_a_fault(tmp_path_factory, text):
    check_any(tmp_path_factory.getbasetemp(), text.encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_a_spec_or_a_fault(tmp_path_factory, data):
    check_any(tmp_path_factory.getbasetemp(), data)


def check_any(folder, data):
    try:
        load(folder, data)
    except UserError as error:
        lines = str(error).splitlines()
        assert lines
        assert all("; " in line and line.isprintable() for line in lines)


@given(st.text(max_size=40))
def test_reading_never_raises(text):
    assert isinstance(read_yaml(text, "a.yaml", "/"), Tree)


def test_text_is_kept_as_written(tmp_path):
    text = "# mine\n" + SMALLEST
    spec = load(tmp_path, text)
    assert spec.source_text == text == read_text(tmp_path / "a.yaml")
