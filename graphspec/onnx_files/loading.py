"""onnxruntime's session of a part of a file."""

from __future__ import annotations

from typing import Any

from graphspec.codes import Code
from graphspec.errors import ProblemError
from graphspec.graph.onnx_session import failure, session


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
