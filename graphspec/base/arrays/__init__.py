"""NumPy helpers that do not know graphs: memory layout, random numbers, BLAS, lists of calls."""
