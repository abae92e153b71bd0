"""plotly.js in the package: one bundle with its licence, which has all that the charts are of."""

import hashlib
import importlib.util
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from report_helpers import charts_of, page_of

from trainer.report.html import PLOTLY

ROOT = Path(__file__).parents[2]
ASSETS = files("trainer.report").joinpath("assets")


def script():
    spec = importlib.util.spec_from_file_location("vendor", ROOT / "scripts" / "vendor_plotly.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_bundle_is_the_one_that_the_script_names():
    vendor, text = script(), ASSETS.joinpath(PLOTLY).read_text(encoding="utf-8")
    assert {path.name for path in vendor.FOLDER.iterdir()} == set(vendor.FILES)
    assert vendor.FOLDER / vendor.FILES[0] == Path(str(ASSETS.joinpath(PLOTLY)))
    assert text.startswith(f"/**\n* plotly.js (cartesian - minified) v{vendor.VERSION}\n")
    assert "Licensed under the MIT license" in text[:300]
    assert "Permission is hereby granted" in (vendor.FOLDER / "LICENSE").read_text()
    digest = hashlib.sha256((vendor.FOLDER / vendor.FILES[0]).read_bytes()).hexdigest()
    assert digest == "79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a"


def test_a_bundle_that_is_not_the_pinned_one_is_refused(tmp_path, monkeypatch):

    vendor = script()
    monkeypatch.setattr(vendor, "packed", lambda: b"another archive")
    monkeypatch.setattr(vendor, "FOLDER", tmp_path / "plotly")
    with pytest.raises(SystemExit, match="its digest is sha512-"):
        vendor.main()
    assert not (tmp_path / "plotly").exists()


def test_no_registry_is_named():
    """npm knows where packages are; a machine may have its own place for them."""
    assert re.search(r"https?://", (ROOT / "scripts" / "vendor_plotly.py").read_text()) is None


def test_charts_are_of_traces_that_the_bundle_has(runs):
    drawn = {
        trace["type"]
        for run in runs.values()
        for chart in charts_of(page_of(run)).values()
        for view in chart["views"]
        for trace in view["data"]
    }
    assert drawn == {"scatter", "bar", "heatmap"}


def test_a_page_needs_no_package_for_its_charts(runs):
    code = (
        "import sys; sys.modules['plotly'] = None\n"
        "from trainer.workflow.report import write_report\n"
        "print(write_report(sys.argv[1]).stat().st_size)"
    )
    command = [sys.executable, "-c", code, str(runs["linear"].folder)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert 1_500_000 < int(told) < 2_000_000
    assert (
        "plotly"
        not in (ROOT / "pyproject.toml")
        .read_text()
        .split("[project.optional")[0]
        .split("dependencies = [")[1]
    )
