"""Letters stand out from what is behind them, in light, in dark and on paper."""

import re
from importlib.resources import files

import pytest
from browser import needs_chromium, open_page
from page_colours import FAINT, LEAST, contrast, schemes
from page_faults import DRAWN

from trainer.workflow.report import write_compare

CSS = files("trainer.report").joinpath("assets", "report.css").read_text(encoding="utf-8")
LETTERS = ("ink", "soft", "good", "bad", "key")
ON = ("page", "card")
CELLS = [("ink", fill) for fill in ("cell", "miss", "pale", "card")]
PAIRS = [(letters, ground) for letters in LETTERS for ground in ON] + CELLS + [("page", "ink")]


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=1e-3)
    assert contrast("#009e73", "#f6f6f3") == pytest.approx(3.15, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_colour_of_letters_stands_out(scheme):
    colours = schemes(CSS)[scheme == "dark"]
    found = {pair: contrast(*(colours[name] for name in pair)) for pair in PAIRS}
    assert len(found) == 14
    assert {pair: value for pair, value in found.items() if value < LEAST} == {}


def test_the_two_schemes_differ():
    light, dark = schemes(CSS)
    assert {name for name in light if light[name] == dark[name]} == set()
    assert len(light) == 19


def test_no_letters_have_another_colour():
    """What `color` names is among the colours that the table above tries."""

    named = set(re.findall(r"[{; ]color: (?:var\(--)?([a-z]+)", CSS))
    assert named <= {*LETTERS, "page"}, named
    assert {"ink", "soft", "good", "bad"} <= named


@needs_chromium
@pytest.mark.parametrize("kind", ["softmax", "diverged", "squared error", "compare"])
@pytest.mark.parametrize("dark", [False, True])
def test_letters_stand_out_on_the_page(runs, tmp_path, kind, dark):
    path = tmp_path / "compare.html"
    if kind == "compare":
        write_compare([run.folder for run in runs.values()], path)
    else:
        path = runs[kind].folder / "report.html"
    with open_page(path, width=1400, dark=dark) as page:
        page.wait_for(DRAWN)
        page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
        page.click("figure.chart .legend button")  # a curve that is hidden keeps its name
        found = page.evaluate(FAINT)
        assert found["found"] == []
        assert found["count"] > 100
