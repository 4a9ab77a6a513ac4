"""Compile a parsed spec to a graph of ONNX operators."""
