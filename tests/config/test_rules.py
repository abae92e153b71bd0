"""Settings that do not go together, each at the key to change."""

import pytest
from config_helpers import faults, load

from trainer.catalog import MODELS, metrics_of
from trainer.config.checks import rules
from trainer.config.schema.spec import Spec

TABLE = "data: {train: {table: a.csv, target: y, %s}}"
# (the file, the key, words of the fault)
OWN = "model: softmax\nselect: {per: [repeat]%s}\ndata: {train: digits, val: none, test: %s}%s"
NESTED = "model: softmax\ndata: {train: digits, val: none}\nrepeat: {%s, inner_folds: 3}"
SWEPT = "\nsweep: {parameters: {penalty.l2: [0, 1]}%s}"
BROKEN = [
    (OWN % ("", 0.2, ""), "select.per", "there is one repeat; write repeat: {folds: 5} too"),
    (OWN % ("", "none", "\nrepeat: {folds: 3}"), "select.per", "set data.test, which scores it"),
    (OWN % (", rule: one_std_err", 0.2, "\nrepeat: {folds: 3}"), "select.rule", "write best"),
    ("model: linear\ntargets: separate\nselect: {per: [repeat]}\nrepeat: {folds: 3}\n"
     "data: {train: diamonds, val: none, test: 0.2}", "select.per", "has a winner a target"),
    ("model: softmax\nloss: squared_error", "loss", "write auto"),
    ("model: linear\nclass_weight: balanced", "class_weight", "linear has no classes; write none"),
    ("model: poisson\nclass_weight: balanced", "class_weight", "poisson has no classes; write"),
    ("model: poisson\nloss: squared_error", "loss", "for linear and logistic, not poisson; write"),
    ("model: poisson\ndata: {train: digits, scale_target: standard}", "data.scale_target",
     "poisson has counts, which are not scaled"),
    ("model: softmax\noptimizer: {name: newton}\nprecision: tf32", "precision",
     "newton computes in float64; write float32, or take lbfgs, sgd, adam or adamw"),
    ("model: linear\noptimizer: {name: exact}\nprecision: tf32", "precision", "write float32, or"),
    ("model: poisson\noptimizer: {name: exact}", "optimizer.name", "for linear; poisson takes"),
    ("model: poisson\nrepeat: {few_shot: {k: 1}}\noptimizer: {batch_size: full}",
     "repeat.few_shot", "poisson has no classes to draw from"),
    ("model: linear\nclass_weight: {a: 1}", "class_weight", "linear has no classes; write none"),
    ("model: softmax\ndata: {train: digits, positive: 3}", "data.positive",
     "is one of the two classes of logistic, not of softmax; write auto"),
    ("model: softmax\ndata: {train: digits, scale_target: standard}", "data.scale_target",
     "softmax has classes"),
    ("model: linear\ndata: {train: digits, stratify: true}", "data.stratify", "write auto or"),
    ("model: softmax\ndata: {train: digits, val: 0.5, test: 0.5}", "data.test", "leave no rows"),
    ("model: linear\ndata: {train: digits, test: [{name: a, npy: X, target: y},"
     " {name: a, npy: Z, target: y}]}", "data.test.1.name", "names two test sets"),
    ("model: linear\ndata: {train: digits, test: [{name: val, npy: X, target: y}]}",
     "data.test.0.name", "choose another name"),
    ("model: linear\n" + TABLE % "columns: [a, y]", "data.train.columns", "'y' is the target"),
    ("model: linear\n" + TABLE % "categorical: [y]", "data.train.categorical", "is the target"),
    ("model: linear\n" + TABLE % "drop: [y]", "data.train.drop", "'y' is the target"),
    ("model: linear\n" + TABLE % "weight: y", "data.train.weight", "'y' is the target"),
    ("model: linear\n" + TABLE % "columns: [a, w], weight: w", "data.train.columns",
     "is the weight"),
    ("model: linear\n" + TABLE % "columns: [a, a]", "data.train.columns", "'a' is listed twice"),
    ("model: linear\n" + TABLE % "columns: [a], categorical: [b]", "data.train.categorical",
     "add it to columns"),
    ("model: linear\n" + TABLE % "drop: [b], categorical: [b]", "data.train.categorical", "remove"),
    ("model: linear\ndata: {train: {table: a.csv, target: [x, x]}}", "data.train.target", "twice"),
    ("model: linear\ndata: {train: {table: a.csv, target: 3}}", "data.train.target",
     '3 is an index, which goes with header: none; a name is in quotes: "3"'),
    ("model: linear\ndata: {train: {table: a.csv, target: [y, 3]}}", "data.train.target",
     "3 is an index"),
    ("model: linear\ndata: {train: {table: a.csv, target: [x3, 3], header: none}}",
     "data.train.target", "'x3' is listed twice"),
    ("model: linear\n" + TABLE % 'thousands: ".", decimal: "."', "data.train.thousands",
     'is what decimal is; write ","'),
    ("model: linear\n" + TABLE % 'thousands: ",", decimal: ","', "data.train.thousands",
     'write "."'),
    ("model: linear\n" + TABLE % """separator: "'", quote: "'\"""", "data.train.quote",
     "is the separator"),
    ("model: linear\ndata: {train: {table: a.parquet, target: y, encoding: cp1252}}",
     "data.train.encoding", "is for text files"),
    ("model: linear\ndata: {train: {table: a.parquet, target: y, na_values: []}}",
     "data.train.na_values", "remove it"),
    ("model: softmax\noptimizer: {epochs: 1, steps: 1}", "optimizer.steps", "not both"),
    ("model: softmax\noptimizer: {epochs: none}", "optimizer.epochs", "write epochs: 30"),
    ("model: softmax\noptimizer: {nesterov: true, momentum: 0}", "optimizer.nesterov",
     "momentum above 0"),
    ("model: softmax\noptimizer: {name: adamw}\npenalty: {l2: 1e-4}", "penalty.l2",
     "adamw takes no penalty; write 0 and use optimizer.weight_decay"),
    ("model: softmax\noptimizer: {name: adamw}\npenalty: {l1: 1e-4}", "penalty.l1", "no penalty"),
    ("model: softmax\noptimizer: {name: adamw}\npenalty: {C: 1}", "penalty.C", "remove it"),
    ("model: softmax\noptimizer: {name: adamw}\npenalty: {alpha: 1}", "penalty.alpha", "write 0"),
    ("model: logistic\ndata: {train: digits, test: [{libsvm: a.txt, name: a, classes: present}]}",
     "data.test.0.classes", "logistic does not choose among several classes; write all"),
    ("model: softmax\ndata: {train: digits, test: [{libsvm: a.txt, name: a, metric: acuracy}]}",
     "data.test.0.metric", "did you mean accuracy?"),
    ("model: softmax\noptimizer: {name: lars}\npenalty: {l1: 1e-4}", "penalty.l1",
     "lars takes no l1; write 0, or take sgd or adam"),
    ("model: softmax\noptimizer: {name: lars}\npenalty: {C: 1, l1_ratio: 0.5}",
     "penalty.l1_ratio", "lars takes no l1"),
    ("model: softmax\noptimizer: {schedule: {final: 0.1}}", "optimizer.schedule.final",
     "belongs to cosine, not constant"),
    ("model: softmax\noptimizer: {schedule: {name: cosine, milestones: [1]}}",
     "optimizer.schedule.milestones", "belongs to step, not cosine"),
    ("model: softmax\noptimizer: {schedule: {name: cosine, gamma: 0.5}}",
     "optimizer.schedule.gamma", "belongs to step, not cosine"),
    ("model: softmax\noptimizer: {schedule: {name: step}}", "optimizer.schedule.milestones",
     "for example [10, 20]"),
    ("model: softmax\noptimizer: {schedule: {name: step, milestones: [20, 10]}}",
     "optimizer.schedule.milestones", "write [10, 20]"),
    ("model: linear\nearly_stopping: {metric: val_accuracy}", "early_stopping.metric",
     "linear has no metric 'val_accuracy'; write train_loss, val_loss, val_r2, val_rmse, val_mae,"
     " val_median_absolute_error, val_max_error, val_explained_variance, val_pearson or"
     " val_spearman"),
    ("model: softmax\nmetrics: [mcc, val_ece]", "metrics.1",
     "softmax has no metric 'val_ece'; did you mean ece?"),
    ("model: softmax\nmetrics: [kappa]", "metrics.0", "did you mean cohen_kappa?"),
    ("model: linear\nmetrics: [f1]", "metrics.0",
     "linear has no metric 'f1'; write some of loss, r2, rmse, mae,"),
    ("model: linear\ndata: {train: diamonds, val: none}\nearly_stopping: {}",
     "early_stopping.metric", "val_loss needs validation rows; set data.val, or write train_loss"),
    ("model: softmax\noptimizer: {name: exact}", "optimizer.name",
     "exact is for linear; softmax takes lbfgs, newton or auto"),
    ("model: linear\noptimizer: {name: exact}\npenalty: {alpha: 1, l1_ratio: 0.5}",
     "optimizer.name", "with l1 write newton, lbfgs or auto"),
    ("model: logistic\nloss: squared_error\noptimizer: {name: newton}", "optimizer.name",
     "write lbfgs"),
    ("model: softmax\noptimizer: {name: lbfgs}\nearly_stopping: {}", "early_stopping",
     "one evaluation; remove it"),
    ("model: softmax\noptimizer: {name: auto}\nlog: {gradients: 1}", "log.gradients",
     "write none, or take sgd"),
    ("model: softmax\noptimizer: {name: auto}\nlog: {eval_every: 5}", "log.eval_every",
     "auto has one evaluation, at its end; write 1"),
    ("model: softmax\ntargets: separate", "targets", "softmax has one target, its class"),
    ("model: logistic\ntargets: separate\ndata: {train: breast_cancer, stratify: true}",
     "data.stratify", "the same for all targets"),
    (NESTED % "bootstrap: 9" + SWEPT % "", "repeat.inner_folds", "resamples choose nothing"),
    (NESTED % "seeds: 2" + SWEPT % "", "repeat.inner_folds", "write folds: 5 too"),
    (NESTED % "few_shot: {k: 4}" + SWEPT % "" + "\noptimizer: {name: lbfgs}",
     "repeat.inner_folds", "val scores it; set data.val"),
    (NESTED % "folds: 5" + SWEPT % ", metric: {name: train_loss}", "sweep.metric.name",
     "write val_loss"),
    (NESTED % "folds: 5" + SWEPT % "" + "\nearly_stopping: {}", "early_stopping",
     "by the rows that score the choice; sweep optimizer.epochs, or remove repeat.inner_folds"),
    (NESTED % "folds: 5" + SWEPT % ", early_terminate: {}", "sweep.early_terminate",
     "remove it, or repeat.inner_folds"),
    ("model: softmax\npermutation_test: 19\nrepeat: {folds: {forward: 3, by: t}}",
     "permutation_test", "rows in the order of time cannot change places; write none"),
    ("model: linear\ntargets: separate\ninit: runs/x", "init", "for targets: joint; write zeros"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "key", "words"), BROKEN)
def test_a_broken_rule_is_one_fault_at_the_key_to_change(tmp_path, text, key, words):
    text = text if "data:" in text else text + "\ndata: {train: digits}"
    (line,) = faults(tmp_path, text)
    assert f": {key}: " in line
    assert words in line
    assert "; " in line


def test_the_table_of_rules_is_whole():
    assert len(BROKEN) == 74


class Watched:
    """A spec that notes which of its keys are read, by itself and by its properties."""

    def __init__(self, spec):
        self.spec, self.read = spec, set()

    def __getattr__(self, name):
        if name in Spec.model_fields:
            self.read.add(name)
            return getattr(self.spec, name)
        return getattr(Spec, name).fget(self)


def test_a_rule_reads_no_other_keys_than_it_says(tmp_path, monkeypatch):
    """Of a trial that differs in some keys only the rules are asked that say they read these."""
    seen = {}

    def watch(spec):
        for rule, reads in rules._READS.items():
            watched = Watched(spec)
            list(rule(watched))
            seen.setdefault(rule, set()).update(watched.read)
            assert watched.read <= reads, rule.__name__
        return []

    monkeypatch.setattr("trainer.config.checks.validate.broken_rules", watch)
    for text, _, _ in BROKEN:
        load(tmp_path, text if "data:" in text else text + "\ndata: {train: digits}")
    for text in (
        "repeat: {seeds: 2}\noptimizer: {batch_size: full}",
        "repeat: {few_shot: {k: 1, val_k: 1}}",
        "repeat: {folds: 3}\ndata: {train: digits, val: none}",
        "select: {refit: train+val}\ndata: {train: digits, val: none}",
    ):
        load(tmp_path, f"model: softmax\n{text}" + "\ndata: {train: digits}" * ("data" not in text))
    assert seen == {rule: set(reads) for rule, reads in rules._READS.items()}
    assert len(seen) == 13


def test_the_rules_of_some_keys():
    of_penalties = [rules._optimizer, rules._solver]
    assert rules.rules_of({"penalty"}) == of_penalties
    assert rules.rules_of({"device", "seed"}) == []
    assert rules.rules_of(set(Spec.model_fields)) == list(rules._READS)


@pytest.mark.parametrize(
    "text",
    [
        "model: logistic\nloss: squared_error",
        "model: linear\nloss: squared_error",
        "model: linear\ndata: {train: diamonds, scale_target: standard, stratify: false}",
        "model: logistic\nclass_weight: {a: 2}",
        "model: softmax\noptimizer: {name: adamw}\npenalty: {alpha: 0, l1_ratio: 1}",
        "model: softmax\noptimizer: {schedule: {name: step, milestones: [1, 2], gamma: 0.5}}",
        "model: softmax\noptimizer: {schedule: {name: cosine, final: 0.1, warmup: 3}}",
        "model: softmax\ndata: {train: digits, val: none}\nearly_stopping: {metric: train_loss}",
        "model: linear\n" + TABLE % "columns: [a, b], categorical: [b], weight: w, drop: [c]",
        "model: linear\n" + TABLE % 'separator: ";", decimal: ",", thousands: ".", header: first',
        "model: linear\ndata: {train: {table: a.csv, target: [0, 2], header: none}}",
        # config.yaml has the defaults written out, also of a file with types
        "model: linear\ndata: {train: {table: a.parquet, target: y, header: first, quote: '\"'}}",
    ],
)
def test_what_goes_together_is_taken(tmp_path, text):
    load(tmp_path, text if "data:" in text else text + "\ndata: {train: digits}")


def test_every_metric_of_a_model_can_be_watched(tmp_path):
    watched = 0
    for model in MODELS:
        for metric in ("train_loss", *(f"val_{name}" for name in metrics_of(model))):
            text = f"model: {model}\ndata: {{train: digits}}\nearly_stopping: {{metric: {metric}}}"
            assert load(tmp_path, text).early_stopping.metric == metric
            watched += 1
    assert watched == 40


def test_rules_are_checked_beside_other_faults_but_not_on_faulty_keys(tmp_path):
    text = """\
model: softmax
loss: squared_error
data: {train: digits, val: 2, test: 0.9}
optimizer: {lr: x, epochs: 1, steps: 1, nesterov: true, momentum: no}
early_stopping: {metric: acc5}
"""
    assert [line.split(": ")[1] for line in faults(tmp_path, text)] == [
        "loss",
        "data.val",
        "optimizer.lr",
        "optimizer.steps",
        "optimizer.momentum",
        "early_stopping.metric",
    ]


def test_a_rule_reaches_the_columns_that_val_writes_itself(tmp_path):
    text = """\
model: linear
data:
  train: {table: a.csv, target: y}
  val: {table: b.csv, columns: [y]}
"""
    (line,) = faults(tmp_path, text)
    assert line.startswith("a.yaml:4:32: data.val.columns: 'y' is the target")


def test_a_rule_that_train_breaks_is_told_once(tmp_path):
    text = """\
model: linear
data:
  train: {table: a.csv, target: y, columns: [y]}
  val: {table: b.csv}
  test: [{name: t, table: c.csv}]
"""
    (line,) = faults(tmp_path, text)
    assert line.startswith("a.yaml:3:45: data.train.columns: ")
