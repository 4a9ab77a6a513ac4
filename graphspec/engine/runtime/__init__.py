"""Bind graphs to buffers, and run them: programs, parameters, the optimizer's state, running metrics."""
