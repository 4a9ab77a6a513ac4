"""Weights that lie in memory in several ways."""

from __future__ import annotations

from graphspec.graph.ir.graph import Layout

# The kernel lies as a recurrent layer's does, the filters as a convolution's.
LAYOUTS = {
    "kernel": Layout(gates=(1, 0), perm=(1, 0), shape=(1, 4, 3)),
    "filters": Layout(perm=(3, 2, 0, 1)),
    "bias": Layout(gates=(1, 0), shape=(1, 4)),
}
