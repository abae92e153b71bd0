"""What is true of a model, a loss, a metric, an optimizer, a source, a sweep method: plain facts.

One row each, in closed tables; nothing else tells one from another by its name. What a row does
stands under the same name where it is done: `trainer.model.models` (models and losses),
`trainer.model.metrics`, `trainer.optim.first_order`, `trainer.data.sources.registry`. Tests hold
that each row has its function and each function its row.
"""

from trainer.catalog.metrics import (
    LOSS,
    METRICS,
    MetricFacts,
    Outputs,
    facts_of,
    is_minimized,
    is_share,
    metric_of,
    metrics_of,
)
from trainer.catalog.models import (
    LOSSES,
    MODELS,
    OWN_LOSS,
    Apart,
    Kind,
    LossFacts,
    ModelFacts,
    models_with,
)
from trainer.catalog.optimizers import (
    FIRST_ORDER,
    METHODS,
    OPTIMIZERS,
    SOLVERS,
    MethodFacts,
    OptimizerFacts,
    draws,
)
from trainer.catalog.sources import BUNDLED, SOURCES, Bundled, SourceFacts, source_of

__all__ = [
    "BUNDLED",
    "FIRST_ORDER",
    "LOSS",
    "LOSSES",
    "METHODS",
    "METRICS",
    "MODELS",
    "OPTIMIZERS",
    "OWN_LOSS",
    "SOLVERS",
    "SOURCES",
    "Apart",
    "Bundled",
    "Kind",
    "LossFacts",
    "MethodFacts",
    "MetricFacts",
    "ModelFacts",
    "OptimizerFacts",
    "Outputs",
    "SourceFacts",
    "draws",
    "facts_of",
    "is_minimized",
    "is_share",
    "metric_of",
    "metrics_of",
    "models_with",
    "source_of",
]
