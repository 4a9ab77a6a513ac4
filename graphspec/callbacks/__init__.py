"""Callbacks of training, with Keras's arguments. A checkpoint contains their state.

Relative file names are relative to the run directory, if there is one.
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
    "Callback": only_base("callbacks", "use a callback with an effect, such as EarlyStopping"),
    "CallbackList": ("`callbacks` is already a list", "list its callbacks in `callbacks`"),
}
