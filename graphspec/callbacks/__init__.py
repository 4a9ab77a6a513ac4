"""Callbacks of training, with Keras's arguments: what each is told and does, and the state that a checkpoint keeps.

Relative file names are taken from the run directory, where there is one.
"""

from graphspec.callbacks import monitors, needless, records, tensorboard, weights
from graphspec.callbacks.base import CALLBACKS, Callback, State
from graphspec.callbacks.monitors import direction

__all__ = [
    "CALLBACKS",
    "Callback",
    "State",
    "direction",
    "monitors",
    "needless",
    "records",
    "tensorboard",
    "weights",
]
