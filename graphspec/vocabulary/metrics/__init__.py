"""Metrics, exact over a whole pass: they accumulate sums and counts, not averages of batches."""

import re
from functools import partial
from typing import Any, Literal

from graphspec.base.config import only_base
from graphspec.vocabulary.metrics.metric import METRICS, Metric, MetricState, targets_of

METRICS.found_in(
    __name__,
    {
        "accuracy": """
            accuracy acc Accuracy BinaryAccuracy binary_accuracy CategoricalAccuracy categorical_accuracy
            SparseCategoricalAccuracy sparse_categorical_accuracy TopKCategoricalAccuracy top_k_categorical_accuracy
            SparseTopKCategoricalAccuracy sparse_top_k_categorical_accuracy
        """,
        "of_loss/correlation": "PearsonCorrelation pearson_correlation ConcordanceCorrelation concordance_correlation",
        "of_loss/crossentropy": """
            crossentropy ce BinaryCrossentropy binary_crossentropy bce BCE
            CategoricalCrossentropy categorical_crossentropy
            SparseCategoricalCrossentropy sparse_categorical_crossentropy KLDivergence kl_divergence Poisson poisson
        """,
        "thresholds": """
            TruePositives true_positives FalsePositives false_positives TrueNegatives true_negatives
            FalseNegatives false_negatives Precision precision Recall recall
        """,
        "thresholds/curves": """
            PrecisionAtRecall precision_at_recall RecallAtPrecision recall_at_precision
            SensitivityAtSpecificity sensitivity_at_specificity SpecificityAtSensitivity specificity_at_sensitivity
            AUC auc
        """,
        "of_loss/forecasts": """
            SymmetricMeanAbsolutePercentageError symmetric_mean_absolute_percentage_error smape SMAPE
            WeightedQuantileLoss weighted_quantile_loss wql WQL
        """,
        "classes/fbeta": "F1Score f1_score FBetaScore f_beta_score",
        "of_loss/hinge": "Hinge hinge SquaredHinge squared_hinge CategoricalHinge categorical_hinge",
        "classes/matrix": """
            ConfusionMatrix confusion_matrix IoU io_u MeanIoU mean_io_u OneHotIoU one_hot_io_u
            OneHotMeanIoU one_hot_mean_io_u BinaryIoU binary_io_u
        """,
        "of_loss/reduction": "Mean mean Sum sum",
        "of_loss/regression": """
            MeanSquaredError mean_squared_error mse MSE RootMeanSquaredError root_mean_squared_error
            MeanAbsoluteError mean_absolute_error mae MAE
            MeanAbsolutePercentageError mean_absolute_percentage_error mape MAPE
            MeanSquaredLogarithmicError mean_squared_logarithmic_error msle MSLE LogCoshError log_cosh_error log_cosh
            CosineSimilarity cosine_similarity R2Score r2_score
        """,
        "sequences": """
            EditDistance edit_distance CharacterErrorRate character_error_rate cer WordErrorRate word_error_rate wer
        """,
        "sequences/spans": "SpanF1 span_f1",
        "survival": "Concordance concordance c_index",
    },
)

_FOCAL = "it is a loss, not a metric", "the logs contain the loss; `crossentropy` is the same without the focal weights"
_MASE = (
    "it compares with the values of a series before the forecast, which no batch has",
    "`train`, `evaluate` and the report show it for forecasts; use `mae` here",
)
METRICS.refused |= {
    **dict.fromkeys(("mase", "MASE", "MeanAbsoluteScaledError", "mean_absolute_scaled_error"), _MASE),
    "Metric": only_base("metrics", "use `accuracy`, which follows the loss"),
    "MeanMetricWrapper": ("a spec contains no functions", "use a metric by its name"),
    "huber": ("it is a loss, not a metric", "the logs contain the loss; add `mae` or `mse`"),
    "binary_focal_crossentropy": _FOCAL,
    "categorical_focal_crossentropy": _FOCAL,
}


__all__ = ["METRICS", "Metric", "MetricState", "targets_of"]
__all__ += METRICS.public()
__dir__ = partial(sorted, __all__)


def __getattr__(name: str) -> Any:
    """Import a class when it is first used."""
    return METRICS.attribute(__name__, name)


_MODES: dict[str, Literal["min", "max"]] = {"up": "max", "down": "min"}


def direction(monitor: str) -> Literal["min", "max"] | None:
    """Return whether a smaller or a larger value is better, by its name in the logs; None unless it is a loss or metric."""
    name = monitor.removeprefix("val_")
    if name == "loss" or name.endswith("_loss"):
        return "min"
    without_index = re.sub(r"_\d+$", "", name)
    for known in sorted(METRICS.names(), key=len, reverse=True):
        if any(n == known or n.endswith(f"_{known}") for n in (name, without_index)):
            metric = METRICS.get(known)
            return None if metric is None or metric.direction is None else _MODES[metric.direction]
    return None
