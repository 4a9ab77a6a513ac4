"""Optimizers over flat parameter vectors, with Keras's formulas and defaults, by family."""

from graphspec.optimizers.base import OPTIMIZERS, Optimizer, Rate

__all__ = ["OPTIMIZERS", "Optimizer", "Rate"]

OPTIMIZERS.found_in(
    __name__,
    {
        "adam": "Adam adam AdamW adamw Adamax adamax Nadam nadam ScheduleFreeAdamW schedulefreeadamw",
        "by_weight": "Lamb lamb Adafactor adafactor Muon muon",
        "momentum": "SGD sgd Lion lion",
        "squares": "RMSprop rmsprop Adagrad adagrad Adadelta adadelta Ftrl ftrl",
    },
)
