"""Tables say where they go on, name every column, and can be walked with the keyboard."""

import re

import pytest
from browser import needs_chromium, open_page
from page_faults import DRAWN
from report_helpers import features, make
from sweep_folders import write_large

from trainer.workflow.report import write_compare, write_report

LONG = [f"optimizer-study-of-the-third-week-{k}" for k in ("sgd", "adam", "newton")]
_FIRST_CELLS = """
[...document.querySelectorAll('.sticky tbody tr > :first-child')].map(cell => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  const inner = range.getBoundingClientRect(), outer = cell.getBoundingClientRect();
  return [cell.textContent, inner.right <= outer.right + 1, getComputedStyle(cell).textOverflow];
})
"""


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A page of three runs whose names and keys are long."""
    folder = tmp_path_factory.mktemp("compared")
    _, Z = features()
    optimizers = [{"epochs": 12}, {"name": "adam", "epochs": 8}, {"name": "lbfgs"}]
    runs = []
    for name, optimizer in zip(LONG, optimizers, strict=True):
        runs.append(make(folder / name, "linear", Z[:, 0], optimizer=optimizer).folder)
    return write_compare(runs, folder / "compare.html")


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return write_report(write_large(tmp_path_factory.mktemp("large") / "r", 100, evaluations=3))


def test_every_head_has_a_name(runs, compared, large):
    pages = [run.folder / "report.html" for run in runs.values()] + [compared, large]
    heads = 0
    for path in pages:
        text = path.read_text()
        main = text[text.index("<main>") : text.index("</main>")]
        found = re.findall(r"<th[^>]*>(.*?)</th>", main, re.DOTALL)
        heads += len(found)
        assert [re.sub(r"<[^>]+>|\s", "", head) for head in found if not head] == []
        assert "" not in [re.sub(r"<[^>]+>|\s", "", head) for head in found], path
    assert heads > 100


@needs_chromium
def test_a_table_shades_the_edges_behind_which_it_goes_on(compared):
    edges = """
    [...document.querySelectorAll('.scrolls')]
    .filter(e => e.firstElementChild.ariaLabel !== 'Paired differences')  // narrow
    .map(e => [
      e.classList.contains('left'), e.classList.contains('right'),
      +getComputedStyle(e, '::after').opacity,
      getComputedStyle(e.querySelector('th'), '::after').content === '""',
    ])
    """
    with open_page(compared, width=400) as page:
        page.wait_for(DRAWN)
        assert page.evaluate(edges) == [[False, True, 1, False]] * 2
        page.evaluate("document.querySelectorAll('.scroll').forEach(e => { e.scrollLeft = 30 })")
        page.wait_for("document.querySelectorAll('.scrolls.left').length === 2")
        assert page.evaluate(edges) == [[True, True, 1, True]] * 2  # on the pinned column
        page.evaluate("document.querySelectorAll('.scroll').forEach(e => { e.scrollLeft = 9999 })")
        page.wait_for("document.querySelectorAll('.scrolls.right').length === 0")
        assert page.evaluate(edges) == [[True, False, 0, True]] * 2
        page.resize(1400)
        page.wait_for("document.querySelectorAll('.scrolls.left, .scrolls.right').length === 0")


@needs_chromium
def test_a_table_drawn_by_the_script_and_a_config_are_shaded_too(large):
    with open_page(large, width=400) as page:
        page.wait_for(DRAWN)
        page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
        page.resize(300)
        page.settle()
        shaded = "[...document.querySelectorAll('.scrolls.right .scroll')].map(e => e.ariaLabel)"
        page.wait_for(f"{shaded}.length >= 2")
        assert {"Trials", "config.yaml"} <= set(page.evaluate(shaded))


@needs_chromium
@pytest.mark.parametrize("width", [320, 400, 1400])
def test_a_pinned_column_shows_its_names_whole(compared, width):
    with open_page(compared, width=width) as page:
        page.wait_for(DRAWN)
        cells = page.evaluate(_FIRST_CELLS)
        names = [name for name, _, _ in cells]
        assert {*LONG, "optimizer.schedule.milestones", "optimizer.base_batch_size"} <= set(names)
        assert len(set(names)) == len(names) > 12
        assert [name for name, whole, overflow in cells if not whole or overflow != "clip"] == []
        pinned = page.evaluate("document.querySelector('.sticky th').getBoundingClientRect().width")
        assert pinned <= max(0.5 * width, 240)


@needs_chromium
@pytest.mark.parametrize("kind", ["compare", "sweep", "interrupted"])
def test_the_keyboard_shows_where_it_is(runs, compared, large, kind):
    paths = {"compare": compared, "sweep": large}
    path = paths.get(kind) or runs[kind].folder / "report.html"
    with open_page(path, width=1400) as page:
        page.wait_for(DRAWN)
        seen, legends = 0, 0
        last = "document.activeElement === document.body"
        while True:
            for what in ("keyDown", "keyUp"):
                page.call(
                    "Input.dispatchKeyEvent", type=what, key="Tab", code="Tab",
                    windowsVirtualKeyCode=9,
                )  # fmt: skip
            if page.evaluate(last) or seen > 200:
                break
            name, width, style, legend = page.evaluate(
                "(e => [e.outerHTML.slice(0, 80), parseFloat(getComputedStyle(e).outlineWidth),"
                " getComputedStyle(e).outlineStyle, !!e.closest('.legend')])"
                "(document.activeElement)"
            )
            assert width >= 1, name
            assert style != "none", name
            seen += 1
            legends += legend
        assert 8 < seen <= 200
        assert legends >= 2
