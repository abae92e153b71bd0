"""The page as a file: whole, offline, readable; and the command that writes it."""

import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from explain_helpers import PAGE

import trainer
from trainer.cli import main
from trainer.errors import UserError
from trainer.explain import page, write_page

ROOT = Path(trainer.__file__).parents[1]


def test_the_page_is_whole_and_light():
    assert PAGE.startswith("<!doctype html>")
    assert PAGE.rstrip().endswith("</html>")
    for place in ("/* page.css */", "/* scripts */", "{samples}"):
        assert place not in PAGE
    assert len(PAGE.encode()) < 400_000
    assert page() == PAGE


def test_the_page_asks_for_nothing_outside_itself():
    addresses = set(re.findall(r"https?://[^\s\"'<)]+", PAGE))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert re.findall(r'(?:src|href)="(?!data:)', PAGE) == []
    assert "@import" not in PAGE
    assert "url(" not in PAGE


def test_no_formula_of_a_model_is_in_the_scripts():
    script = PAGE[PAGE.index('"use strict"') :]
    assert set(re.findall(r"Math\.(\w+)", script)) <= {
        "abs", "ceil", "floor", "hypot", "max", "min", "round",
    }  # fmt: skip
    assert "**" not in script


def test_the_wheel_takes_the_parts_along():
    for name in ("page.html", "page.css", "read.js", "draw.js", "hands.js"):
        assert files("trainer.explain").joinpath(name).is_file()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert "trainer" in wheel["only-include"]  # all of the package
    assert not wheel.keys() & {"exclude", "include", "packages"}  # nothing left out


def test_explain_writes_explain_html_here(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["explain"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == str(tmp_path / "explain.html")
    assert err == ""
    assert (tmp_path / "explain.html").read_text(encoding="utf-8") == PAGE


def test_explain_replaces_the_file_it_is_told(tmp_path, capsys):
    target = tmp_path / "a page.html"
    target.write_text("old")
    assert main(["explain", "--out", str(target)]) == 0
    assert capsys.readouterr().out == f"{target}\n"
    assert target.read_text(encoding="utf-8") == PAGE
    assert [path.name for path in tmp_path.iterdir()] == ["a page.html"]


def test_a_folder_is_no_page(tmp_path, capsys):
    with pytest.raises(UserError, match=r"is a folder; name a file in it, such as .*explain\.html"):
        write_page(tmp_path)
    lost = tmp_path / "none" / "e.html"
    assert main(["explain", "--out", str(lost)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"--out: {lost}: {lost.parent} is no folder; make it first\n"
    assert main(["explain", "more"]) == 2
    assert capsys.readouterr().err == (
        "unrecognized arguments: more; see stacked-trainer explain --help\n"
    )
    with pytest.raises(UserError, match="File name too long; name another file"):
        write_page(tmp_path / ("x" * 300))


# --- colours --------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def palettes():
    css = files("trainer.explain").joinpath("page.css").read_text(encoding="utf-8")
    found = [dict(re.findall(r"--(\w+): (#\w{6});", block)) for block in css.split("@media", 1)]
    assert len(found) == 2
    return found


@pytest.mark.parametrize("dark", [False, True])
def test_text_and_marks_stand_out(dark):
    colours = palettes()[dark]
    ratios = {
        (name, ground): contrast(colours[name], colours[ground])
        for name in ("ink", "soft", "error", "slope", "blue", "vermillion", "green")
        for ground in ("card", "page", "flat")
    }
    assert len(ratios) == 21
    # WCAG 2.2: 4.5 for text, 3 for marks.
    marks = ("blue", "vermillion", "green")
    assert [p for p, ratio in ratios.items() if ratio < (3 if p[0] in marks else 4.5)] == []


def test_the_help_tells_of_it(capsys):
    assert main(["--help"]) == 0
    assert re.search(r"^  explain +\w", capsys.readouterr().out, re.MULTILINE)
    assert main(["explain", "--help"]) == 0
    assert "default: explain.html" in capsys.readouterr().out
