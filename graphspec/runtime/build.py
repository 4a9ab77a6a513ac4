"""Build a program from a graph: run the passes for programs, then bind."""

from __future__ import annotations

from graphspec.arrays.random import Clock
from graphspec.gc_pause import gc_paused
from graphspec.graph.pipelines import FOR_PROGRAM, prepare
from graphspec.graph.target import Target
from graphspec.ir.graph import Array, Graph
from graphspec.runtime.bind import bind
from graphspec.runtime.parameters import Parameters
from graphspec.runtime.program import Program


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
) -> Program:
    """Build a program that computes the outputs of a graph and, if it has a loss, the gradient of every trainable weight.

    :meth:`Graph.with_outputs` gives a graph other outputs, and a loss.

    Args:
        target: the shapes, and the worker's part of the batch. An input (N, width) may be fed with the column indices of
            its ones instead, see :func:`sparsify_bool_inputs`; its shape says so.
        gradient: where the gradients of weights are written: a vector laid out as the trainable one of ``parameters``.
        training: dropout is active and batch statistics are used.
        seed, clock: of the random numbers that dropout and noise draw.
    """
    prepared = prepare(graph, FOR_PROGRAM, target)
    return bind(prepared, parameters, target, gradient=gradient, training=training, seed=seed, clock=clock)
