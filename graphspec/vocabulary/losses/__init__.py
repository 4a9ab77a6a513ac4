"""The losses, by family. Each lowers to one value per sample (and time step); :func:`reduce` makes the scalar."""

from functools import partial
from typing import Any

from graphspec.base.config import only_base
from graphspec.vocabulary.losses.loss import LOSSES, Loss, reduce

LOSSES.found_in(
    __name__,
    {
        "pairs/circle": "circle Circle",
        "crossentropy": """
            binary_crossentropy BinaryCrossentropy BCE bce binary_focal_crossentropy BinaryFocalCrossentropy
            categorical_crossentropy CategoricalCrossentropy
            categorical_focal_crossentropy CategoricalFocalCrossentropy
            sparse_categorical_crossentropy SparseCategoricalCrossentropy
            arcface ArcFace categorical_generalized_cross_entropy CategoricalGeneralizedCrossEntropy
            kl_divergence KLDivergence KLD kld
        """,
        "classes": """
            ctc CTC crf CRF hinge Hinge squared_hinge SquaredHinge categorical_hinge CategoricalHinge dice Dice
            tversky Tversky
        """,
        "pairs/labels": "triplet_semi_hard TripletSemiHard supcon SupCon",
        "pairs": "contrastive Contrastive cosine Cosine triplet Triplet info_nce InfoNCE nt_xent clip CLIP",
        "regression": """
            quantile Quantile pinball Pinball
            mean_squared_error MeanSquaredError mse MSE mean_absolute_error MeanAbsoluteError mae MAE
            huber Huber huber_loss log_cosh LogCosh logcosh
            mean_absolute_percentage_error MeanAbsolutePercentageError mape MAPE
            mean_squared_logarithmic_error MeanSquaredLogarithmicError msle MSLE poisson Poisson
            cosine_similarity CosineSimilarity negative_binomial NegativeBinomial cox Cox
        """,
        "value": "value Value",
    },
)

LOSSES.refused["Loss"] = only_base("losses", "use mean_squared_error, or leave `loss` out for a head without one")


__all__ = ["LOSSES", "Loss", "reduce"]
__all__ += LOSSES.public()
__dir__ = partial(sorted, __all__)


def __getattr__(name: str) -> Any:
    """Import a class when it is first used."""
    return LOSSES.attribute(__name__, name)
