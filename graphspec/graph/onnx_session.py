"""onnxruntime, imported without its telemetry."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from graphspec.base.arrays.cores import threads_set

_FATAL = 4  # onnxruntime's highest log severity


def runtime() -> Any:
    """Import ``onnxruntime``; unless ``ORT_DISABLE_TELEMETRY`` is set before, it writes a cache to the home directory."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    # Errors raise exceptions; log lines would quote untrusted files unescaped.
    onnxruntime.set_default_logger_severity(_FATAL)
    return onnxruntime


def session(model: bytes | Path, threads: int | None = None, *, optimised: bool = True) -> Any:
    """Return an ``onnxruntime.InferenceSession`` on the CPU.

    By default there are as many threads as of BLAS: one unless the user has set another number (:func:`threads_set`). They
    do not spin: other programs use the cores, too.
    """
    onnxruntime = runtime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.inter_op_num_threads = threads or threads_set() or 1, 1
    for pool in ("intra_op", "inter_op"):
        options.add_session_config_entry(f"session.{pool}.allow_spinning", "0")
    source = model if isinstance(model, bytes) else str(model)
    # The "fallback" prints errors on stdout and repeats the same attempt.
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"], enable_fallback=0)


def failure(error: Exception) -> str:
    """Return the first line of onnxruntime's message without its codes, at most 300 characters."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    return sanitized(text, 300)


def sanitized(text: str, limit: int = 60) -> str:
    """Return text of an untrusted file for a message: without control characters, at most ``limit`` characters."""
    cut = text if len(text) <= limit else f"{text[:limit]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
