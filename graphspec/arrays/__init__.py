"""NumPy without a graph: memory layout, random numbers, BLAS, running calls."""
