"""Ctrl-C and the signals of schedulers: a training stops between two steps, when its state is consistent."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from pydantic import Field

from graphspec.base.config import Config, named
from graphspec.base.errors import Diagnostic, SpecError, UsageError
from graphspec.engine.parallel.launch import STOPS
from graphspec.language.explain import validate
from graphspec.language.from_dict import tree_from_dict
from graphspec.language.tree import Problems
from graphspec.vocabulary.callbacks import CALLBACKS, Callback

_ONE_REQUEST = 1.0
# Seconds within which a program's repeated signals are one request: `timeout` signals its child, then the child's group.


class Interrupt:
    """The first signal sets ``requested``; a later one interrupts immediately.

    Attributes:
        signum: the number of the first signal; 0 if there was none.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.signum = 0
        self._clock, self._last = clock, 0.0

    @property
    def requested(self) -> bool:
        """Whether to stop after the current step."""
        return self.signum != 0

    def handle(self, signum: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        now, last = self._clock(), self._last
        self._last = now
        if not self.requested:
            self.signum = signum
        elif signum == signal.SIGINT or now - last > _ONE_REQUEST:
            raise KeyboardInterrupt(signum)

    def stop(self) -> NoReturn:
        """Raise the KeyboardInterrupt of the first signal, which is its argument."""
        raise KeyboardInterrupt(self.signum or signal.SIGINT)


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Let Ctrl-C set a flag instead of raising, inside the ``with`` block; inside :func:`raised`, other signals, too.

    Elsewhere the other signals belong to the program that trains. A signal that is ignored stays so. Only the main thread
    can handle signals; in other threads this does nothing.
    """
    state = Interrupt()
    ours = [number for number in STOPS if signal.getsignal(number) is _raise]
    with handled([signal.SIGINT, *ours], state.handle):
        yield state


@contextmanager
def raised() -> Iterator[None]:
    """Let Ctrl-C and the other signals raise KeyboardInterrupt with their number inside the ``with`` block."""
    with handled((signal.SIGINT, *STOPS), _raise):
        yield


@contextmanager
def handled(numbers: Iterable[int], handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Handle signals by ``handler`` inside the ``with`` block.

    A signal that is ignored stays so. In threads other than the main one this does nothing.
    """
    before: dict[int, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in numbers:
                if (old := signal.getsignal(number)) not in (None, signal.SIG_IGN):
                    before[number] = old
                    signal.signal(number, handler)
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _raise(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(signum)


# The callbacks that a Python caller passes to ``fit``: objects, or names and mappings as in a spec.
GivenCallbacks = Sequence[Callback | str | Mapping[str, Any]]
"""Callbacks as ``fit`` takes them: objects, names, or mappings with ``type``."""
_EXAMPLE = "`callbacks=[EarlyStopping(patience=3)]` or `callbacks=[{'type': 'EarlyStopping', 'patience': 3}]`"


class _Given(Config):
    callbacks: list[named(CALLBACKS, Callback)] = Field(description="Callbacks.")  # type: ignore[valid-type]


def given_callbacks(value: Any) -> list[Callback]:
    """Return the callbacks of ``fit(callbacks=value)``: each may be an object, a name, or a mapping with ``type``.

    Raises:
        UsageError: one of them is something else, or has wrong arguments.
    """
    if isinstance(value, str | Mapping | Callback):
        value = [value]
    if not isinstance(value, list | tuple):
        raise UsageError(f"`callbacks` must be a list of callbacks, got {_described(value)}; write {_EXAMPLE}")
    return [_callback(item) for item in value]


def _callback(item: Any) -> Callback:
    if isinstance(item, Callback):
        return item
    if isinstance(item, type) and issubclass(item, Callback):
        raise UsageError(f"`callbacks` contains the class {item.__name__}; create the object: `{item.__name__}()`")
    if not isinstance(item, str | Mapping):
        what = f"`callbacks` contains {_described(item)}, which is no callback"
        if "keras" in type(item).__module__:
            name = type(item).__name__
            fix = f"use `graphspec.callbacks.{name}`" if CALLBACKS.get(name) else f"write {_EXAMPLE}"
        elif callable(item):
            fix = "derive a class from `graphspec.callbacks.Callback` for code of your own (docs/python.md)"
        else:
            fix = f"write {_EXAMPLE}"
        raise UsageError(f"{what}; {fix}")
    problems = Problems()
    tree = tree_from_dict({"callbacks": [item]}, problems)
    found = None if problems.found else validate(_Given, tree, "`fit`", problems)
    if found is None:
        texts = [f"{d.message}; {d.hint}" if d.hint else d.message for d in problems.found]
        raise UsageError("\n".join(text.replace("`callbacks[0]`", "`callbacks`") for text in texts))
    (callback,) = found.callbacks
    assert isinstance(callback, Callback)
    return callback


def refuse_misspelt_monitors(callbacks: Sequence[Callback], keys: Sequence[str]) -> None:
    """Raise GS105 for callbacks whose monitored name is nearly one that a run logs, by the keys without ``val_``.

    Another unknown name may be a value that a callback of the caller's own adds to the logs.
    """
    logged = [*dict.fromkeys([*keys, *(f"val_{key}" for key in keys if not key.startswith("val_"))])]
    found = [
        Diagnostic.of(type(callback).__name__, problem)
        for callback in callbacks
        for problem in callback.check(logged)
        if problem.severity == "error" and problem.key == "monitor" and (problem.hint or "").startswith("did you mean")
    ]
    if found:
        raise SpecError(found)


def _described(value: Any) -> str:
    """Return what ``value`` is, in words."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if callable(value) and hasattr(value, "__name__"):
        return f"the function `{value.__name__}`"
    return f"a value of type {type(value).__name__}"
