"""Callbacks of training, with Keras's arguments. A checkpoint contains their state.

Relative file names are relative to the run directory, if there is one.
"""

from functools import partial
from typing import Any

from graphspec.base.config import only_base
from graphspec.vocabulary.callbacks.callback import CALLBACKS, Callback, CallbackState

CALLBACKS.found_in(__name__)

CALLBACKS.refused |= {
    "Callback": only_base("callbacks", "use a callback with an effect, such as EarlyStopping"),
    "CallbackList": ("`callbacks` is already a list", "list its callbacks in `callbacks`"),
}


__all__ = ["CALLBACKS", "Callback", "CallbackState"]
__all__ += CALLBACKS.public()
__dir__ = partial(sorted, __all__)


def __getattr__(name: str) -> Any:
    """Import a class when it is first used."""
    return CALLBACKS.attribute(__name__, name)
