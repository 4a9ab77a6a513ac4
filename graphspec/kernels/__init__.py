"""How NumPy computes: what several operators share."""
