"""What heads of random specs have for each loss."""

from __future__ import annotations

LOSS_KINDS: dict[str, tuple[str | None, str]] = {
    "circle": (None, "ids"),
    **dict.fromkeys(("triplet_semi_hard", "supcon", "crf", "arcface"), (None, "ids")),
    "cox": (None, "times"),
    "negative_binomial": ("softplus", "counts"),
    "contrastive": (None, "bits"),
    **dict.fromkeys(("clip", "cosine", "info_nce", "triplet", "value"), (None, "none")),
    "binary_crossentropy": ("sigmoid", "bits"),
    "binary_focal_crossentropy": ("sigmoid", "bits"),
    "categorical_crossentropy": ("softmax", "one_hot"),
    "categorical_focal_crossentropy": ("softmax", "one_hot"),
    "sparse_categorical_crossentropy": ("softmax", "ids"),
    "categorical_generalized_cross_entropy": ("softmax", "ids"),
    "kl_divergence": ("softmax", "shares"),
    "ctc": (None, "labels"),
    "hinge": ("tanh", "signs"),
    "squared_hinge": ("tanh", "signs"),
    "categorical_hinge": (None, "one_hot"),
    "dice": ("sigmoid", "bits"),
    "tversky": ("sigmoid", "bits"),
    "mean_squared_error": (None, "real"),
    "mean_absolute_error": (None, "real"),
    "huber": (None, "real"),
    "log_cosh": (None, "real"),
    "mean_absolute_percentage_error": ("softplus", "positive"),
    "mean_squared_logarithmic_error": ("softplus", "positive"),
    "quantile": (None, "one"),
    "poisson": ("softplus", "positive"),
    "cosine_similarity": (None, "real"),
}
"""The activation that gives a loss what it takes, and what its targets are."""
