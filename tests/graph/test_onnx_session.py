"""The options of onnxruntime's sessions."""

from __future__ import annotations

from typing import Any

import pytest
from sketching import sketch

from graphspec.base.arrays.cores import ONE_THREAD
from graphspec.graph import onnx_session
from graphspec.graph.ir.graph import Type
from graphspec.graph.onnx_model import model_of


@pytest.mark.parametrize(("value", "given", "threads"), [("", None, 1), ("3", None, 3), ("3", 1, 1)])
def test_a_session_has_one_thread_unless_the_user_sets_a_number(
    value: str, given: int | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ONE_THREAD:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", value)
    found: list[Any] = []
    session = onnx_session.runtime().InferenceSession

    def watched(source: Any, options: Any, **more: Any) -> Any:
        found.append(options)
        return session(source, options, **more)

    monkeypatch.setattr("onnxruntime.InferenceSession", watched)
    g, x = sketch({"x": Type("float32", ("N", 1))})
    onnx_session.session(model_of(g.graph.with_outputs({"y": g.Relu(x)})).SerializeToString(), given)
    (options,) = found
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (threads, 1)
    spinning = [options.get_session_config_entry(f"session.{pool}.allow_spinning") for pool in ("intra_op", "inter_op")]
    assert spinning == ["0", "0"]
