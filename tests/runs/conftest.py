from __future__ import annotations

import pytest

from trainer.runs.writer import RunWriter


@pytest.fixture
def in_an_empty_folder(tmp_path, monkeypatch):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


@pytest.fixture
def folder(tmp_path):
    return RunWriter.create("a", tmp_path / "run")
