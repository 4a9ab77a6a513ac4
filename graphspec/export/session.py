"""onnxruntime, imported without its telemetry."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

_FATAL = 4


def runtime() -> Any:
    """The module ``onnxruntime``; without ``ORT_DISABLE_TELEMETRY``, set before, it writes a cache in the home directory."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    onnxruntime.set_default_logger_severity(_FATAL)  # errors come as exceptions; their log lines quote files raw
    return onnxruntime


def session(model: bytes | Path, threads: int = 0, *, optimised: bool = True) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU."""
    onnxruntime = runtime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if threads:
        options.intra_op_num_threads = options.inter_op_num_threads = threads
    source = model if isinstance(model, bytes) else str(model)
    # The "fallback" prints errors on stdout and tries the same again.
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"], enable_fallback=0)


def failure(error: Exception) -> str:
    """The first line of what onnxruntime says, without its codes and at most 300 characters of it."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    return plain(text, 300)


def plain(text: str, most: int = 60) -> str:
    """Text of a stranger's file for a message: without control characters, and not longer than this."""
    cut = text if len(text) <= most else f"{text[:most]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
