"""Every YAML block of the README and the docs is a config that loads."""

import re
from pathlib import Path

import pytest
from spec_helpers import load

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
BLOCK = re.compile(r"^```ya?ml\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page):
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def test_the_pages_are_found():
    assert ROOT / "README.md" in PAGES


def test_blocks_are_found(tmp_path):
    page = tmp_path / "a.md"
    page.write_text("x\n```yaml\na: 1\n```\n```python\n1\n```\n```yml\nb: 2\n```\n")
    assert blocks(page) == ["a: 1\n", "b: 2\n"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_a_page_loads(page, tmp_path):
    for text in blocks(page):
        load(tmp_path, text)
