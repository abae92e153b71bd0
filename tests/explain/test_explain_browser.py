"""The page in Chromium: four pictures that follow their sliders and say what the samples say."""

import json
import re

import numpy as np
import pytest
from browser import needs_chromium, open_page
from explain_helpers import PAGE, model_at

from trainer.explain import write_page
from trainer.explain.samples import PICTURES

pytestmark = needs_chromium

NAMES = list(PICTURES)
WINDOWS = [(400, False), (400, True), (1400, False), (1400, True)]
STILL = {"name": "prefers-reduced-motion", "value": "reduce"}

# What is drawn, measured in the units of its panel.
_DRAWN = """
(name => {
  const section = document.getElementById(name);
  const find = kind => section.querySelector('svg.plot ' + kind);
  const at = PICTURES[name].at, { prediction, loss, gradient } = at.panels;
  const number = (kind, key) => Number(find(kind).getAttribute(key));
  const value = (panel, y) => panel.low + (panel.y(panel.low) - y) / (panel.y(0) - panel.y(1));
  const tall = kind => number(kind, 'height') / (gradient.y(0) - gradient.y(1));
  const ends = find('.tangent').getAttribute('d').match(/-?[\\d.]+/g).map(Number);
  const [x1, y1, x2, y2] = ends.map((e, i) => i % 2 ? value(loss, e) : at.z(e));
  return {
    z: at.z(number('.loss-point', 'cx')),
    loss: value(loss, number('.loss-point', 'cy')),
    prediction: value(prediction, number('.point.here', 'cy')),
    slope: value(gradient, number('.slope-point', 'cy')),
    tangent: (y2 - y1) / (x2 - x1),
    length: Math.hypot(ends[2] - ends[0], ends[3] - ends[1]),
    bar: number('.bar', 'height') / (prediction.y(0) - prediction.y(1)),
    stem: tall('.stem'), ghost: tall('.ghost'),
    carried: number('.ghost', 'height') - number('.bar', 'height'),
    cursor: number('.cursor', 'x1') - number('.bar', 'x') - number('.bar', 'width') / 2,
    curves: [...section.querySelectorAll('svg.plot path')].map(p => p.getAttribute('class')),
    flat: section.querySelectorAll('.flat').length,
    told: [...section.querySelectorAll('.verdict span')].map(s => s.textContent),
    says: section.querySelector('.says').textContent,
  };
})
"""
# Pairs of words that lie on each other, and words that leave their card.
_CLASHES = """
(() => {
  const found = [];
  for (const section of document.querySelectorAll('section')) {
    const card = section.getBoundingClientRect(), boxes = [];
    const words = 'svg text, label, legend, output, .verdict span, .status, p, h2';
    for (const e of section.querySelectorAll(words)) {
      const b = e.getBoundingClientRect();
      if (!b.width || !e.textContent) continue;
      if (b.left < card.left || b.right > card.right || b.bottom > card.bottom)
        found.push(`${section.id}: ${e.textContent} leaves the card`);
      for (const [other, o] of boxes)
        if (!other.contains(e) && b.left < o.right - 1 && o.left < b.right - 1
            && b.top < o.bottom - 4 && o.top < b.bottom - 4)
          found.push(`${section.id}: ${other.textContent} | ${e.textContent}`);
      boxes.push([e, b]);
    }
  }
  return found;
})()
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_page(tmp_path_factory.mktemp("explain") / "explain.html")


@pytest.fixture
def page(file):
    with open_page(file, width=1400) as page:
        yield page
        assert page.errors == []
        assert page.requests == []


def drawn(page, name):
    return page.evaluate(f"{_DRAWN}({json.dumps(name)})")


def slide(page, name, z, output=0):
    page.evaluate(
        f"(() => {{ const s = document.querySelectorAll('#{name} input[type=range]')[{output}];"
        f" s.value = {z}; s.dispatchEvent(new Event('input')); return s.value }})()"
    )


def press(page, key, code):
    for kind in ("rawKeyDown", "keyUp"):
        page.call(
            "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code
        )
    page.settle()


def agrees(picture, name, scores, y, focus=0):
    """Assert that what is drawn is what the model says of these scores."""
    loss, wrong, dz = (v[0] for v in model_at(name, np.array([scores]), y))
    error, slope = wrong[focus], dz[focus]
    close = {"rel": 0, "abs": 5e-3 if name == "softmax" else 1e-3}
    assert picture["z"] == pytest.approx(scores[focus], abs=1e-6)
    assert picture["loss"] == pytest.approx(loss, **close)
    assert picture["prediction"] == pytest.approx(error + y[focus], **close)
    assert picture["slope"] == pytest.approx(slope, **close)
    assert picture["tangent"] == pytest.approx(slope, abs=6e-3)  # two ends, to 1/100 of a pixel
    assert picture["bar"] == pytest.approx(abs(error), **close)
    assert picture["stem"] == pytest.approx(abs(slope), **close)
    assert picture["ghost"] == pytest.approx(abs(error), **close)
    assert picture["carried"] == pytest.approx(0, abs=1e-6)  # pixels: the same scale in both panels
    assert picture["cursor"] == pytest.approx(0, abs=1e-6)
    told = [float(picture["told"][i].replace("−", "-")) for i in (3, 5)]
    assert told == pytest.approx([error, slope], abs=6e-4)
    same = abs(error - slope) < 5e-4
    assert picture["told"][4] == ("=" if same else "≠")
    assert picture["says"] == ("The bar is the slope." if same else "The bar is not the slope.")


@pytest.mark.parametrize(("width", "dark"), WINDOWS)
def test_it_opens_and_fits(file, width, dark):
    with open_page(file, width, dark) as page:
        plots = page.evaluate("[...document.querySelectorAll('section svg.plot')].length")
        assert plots == 4
        for name in NAMES:
            curves = drawn(page, name)["curves"]
            for kind in ("curve", "truth", "loss", "tangent", "slope-curve", "error-curve"):
                assert kind in curves
        assert page.overflow() == []
        assert page.evaluate(_CLASHES) == []
        for name in NAMES:  # words move with the sliders
            for output in range(len(PICTURES[name].outputs)):
                for z in (PICTURES[name].lo, 0, -PICTURES[name].lo):
                    slide(page, name, z, output)
                    assert page.evaluate(_CLASHES) == []
        assert page.overflow() == []
        assert page.errors == []
        assert page.requests == []


@pytest.mark.parametrize("name", ["linear", "logistic", "plateau"])
def test_point_tangent_and_bar_follow_the_slider(page, name):
    picture = PICTURES[name]
    y = picture.targets[picture.chosen]
    agrees(drawn(page, name), name, list(picture.scores), y)
    seen = []
    for z in np.linspace(picture.lo, -picture.lo, 7):
        slide(page, name, z)
        seen.append(drawn(page, name))
        agrees(seen[-1], name, [z], y)
    for what in ("z", "loss", "prediction", "tangent", "bar"):
        assert len({round(picture[what], 6) for picture in seen}) > 4, what


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_can_be_chosen(page, name):
    picture = PICTURES[name]
    for i, y in enumerate(picture.targets.values()):
        page.click(f"#{name} .options label:nth-child({i + 1}) input")
        agrees(drawn(page, name), name, list(picture.scores), y)


def test_softmax_follows_the_score_that_moves(page):
    scores = list(PICTURES["softmax"].scores)
    y = PICTURES["softmax"].targets["A"]
    agrees(drawn(page, "softmax"), "softmax", scores, y)
    for focus, z in ((1, -2.0), (2, 3.0), (0, 0.75)):
        slide(page, "softmax", z, focus)
        scores[focus] = z
        agrees(drawn(page, "softmax"), "softmax", scores, y, focus)
        pushes = page.evaluate(
            "[...document.querySelectorAll('#softmax .push output')].map(o => o.textContent)"
        )
        numbers = [float(push.replace("−", "-")) for push in pushes]
        _, error, _ = model_at("softmax", np.array([scores]), y)
        assert numbers == pytest.approx(error[0], abs=7e-4)
        assert sum(numbers) == pytest.approx(0, abs=2e-3)


def test_the_sliders_answer_to_the_keyboard(page):
    page.evaluate("document.querySelector('#logistic input[type=range]').focus()")
    before = drawn(page, "logistic")["z"]
    press(page, "ArrowRight", 39)
    assert drawn(page, "logistic")["z"] == pytest.approx(before + 0.05, abs=1e-6)
    press(page, "Home", 36)
    agrees(drawn(page, "logistic"), "logistic", [-6.0], (1.0,))


def test_each_slider_says_what_it_is(page):
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    sliders = [n["name"]["value"] for n in nodes if n.get("role", {}).get("value") == "slider"]
    classes = [f"z{name}, the score of class {name}" for name in "ABC"]
    assert sliders == ["Score z", "Score z", *classes, "Score z"]
    words = page.evaluate(
        "document.querySelector('#logistic input[type=range]').getAttribute('aria-valuetext')"
    )
    assert words == "−1.50, ŷ − y = −0.818, slope −0.818"
    images = [n["name"]["value"] for n in nodes if n.get("role", {}).get("value") == "image"]
    assert images[-1] == (
        "The warning: squared error on a sigmoid. z = −4.50, ŷ − y = −0.989, dL/dz = −0.011."
    )


def test_a_press_on_the_picture_moves_the_score(page):
    x, y = page.evaluate(
        "(() => { document.querySelector('#logistic').scrollIntoView();"
        " const b = document.querySelector('#logistic svg.plot').getBoundingClientRect();"
        " return [b.left + PICTURES.logistic.at.x(2), b.top + 100] })()"
    )
    for kind in ("mousePressed", "mouseReleased"):
        held = {"button": "left", "buttons": int(kind == "mousePressed"), "clickCount": 1}
        page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **held)
    page.settle()
    agrees(drawn(page, "logistic"), "logistic", [2.0], (1.0,))


def test_the_plateau_is_shaded_in_the_last_picture_only(page):
    assert [drawn(page, name)["flat"] for name in NAMES] == [0, 0, 0, 3]
    flat = page.evaluate(
        "(() => { const r = document.querySelector('#plateau .flat');"
        " const at = PICTURES.plateau.at, x = Number(r.getAttribute('x'));"
        " return [at.z(x), at.z(x + Number(r.getAttribute('width')))] })()"
    )
    _, error, dz = model_at("plateau", np.array([flat]).T, (1.0,))
    assert flat[0] == -6
    assert np.all(np.abs(error) > 0.5)
    assert np.all(np.abs(dz) < 0.05)
    _, _, beyond = model_at("plateau", np.array([[flat[1] + 0.05]]), (1.0,))
    assert abs(beyond[0, 0]) > 0.05


def test_ten_steps_go_far_with_the_right_loss_only(page):
    page.call("Emulation.setEmulatedMedia", features=[STILL])
    went = {}
    for name in ("logistic", "plateau"):
        slide(page, name, -4.5)
        page.click(f"#{name} .outcome button")
        assert page.evaluate(f"PICTURES.{name}.trail.length") == 10  # at once: nothing moves
        z = -4.5
        for _ in range(10):
            z -= 0.5 * model_at(name, np.array([[z]]), (1.0,))[2][0, 0]
        went[name] = drawn(page, name)["z"]
        assert went[name] == pytest.approx(z, abs=1e-3)
        status = page.evaluate(f"document.querySelector('#{name} .status').textContent")
        told = re.match(
            r"z went from −4\.50 to (−[\d.]+), the loss from [\d.]+ to [\d.]+\.", status
        )
        assert float(told[1].replace("−", "-")) == pytest.approx(z, abs=6e-3)
    assert went["logistic"] > -0.5
    assert went["plateau"] < -4.4


def test_ten_steps_are_shown_one_by_one(page):
    page.click("#logistic .outcome button")
    assert page.evaluate("PICTURES.logistic.trail.length") < 10
    page.wait_for("PICTURES.logistic.trail.length === 10")
    slide(page, "logistic", 0)
    assert page.evaluate("document.querySelectorAll('#logistic .trail').length") == 0


def test_it_says_so_without_javascript():
    assert "<noscript>The pictures need JavaScript." in PAGE


@pytest.mark.parametrize("dark", [False, True])
def test_on_paper_it_is_light_and_whole(file, dark):
    """Asked while it is printed; after that it is drawn for the window again."""
    widths = "[...document.querySelectorAll('svg.plot')].map(e => e.clientWidth)"
    with open_page(file, 1400, dark) as page:
        on_screen = page.evaluate(widths)
        page.evaluate(f"addEventListener('beforeprint', () => {{ window.told = {widths} }}); true")
        page.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)
        assert page.evaluate("window.told") == [600] * len(NAMES)
        assert page.evaluate(widths) == on_screen
        wish = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.call("Emulation.setEmulatedMedia", media="print", features=[wish])
        page.settle()
        ground = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(ground) == "rgb(246, 246, 243)"
        ticks = "getComputedStyle(document.querySelector('svg .tick')).fill"
        assert page.evaluate(ticks) == "rgb(91, 98, 112)"
