"""Keras's names, lowered to the graph: layers, operations, losses, metrics, activations, callbacks, files as nodes."""
