"""What the pages say is so: their configs load, their snippets run, what they name exists.

The files of configs/ are held to what the README says of them.
"""

import html
import importlib
import importlib.util
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from browser import needs_chromium
from safetensors.numpy import load_file

import trainer
from trainer.catalog import METRICS
from trainer.catalog import MODELS as MODEL_FACTS
from trainer.cli import main
from trainer.config import load_spec
from trainer.data import prepare
from trainer.model import MODELS
from trainer.optim.first_order import OPTIMIZERS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
MATHEMATICS = ROOT / "docs" / "mathematics.md"
RUN_FOLDER = ROOT / "docs" / "run_folder.md"
PICTURES = ROOT / "docs" / "pictures"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
CONFIGS = [
    "layer_sweep.yaml",
    "linear.yaml",
    "logistic.yaml",
    "path_lasso.yaml",
    "path_logistic_l1.yaml",
    "probes/bigvision_ridge.yaml",
    "probes/clip_benchmark.yaml",
    "probes/clip_linear.yaml",
    "probes/coop_fewshot.yaml",
    "probes/dinov2_linear.yaml",
    "probes/dinov2_logreg.yaml",
    "probes/dinov3_linear.yaml",
    "probes/ibot_linear.yaml",
    "probes/lgssl.yaml",
    "probes/mae_linear.yaml",
    "probes/mteb_fewshot.yaml",
    "probes/sae_probe.yaml",
    "probes/sae_probes_latents.yaml",
    "probes/torchgeo_bench.yaml",
    "sigmoid_squared_error.yaml",
    "softmax.yaml",
    "sweep_linear.yaml",
    "sweep_logistic.yaml",
    "sweep_softmax.yaml",
]
SETUP = ["pip install -e . && python scripts/run.py configs/softmax.yaml"]
SETUP += ['pip install -e ".[test]" && pytest']


def blocks(page: Path, language: str):
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(page: Path):
    return [line for block in blocks(page, "sh") for line in block.splitlines()]


def section(page: Path, title: str):
    text = page.read_text(encoding="utf-8")
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)[1]


def in_code(text: str):
    return re.findall(r"`([^`\n]+)`", text)


# --- the pages ------------------------------------------------------------------------------------


def test_the_pages_are_found():
    assert [str(page.relative_to(ROOT)) for page in PAGES] == [
        "AGENTS.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "README.md",
        "docs/configuration.md",
        "docs/gpu.md",
        "docs/gpu_counts.md",
        "docs/mathematics.md",
        "docs/metrics.md",
        "docs/run_folder.md",
    ]


def test_every_yaml_block_is_a_config(tmp_path):
    found = {}
    for page in PAGES:
        for text in blocks(page, "ya?ml"):
            file = tmp_path / "a.yaml"
            file.write_text(text, encoding="utf-8")
            load_spec(file)
            found[page.name] = found.get(page.name, 0) + 1
    assert found == {"README.md": 4, "configuration.md": 7, "metrics.md": 1}


def test_the_readme_has_the_two_commands_each_on_a_line_of_its_own():
    lines = commands(README)
    assert [line for line in lines if line in SETUP] == SETUP


@pytest.fixture(scope="module")
def visitor(tmp_path_factory):
    """A folder that looks like a checkout, where the README's commands have been run in turn."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("configs", "scripts", "trainer"):
        (folder / name).symlink_to(ROOT / name)
    lines = [line.rpartition(" && ")[2] for line in commands(README)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        ours = ("python ", "stacked-trainer ")
        codes = {line: run_command(line) for line in lines if line.startswith(ours)}
        yield folder, codes


def run_command(line: str):
    before = ["python", "scripts/run.py"]
    words = shlex.split(line, comments=True)
    if words[:2] == before:
        return main(["run", *words[2:], *(["--quiet"] if "--check" not in words else [])])
    assert words[0] == "stacked-trainer"
    return main([*words[1:], *(["--quiet"] if words[1] == "run" else [])])


def test_every_command_of_the_readme_runs(visitor):
    folder, codes = visitor
    assert len(codes) == 7
    assert set(codes.values()) == {0}
    assert len((folder / "predictions.csv").read_text().splitlines()) == 1798


def words_of(svg: bytes):
    parts = re.findall(r"<text[^>]*>(.*?)</text>", svg.decode(), re.DOTALL)
    return " ".join(html.unescape(" ".join(parts)).split())


def test_a_run_says_what_the_readme_shows(visitor):
    folder, _ = visitor
    (log,) = folder.glob("runs/softmax/*/run.log")
    lines = (line.split(None, 2)[2] for line in log.read_text().splitlines())
    said = {line.split()[0]: " ".join(line.split()) for line in lines}
    for theme in ("light", "dark"):
        shown = words_of((PICTURES / f"terminal-{theme}.svg").read_bytes())
        assert shown.startswith("$ " + SETUP[0].partition(" && ")[2])
        same = ("config", "data", "objective")  # on every machine; the other lines are there too
        assert [what for what in same if said[what] not in shown] == []
        labels = [what for what in said if what.isalpha()]  # progress begins with its percentage
        assert [what for what in labels if f" {what} " not in shown] == []
        assert len(labels) >= 8


# --- the pictures ---------------------------------------------------------------------------------


def script(name: str):
    path = ROOT / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_shows_each_picture_light_dark_and_in_words():
    text = README.read_text(encoding="utf-8")
    form = r'srcset="F(\w+)-dark\.(\w+)">\n  <img src="F(.+)" width="100%" alt="(.{60,})">'
    shown = re.findall(form.replace("F", "docs/pictures/"), text)
    assert [light for *_, light, _ in shown] == [f"{n}-light.{kind}" for n, kind, *_ in shown]
    names = {f"{name}-{theme}.{kind}" for name, kind, *_ in shown for theme in ("light", "dark")}
    assert names == {path.name for path in PICTURES.iterdir()}
    assert len(names) == text.count("docs/pictures/") == 6


@pytest.mark.parametrize("picture", sorted(PICTURES.iterdir()), ids=lambda path: path.name)
def test_a_picture_is_small_and_asks_nobody_for_anything(picture):
    data = picture.read_bytes()
    assert 4_000 < len(data) < 200_000
    if picture.suffix == ".svg":
        assert b"url(http" not in data
        assert b"<text" in data
        assert {b"/home/you/trainer"} == set(re.findall(rb"(?<![\w.])/\w+/\w+/\w+", data))
    else:
        assert data[:4] + data[8:12] == b"RIFFWEBP"


@needs_chromium
@pytest.mark.slow
def test_the_pictures_are_those_that_the_script_draws():
    drawn = dict(script("pictures").pictures())
    assert drawn.keys() == {path.name for path in PICTURES.iterdir()}
    assert max(map(len, drawn.values())) < 200_000
    for theme in ("light", "dark"):  # to the line that tells of the machine
        name = f"terminal-{theme}.svg"
        now, then = (words_of(data) for data in (drawn[name], (PICTURES / name).read_bytes()))
        assert now.split(" device ")[0] == then.split(" device ")[0], "scripts/pictures.py"


@pytest.mark.parametrize("page", [README, RUN_FOLDER], ids=lambda page: page.name)
def test_every_python_block_runs(page, visitor, monkeypatch, capsys):
    folder, _ = visitor
    monkeypatch.chdir(folder)
    (block,) = blocks(page, "python")
    exec(compile(block, page.name, "exec"), {})
    assert capsys.readouterr().out.startswith("finished ")


def test_every_relative_link_leads_somewhere():
    links = [
        (page, link)
        for page in PAGES
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
        if not link.startswith("https://")
    ]
    assert len(links) >= 15
    assert [link for page, link in links if not leads_somewhere(page, link)] == []


def leads_somewhere(page, link):
    """Whether there is such a file, and in it such a heading."""
    file, _, heading = link.partition("#")
    target = page.parent / file if file else page
    if not heading:
        return target.exists()
    headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
    return heading in [re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings]


# --- docs/mathematics.md --------------------------------------------------------------------------


def named_functions():
    """Objects that docs/mathematics.md names, as `trainer/file.py:function`."""
    for file, name in re.findall(r"`(trainer/[\w/]+)\.py:([\w.]+)`", MATHEMATICS.read_text()):
        found = importlib.import_module(file.replace("/", "."))
        for part in name.split("."):
            found = getattr(found, part)
        yield found


def test_every_function_that_the_mathematics_names_exists():
    assert len(list(named_functions())) == 64


def test_the_mathematics_names_every_function_of_the_two_tables():
    named = set(map(id, named_functions()))
    computed = [f for model in MODELS.values() for f in (model.activation, model.loss, model.dz)]
    computed += [optimizer.update for optimizer in OPTIMIZERS.values()]
    assert [f.__name__ for f in computed if id(f) not in named] == []


def test_no_page_names_a_line_of_a_file():
    assert [page.name for page in PAGES if re.search(r"\.py:\d", page.read_text())] == []


# --- docs/configuration.md ------------------------------------------------------------------------


def configuration():
    return script("configuration")


def test_the_tables_of_the_keys_are_current():
    script = configuration()
    page = script.PAGE.read_text(encoding="utf-8")
    assert script.with_tables(page) == page, "run python scripts/configuration.py"


def test_every_block_of_the_schema_has_its_table():
    page = configuration().PAGE.read_text(encoding="utf-8")
    shown = set(re.findall(r"<!-- keys of (\w+)", page))
    shared = {"FirstOrder"}  # whose keys are in Sgd's table
    shared |= {"Solver", "Newton", "Exact", "Auto"}  # and theirs in Lbfgs's
    named = {
        "NamedNpy",
        "NamedNpz",
        "NamedSafetensors",
        "NamedLibsvm",
        "NamedSynthetic",
        "NamedSideBySide",
    }  # the same key beyond their source's
    assert configuration().BLOCKS.keys() - shown == {"Block", *shared, *named}
    assert len(shown) == 34


# --- docs/metrics.md ------------------------------------------------------------------------------


def test_the_tables_of_the_metrics_are_current_and_have_all():
    found = script("metrics")
    page = found.PAGE.read_text(encoding="utf-8")
    assert found.with_tables(page) == page, "run python scripts/metrics.py"
    assert re.findall(r"<!-- metrics of (\w+)", page) == list(MODEL_FACTS)
    rows = re.findall(r"^\| `(\w+)`", page, re.MULTILINE)
    assert set(rows) == set(METRICS)
    assert len(rows) == sum(len(facts.models) for facts in METRICS.values())


# --- docs/run_folder.md ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full_run(tmp_path_factory):
    """A run that leaves every file there is."""
    spec = {"model": "softmax", "data": {"train": "digits", "test": 0.1}, "device": "cpu"}
    log = {"weights": "all", "gradients": 10}
    spec |= {"optimizer": {"steps": 10}, "log": log}
    return trainer.run(spec, out=tmp_path_factory.mktemp("full") / "run")


@pytest.fixture(scope="module")
def full_sweep(tmp_path_factory):
    """A sweep that leaves every file that only sweeps do."""
    spec = {"model": "softmax", "data": {"train": "digits", "test": 0.1}, "device": "cpu"}
    spec |= {
        "optimizer": {"steps": 10},
        "log": {"gradients": 10},
        "repeat": {"folds": 2, "inner_folds": 2},
    }
    spec |= {"sweep": {"parameters": {"optimizer.lr": [0.1, 0.2]}}}
    spec |= {"select": {"per": ["optimizer.lr"]}}
    return trainer.run(spec, out=tmp_path_factory.mktemp("full") / "sweep")


def test_every_file_of_a_run_is_described_and_the_other_way_round(full_run, full_sweep):
    table = RUN_FOLDER.read_text().split("| file | what |")[1].split("\n\n")[0]
    described = {name for line in table.splitlines()[2:] for name in in_code(line.split("|")[1])}
    left = set()
    for run in (full_run, full_sweep):
        files = [path for path in run.folder.rglob("*") if path.is_file()]
        named = {re.sub(r"step-\d+", "step-<N>", str(f.relative_to(run.folder))) for f in files}
        left |= {re.sub(r"stack-\d+", "stack-<M>", name) for name in named}
    # which a run that is over does not have, and one without resamples or leave-one-out
    assert left | {"checkpoint/", "coefficients.csv", "influence.csv"} == described
    assert len(left) == 20


def first_cells(text: str):
    rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in in_code(row)]


def test_every_column_of_the_step_log_is_described(full_run):
    assert first_cells(section(RUN_FOLDER, "steps.parquet")) == full_run.steps().column_names


def test_every_array_of_a_snapshot_is_described(full_run):
    arrays = load_file(full_run.folder / "gradients" / "step-10.safetensors")
    assert set(first_cells(section(RUN_FOLDER, "gradients"))) == set(arrays)


def test_every_column_of_the_trials_is_described(full_run):
    described = in_code(section(RUN_FOLDER, "trials.csv"))
    metrics = re.compile(r"(val|test)_\w+|\w+_std")
    assert len(full_run.trials[0]) == 24
    assert [n for n in full_run.trials[0] if n not in described and not metrics.match(n)] == []


# --- configs/ -------------------------------------------------------------------------------------


def config(name: str, *overrides: str):
    return load_spec(ROOT / "configs" / name, ["device=cpu", *overrides])


def test_the_configs_are_found():
    found = (ROOT / "configs").rglob("*.yaml")
    assert sorted(str(path.relative_to(ROOT / "configs")) for path in found) == CONFIGS


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_opens_with_its_schema_and_its_command(name):
    lines = (ROOT / "configs" / name).read_text(encoding="utf-8").splitlines()
    up = "../" * (name.count("/") + 1)
    assert lines[0] == f"# yaml-language-server: $schema={up}schema/config.json"
    assert lines[1] == f"# python scripts/run.py configs/{name}"
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("name", "metric", "least"),
    [
        ("softmax.yaml", "val_accuracy", 0.94),
        ("logistic.yaml", "val_accuracy", 0.95),
        ("linear.yaml", "val_r2", 0.91),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_a_config_reaches_what_it_should(name, metric, least, seed, tmp_path):
    run = trainer.run(config(name, f"data.seed={seed}"), out=tmp_path / "run")
    assert run.status == "finished"
    value = run.best["metrics"][metric]
    assert value >= least
    if seed == 0:  # what the README's table says was measured
        (row,) = (line for line in README.read_text().splitlines() if f"| [{name}]" in line)
        assert value == pytest.approx(float(re.search(r"0\.\d+", row)[0]), abs=0.005)


def test_logistic_yaml_ends_at_the_weights_of_scikit_learn(tmp_path):
    from sklearn.linear_model import LogisticRegression

    spec = config("logistic.yaml")
    train = prepare(spec).train
    theirs = LogisticRegression(C=1, tol=1e-9, max_iter=10_000)
    theirs.fit(train.X.astype(np.float64), train.y[:, 0])
    ours = trainer.run(spec, out=tmp_path / "run").model()
    np.testing.assert_allclose(ours.weights[:, 0], theirs.coef_[0], atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_squared_error_on_a_sigmoid_learns_less_from_the_same_start(seed, tmp_path):
    runs = {
        loss: trainer.run(
            config("sigmoid_squared_error.yaml", f"loss={loss}", f"seed={seed}"),
            out=tmp_path / loss,
        )
        for loss in ("squared_error", "auto")
    }
    error, dz = (
        {loss: run.steps()[name].to_numpy() for loss, run in runs.items()}
        for name in ("error_rms", "dz_rms")
    )
    assert len(dz["auto"]) == 120
    assert error["auto"][0] == error["squared_error"][0]
    np.testing.assert_array_equal(error["auto"], dz["auto"])
    assert (error["squared_error"] > 8 * dz["squared_error"]).all()
    accuracy = {loss: run.best["metrics"]["val_accuracy"] for loss, run in runs.items()}
    assert accuracy["auto"] > accuracy["squared_error"] + 0.1
