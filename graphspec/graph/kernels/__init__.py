"""Numerical algorithms with NumPy that operators share."""
