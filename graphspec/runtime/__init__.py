"""Binding a graph to buffers and running it: train, evaluate, predict, checkpoint."""
