"""ONNX operators by family, each with strict shape inference, a NumPy kernel and a gradient."""

from graphspec.graph.ops.op import OPS, Op, operator

__all__ = ["OPS", "Op", "operator"]

OPS.found_in(__name__)
