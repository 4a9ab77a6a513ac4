"""Build a program from a graph: run the passes for programs, then bind."""

from __future__ import annotations

from collections.abc import Mapping

from graphspec.base.arrays.random import Clock
from graphspec.base.gc_pause import gc_paused
from graphspec.engine.runtime.bind import bind
from graphspec.engine.runtime.parameters import Parameters
from graphspec.engine.runtime.program import Program
from graphspec.graph.ir.graph import Array, Graph
from graphspec.graph.kernels.touched_rows import TouchedRows
from graphspec.graph.passes import FOR_PROGRAM, prepare
from graphspec.graph.target import Target


@gc_paused()
def build_program(
    graph: Graph,
    parameters: Parameters,
    target: Target,
    *,
    gradient: Array | None = None,
    training: bool = False,
    seed: int = 0,
    clock: Clock | None = None,
    touched: Mapping[str, TouchedRows] | None = None,
) -> Program:
    """Build a program that computes the outputs of a graph and, if it has a loss, the gradient of every trainable weight.

    :meth:`Graph.with_outputs` sets the outputs and the loss of a graph.

    Args:
        target: the shapes, and the worker's shard of the batch. An input (N, width) may instead receive the column indices
            of its ones, which its shape shows; see :func:`sparsify_bool_inputs`.
        gradient: receives the weights' gradients: a vector with the layout of the ``trainable`` one of ``parameters``.
        training: whether dropout is active and batch statistics are used.
        seed, clock: determine the random numbers of dropout and noise.
        touched: by name, the weights whose gradients may be kept by rows.
    """
    prepared = prepare(graph, FOR_PROGRAM, target)
    return bind(
        prepared, parameters, target, gradient=gradient, training=training, seed=seed, clock=clock, touched=touched
    )
