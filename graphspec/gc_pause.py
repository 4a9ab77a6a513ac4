"""The garbage collector's pauses."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_paused() -> Iterator[None]:
    """Collect no garbage meanwhile, also as a decorator: for work that makes very many objects that stay.

    The collector would search all of them again and again: a third of the time of a spec of 10,000 layers.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
