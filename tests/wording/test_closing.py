"""The end of a run on the terminal, from plain dicts alone."""

from pathlib import Path

from trainer.text.printable import Verbatim
from trainer.wording.closing import SHOWN, commands, run_closing, sweep_closing
from trainer.wording.settings import BriefSettings, settings_text, short_names

LR, K = "optimizer.lr", "repeat.few_shot.k"


def standing(trial, value, std=None, **settings):
    """A trial as results.json has it."""
    stds = {} if std is None else {"val_loss": std}
    return {"trial": trial, "settings": settings, "metrics": {"val_loss": value}, "std": stds}


def results(best, other=None, **more):
    """results.json of a sweep."""
    return {
        "metric": {"name": "val_loss", "goal": "minimize"},
        "counts": {"finished": 2},
        "trials": 2,
        "repeats": 1,
        "axes": {LR: [0.1, 0.2]},
        "rule": "best",
        "best": {"epochs": 3, "best_epoch": 3, "refit": None, **best},
        "runner_up": other,
        "groups": [],
        "edges": [],
        "halving": [],
        **more,
    }


def ranked(found, rank, status="finished"):
    return {"rank": rank, "status": status, **found}


def test_a_sweep_from_its_results():
    best = standing(1, 0.00001234, 0.0012, **{LR: 1e-5})
    best["metrics"]["test_loss"], best["std"]["test_loss"] = 0.75, 0.5
    tested = standing(1, 0.25, **{LR: 1e-5, K: 2})
    tested["metrics"]["test_loss"] = 0.75
    other = standing(0, 0.5, **{LR: 0.1})
    record = results(
        best,
        other | {"margin": 0.25, "standard_errors": 1.5},
        repeats=4,
        groups=[{"per": {K: 2}, "refit": {"metrics": {"test_loss": 0.5}}, **tested}],
        edges=[{"advice": "widen it"}],
        rule="one_std_err",
    )
    table = [ranked(best, 1), ranked(other | {"metrics": {}}, None, "not_converged")]
    assert sweep_closing(record, table, within=1) == [
        (
            "ranking",
            "\nrank  trial  val_loss           settings"
            "\n   1      1  1.234e-5 ± 0.0012  lr 1e-5"
            "\n   –      0  none               lr 0.1    not converged",
        ),
        ("outcomes", "2 finished"),
        ("winner", "trial 1: lr 1e-5; val_loss 1.234e-5 ± 0.0012"),
        (
            "lead",
            "0.25 of val_loss ahead of trial 0 (lr 0.1), 1.5 standard errors of the paired"
            " difference over the repeats: a tie by these",
        ),
        (
            "rule",
            "no other trial is within one standard error of the best (its own, over 4 repeats)",
        ),
        (
            "groups",
            "\nk 2: val_loss 0.25 at lr 1e-5 (trial 1); test_loss 0.75; refit: test_loss 0.5",
        ),
        ("edge", "widen it"),
        ("model", "that of the winner's first repeat"),
        ("test", "test_loss 0.75 ± 0.5 (mean and standard deviation of the models of 4 repeats)"),
    ]


def test_a_choice_by_training_rows_is_told():
    by_training = results(standing(0, 0.5)) | {"metric": {"name": "train_loss"}}
    by_training["best"]["metrics"] = {"train_loss": 0.5}
    assert "weakest penalty" in dict(sweep_closing(by_training, []))["note"]
    assert "note" not in dict(sweep_closing(results(standing(0, 0.5)), []))


def test_a_refit_is_told_in_place_of_the_first_repeat():
    again = {"rows": "train", "epochs": 3, "metrics": {"test_loss": 0.25}}
    best = standing(0, 0.5) | {"refit": again}
    lines = dict(sweep_closing(results(best, repeats=4), [], length=(90, "step")))
    assert lines["refit"] == "trained again on all training rows for 90 steps"
    assert lines["test, refit"] == "test_loss 0.25"
    assert "model" not in lines
    assert "rule" not in lines
    assert "test" not in lines


def test_what_repeats_chose_for_themselves_is_told_with_val_as_selected():
    own = {
        "per": {K: 2},
        "trials": [1, 0],
        "metrics": {"train_loss": 0.1, "val_loss": 0.25, "test_loss": 0.75},
        "std": {"val_loss": 0.5, "test_loss": 0.125},
    }
    groups = [{"per": {K: 2, "repeat": r}, **standing(r, 0.5, **{K: 2})} for r in (0, 1)]
    record = results(standing(0, 0.5), repeats=2, per_repeat=[own], groups=groups)
    lines = dict(sweep_closing(record, [], word="draw"))
    assert lines["own choice"] == (
        "k 2: test_loss 0.75 ± 0.12; selected: val_loss 0.25 ± 0.5 (mean and standard deviation"
        " over each draw's own winner)"
    )
    assert lines["groups"].splitlines()[1] == "k 2, repeat 0: val_loss 0.5, selected (trial 0)"


def test_what_is_left_out_is_said():
    trials = [standing(i, 0.1 * (i + 1), **{LR: i}) for i in range(2 * SHOWN)]
    groups = [{"per": {LR: i}, **standing(i, 0.5, **{LR: i})} for i in range(25)]
    record = results(trials[0], trials=1200, groups=groups)
    lines = dict(sweep_closing(record, [ranked(t, 1) for t in trials]))
    assert lines["ranking"].splitlines()[-1] == "… 1,190 more in trials.csv"
    assert len(lines["ranking"].splitlines()) == SHOWN + 3
    assert lines["groups"].splitlines()[-1] == "… 5 more in groups.csv"


def test_a_table_and_a_command_are_never_wrapped():
    folder = Path("/tmp/a folder")
    lines = sweep_closing(results(standing(0, 0.5)), [ranked(standing(0, 0.5), 1)])
    kept = {label for label, value in lines if isinstance(value, Verbatim)}
    assert kept == {"ranking"}
    assert [type(value) for _, value in commands(folder)] == [type(folder), Verbatim, Verbatim]
    assert dict(commands(folder))["redraw"] == "stacked-trainer report '/tmp/a folder'"


def test_one_column_tells_its_epoch_and_a_solver_does_not():
    row = {"status": "early_stopped", "reason": "enough", "best_epoch": 3, "epochs": 9}
    metrics = {"train_loss": 0.5, "test_loss": 1e-7}
    lines = dict(run_closing(Path("run"), row, metrics))
    assert lines == {
        "outcome": "early stopped: enough; epoch 3 of 9 counts",
        "metrics": "train_loss 0.5, test_loss 1e-7",
        "predict": "stacked-trainer predict run DATA",
    }
    solved = run_closing(Path("run"), row | {"status": "converged", "iterations": 9}, metrics)
    assert dict(solved)["outcome"] == "converged: enough"


def test_a_status_that_the_reason_begins_with_is_said_once():
    reason = "interrupted after step 7"
    row = {"status": "interrupted", "reason": reason, "best_epoch": 1, "epochs": 1}
    lines = dict(run_closing(Path("runs/a"), row, {}))
    assert lines["outcome"] == "interrupted after step 7; epoch 1 of 1 counts"


def test_keys_are_as_short_as_can_be():
    names = {
        LR: "lr",
        K: "k",
        "optimizer.name": "optimizer",
        "optimizer.schedule.name": "schedule",
        "seed": "seed",
        "name": "name",
    }
    assert short_names(list(names)) == list(names.values())
    alike = ["data.scale", "vars.scale", LR]
    assert short_names(alike) == ["data.scale", "vars.scale", "lr"]


def test_values_are_in_one_line_and_long_ones_by_what_tells_them_apart():
    assert settings_text({}) == "as written"
    found = settings_text({LR: 123456.0, "bias": True, "data.scale": "a\nb", "seed": 7})
    assert found == "lr 1.235e5, bias true, scale a\\nb, seed 7"
    paths = [f"/home/somebody/features/layer_{i}/train.npy" for i in (1, 12)]
    brief = BriefSettings({"vars.file": paths})
    assert brief({"vars.file": paths[1]}) == "file …/layer_12/…"


def test_values_of_k_are_said_not_to_be_ranked():
    found = sweep_closing(results(standing(1, 0.25, **{K: 16}), axes={K: [4, 16]}), [])
    assert found[-1] == (
        "note",
        "values of k are not ranked against each other: each has ranks and a winner of its own;"
        " that of k 16, the largest, is the model that is kept",
    )
    found = dict(sweep_closing(results(standing(1, 0.25, **{K: 4}), axes={K: [4, 16]}), []))
    assert "of k 4, the largest with a rank, is" in found["note"]
    assert "note" not in dict(sweep_closing(results(standing(1, 0.25)), []))
