"""A spec written as YAML is read as an equal spec, whatever it holds."""

from config_helpers import attempt, load
from hypothesis import given
from hypothesis import strategies as st

from trainer.config import load_spec
from trainer.config.schema.fields import Block
from trainer.config.schema.spec import Spec
from trainer.config.yaml.read import read_yaml
from trainer.config.yaml.write import flow, to_yaml

ODD = [
    "", " ", "no", "Y", "1e-3", "010", "0o7", ".inf", "~", "null", "a: b", "a #b", "- a", "'", '"',
    "\\", "\n", "a\r\nb", "\t", "\x00\x1b\x7f", "\x85\u2028\u2029\ufeff", "\U0001f600", "<<",
    "&a", "*a", "!a", "%", "@", "`", "{", "[a]", ",", "?", "a,b", "695e0514", "9" * 150,
    "C:\\data", "é", "none",
]  # fmt: skip
TEXT = st.one_of(st.sampled_from(ODD), st.text(st.characters(codec="utf-8"), max_size=20))
FINITE = st.floats(allow_nan=False, allow_infinity=False)
INTEGERS = st.integers(-(2**63) + 1, 2**63 - 1)
SCALARS = st.one_of(st.booleans(), INTEGERS, FINITE, TEXT)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(tuple), st.dictionaries(TEXT, inner, max_size=4)
    ),
    max_leaves=12,
)


def as_lists(value):
    if isinstance(value, dict):
        return {key: as_lists(item) for key, item in value.items()}
    return [as_lists(item) for item in value] if isinstance(value, tuple) else value


@given(st.dictionaries(TEXT, TREES, max_size=5))
def test_any_tree_is_read_as_written(tree):
    read = read_yaml(to_yaml(tree), "a.yaml", "/")
    assert read.faults == []
    assert read.value == as_lists(tree) or tree == {}


@given(SCALARS)
def test_any_scalar_keeps_its_type_or_is_the_same_number(value):
    read = read_yaml(f"a: {flow(value)}", "a.yaml", "/").value["a"]
    assert read == value
    assert isinstance(read, str) == isinstance(value, str)
    assert isinstance(read, bool) == isinstance(value, bool)


def test_odd_texts_are_the_texts_that_are_tried():
    assert len(ODD) == 39


# Keys from anywhere in the schema, so that random mappings come near to specs.
KEYS = {"x", 0, 1.5, True, "0"}


def subclasses(block):
    for inner in block.__subclasses__():
        yield inner
        yield from subclasses(inner)


for each in subclasses(Block):
    KEYS |= set(each.model_fields)

WORDS = st.sampled_from(
    ["softmax", "linear", "logistic", "digits", "none", "auto", "adam", "adamw", "sgd", "standard",
     "balanced", "full", "cosine", "step", "zeros", "val_loss", "a.csv", "y", 0, 1, 3, 0.5, True,
     False, None, 10**30, float("nan"), "\ud800"]
)  # fmt: skip
ANYTHING = st.recursive(
    st.one_of(WORDS, TEXT),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(sorted(KEYS, key=str)), inner, max_size=5),
    ),
    max_leaves=20,
)
BLOCKS = st.fixed_dictionaries(
    {"model": WORDS, "data": ANYTHING},
    optional={name: ANYTHING for name in Spec.model_fields if name not in ("model", "data")},
)


@given(BLOCKS, st.lists(st.tuples(st.sampled_from(sorted(map(str, KEYS))), TEXT), max_size=2))
def test_any_mapping_is_a_spec_that_can_be_written_or_faults(tmp_path_factory, given_, pairs):
    overrides = [f"{key}={text}" for key, text in pairs]
    spec, found = attempt(given_, overrides)
    assert (spec is None) == bool(found)
    assert all("; " in fault.what and str(fault).isprintable() for fault in found)
    if spec is not None:
        assert load(tmp_path_factory.getbasetemp(), spec.to_yaml()) == spec


TARGETS = TEXT.filter(lambda text: text not in ("", "1e-3", "no"))  # these are columns
SPECS = st.fixed_dictionaries(
    {
        "model": st.just("logistic"),
        "data": st.one_of(
            st.just({"train": "breast_cancer", "val": 0.25, "test": 1e-7}),
            st.fixed_dictionaries({
                "train": st.fixed_dictionaries(
                    {"table": st.just("/a b/é.csv"), "target": TARGETS},
                    optional={"columns": st.just(["1e-3", "no"])},
                ),
                "test": st.just([{"name": "010", "table": "/t.csv"}]),
            }),
        ),
        "notes": TEXT,
        "seed": st.integers(0, 2**63 - 1),
        "penalty": st.one_of(
            st.fixed_dictionaries({"l2": FINITE.filter(lambda x: x >= 0)}),
            st.fixed_dictionaries({"C": FINITE.filter(lambda x: x > 0)}),
        ),
        "class_weight": st.one_of(
            st.just("balanced"),
            st.dictionaries(st.one_of(TEXT, INTEGERS), st.just(1.5), max_size=3),
        ),
        "optimizer": st.sampled_from([{}, {"name": "adam", "steps": 3}, {"batch_size": "full"}]),
        "early_stopping": st.sampled_from(["none", {}, {"min_delta": 1e-300}]),
        "init": st.sampled_from(["zeros", {"normal": 1e-7}, "/runs/a: b"]),
    }
)  # fmt: skip


@given(SPECS)
def test_a_spec_is_read_as_written(tmp_path_factory, given_):
    spec = load_spec(given_)
    again = load(tmp_path_factory.getbasetemp(), spec.to_yaml())
    assert again == spec
    assert again.to_yaml() == spec.to_yaml()


def test_plain_words_are_left_plain():
    assert flow({"a": [0.1, 1e-7, 2.0, True, "x y", "no", "a/b.csv"]}) == (
        '{a: [0.1, 1e-07, 2, true, "x y", "no", a/b.csv]}'
    )


def test_swept_values_and_variables_are_read_as_the_numbers_they_were():
    swept = {"optimizer.lr": [30.0, 1, 0.5], "penalty.l2": {"values": [0.0, 1e16]}}
    tree = {"model": "softmax", "data": {"train": "digits"}, "sweep": {"parameters": swept}}
    spec = load_spec(tree | {"vars": {"a": 2.0}})
    again = load_spec(read_yaml(spec.to_yaml(), "a.yaml", "/").value)
    before, after = ([repr(trial.settings) for trial in of.trials] for of in (spec, again))
    assert len(before) == 6
    assert after == before
    assert "lr: [30.0, 1, 0.5]" in spec.to_yaml()
    assert again.to_yaml() == spec.to_yaml()
