"""Callbacks of training, with Keras's arguments: what each is told and does, and the state that a checkpoint keeps.

Relative file names are taken from the run directory, where there is one.
"""

from graphspec.callbacks.base import CALLBACKS, Callback, CallbackState
from graphspec.config import only_base

__all__ = ["CALLBACKS", "Callback", "CallbackState"]

CALLBACKS.found_in(
    __name__,
    {
        "monitors": "EarlyStopping ModelCheckpoint ReduceLROnPlateau",
        "accepted_without_effect": "History ProgbarLogger BackupAndRestore LambdaCallback RemoteMonitor OrbaxCheckpoint",
        "logging": "CSVLogger TerminateOnNaN",
        "tensorboard": "TensorBoard",
        "weights": "LearningRateScheduler SwapEMAWeights",
    },
)

CALLBACKS.refused |= {
    "Callback": only_base("callbacks", "name one that does something, such as EarlyStopping"),
    "CallbackList": ("`callbacks` is a list already", "write its callbacks into `callbacks`"),
}
