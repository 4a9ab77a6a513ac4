"""onnxruntime, imported without its telemetry."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def runtime() -> Any:
    """The module ``onnxruntime``; without ``ORT_DISABLE_TELEMETRY``, set before, it writes a cache in the home directory."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def session(model: bytes | Path, threads: int = 0) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU."""
    onnxruntime = runtime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads:
        options.intra_op_num_threads = options.inter_op_num_threads = threads
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
