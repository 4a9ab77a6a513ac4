"""onnxruntime's session of a part of a file."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Timer
from typing import TYPE_CHECKING, Any

from graphspec.base.codes import Code
from graphspec.base.errors import ProblemError
from graphspec.graph.onnx_session import failure, session

if TYPE_CHECKING:
    from graphspec.base.arrays.layout import Array

SECONDS = 60.0
"""How long a file may compute a few rows; one with a loop that never ends is stopped."""


def loaded(model: Any, *, optimised: bool = True) -> Any:
    """Return onnxruntime's session of a model, with one thread.

    Raises:
        ProblemError: GS802, onnxruntime does not load it.
    """
    try:
        return session(model.SerializeToString(), 1, optimised=optimised)
    except Exception as error:  # onnxruntime's exceptions have no common class
        text, hint = f"cannot be loaded by onnxruntime: {failure(error)}", "look at it with `graphspec inspect`"
        raise ProblemError(Code.UNSUPPORTED_FILE, text, hint) from None


def run_for(found: Any, feeds: Mapping[str, Array], seconds: float) -> list[Array]:
    """Return all outputs of a session.

    Raises:
        TimeoutError: onnxruntime has not computed them within ``seconds``, and was stopped.
    """
    from onnxruntime import RunOptions

    options, late = RunOptions(), list[bool]()

    def stop() -> None:
        late.append(True)
        options.terminate = True

    timer = Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        values: list[Array] = found.run(None, dict(feeds), options)
    except Exception:
        if late:
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
    return values
