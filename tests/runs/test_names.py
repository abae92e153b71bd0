"""The names in a run folder stand once."""

import ast
from pathlib import Path

import trainer
from trainer.runs import names

ROOT = Path(trainer.__file__).parent
FILES = {
    value
    for name, value in vars(names).items()
    if name.isupper() and isinstance(value, str) and "." in value
}


def test_only_one_file_spells_them():
    assert len(FILES) == 22
    spelled = {}
    for path in ROOT.rglob("*.py"):
        if path.parent.name == "wording":  # whose sentences name files to people
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        if found := FILES & words:
            spelled[str(path.relative_to(ROOT))] = found
    # predictions do not see run folders, and say of one without a model how its run ended
    assert spelled == {"runs/names.py": FILES, "predict/fitted_model.py": {"manifest.json"}}
