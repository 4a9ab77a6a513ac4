"""ONNX files of other programs as layers: frozen, computed by onnxruntime, and merged into the exported file."""
