"""Names that are cut: those that differ stay different."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trainer.text.labels import nfc
from trainer.text.names import cut_apart

words = st.text("ab_", min_size=1, max_size=30)


@given(
    st.lists(st.builds("{}{}{}".format, st.sampled_from(["", "a" * 40, "ab" * 20]), words, words)),
    st.integers(6, 40),
)
def test_names_that_differ_are_shown_apart(names: list[str], most: int) -> None:
    shown = cut_apart(names, most)
    assert all(len(text) <= most for text in shown)
    assert len(set(zip(names, shown, strict=True))) == len(set(names))
    assert len(set(shown)) == len(set(names))
    assert all(text == name for name, text in zip(names, shown, strict=True) if len(name) <= most)


def test_the_place_where_they_differ_is_shown() -> None:
    names = [f"embedding_layer_{i}_of_the_component" for i in (3, 4, 12)]
    assert cut_apart(names, 18) == [
        "…layer_3_of_the_c…",
        "…layer_4_of_the_c…",
        "…layer_12_of_the_…",
    ]
    assert cut_apart(["x" * 30, "y"], 9) == ["xxxx…xxxx", "y"]
    ends = [f"{'a' * 30}{end}" for end in ("left", "right")]
    assert cut_apart(ends, 12) == ["aaaaaa…aleft", "aaaaaa…right"]


def test_what_is_left_is_numbered() -> None:
    names = [f"{'a' * 40}{x}{'b' * 40}{y}" for x in "xy" for y in "pq"]
    assert cut_apart([*names, "aaaaaaaa…1"], 10) == [
        *(f"aaaaaaaa…{i}" for i in (2, 3, 4, 5)),
        "aaaaaaaa…1",
    ]


def test_letters_of_one_sign_and_of_two() -> None:
    assert nfc("e\u0301") == "é" != "e\u0301"
    assert nfc("plain") == "plain"
