"""Build a program from a graph: run the passes for programs, then bind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphspec.arrays.random import Clock
from graphspec.gc_pause import gc_paused
from graphspec.graph.pipelines import FOR_PROGRAM, prepare
from graphspec.graph.target import Target
from graphspec.ir.dims import Shape
from graphspec.ir.graph import Array, Graph, Value
from graphspec.kernels.group import Group, LocalGroup, Shard, ShardedKernel
from graphspec.runtime.bind import bind
from graphspec.runtime.parameters import Parameters
from graphspec.runtime.program import Program


@gc_paused()
def build_program(
    graph: Graph,
    parameters: Parameters,
    *,
    fetches: Mapping[str, Value],
    shapes: Mapping[str, Shape],
    loss: Value | None = None,
    gradient: Array | None = None,
    training: bool = False,
    seed: int = 0,
    clock: Clock | None = None,
    group: Group | None = None,
    rows: slice | None = None,
    total: int | None = None,
    input_grads: Sequence[str] = (),
    matrices: Mapping[str, ShardedKernel] | None = None,
) -> Program:
    """Build a program that computes ``fetches`` and, given a ``loss``, the gradient of every trainable weight.

    Args:
        fetches: the values to compute, by the names that ``Program.fetches`` gives them.
        shapes: the actual shape of every input and target that is read. An input (N, width) may instead be fed with the
            column indices of its ones, see :func:`sparsify_bool_inputs`.
        loss: a scalar value to differentiate.
        gradient: where the gradients of weights are written: a vector laid out as ``store``'s trainable one.
        training: dropout is active and batch statistics are used.
        seed, clock: of the random numbers that dropout and noise draw.
        group: the workers that run this program together; by default this process alone.
        rows, total: this worker's slice of the batch, and the length of the whole batch; by default all of it.
        input_grads: names of inputs whose gradients are computed as well (``Program.grads``).
        matrices: kernels whose products are divided among the group, each with the memory that is shared for it.
    """
    batch = total if total is not None else next((int(s[0]) for s in shapes.values() if s), 1)
    shard = Shard(group or LocalGroup(), rows or slice(0, batch), batch, matrices or {})
    prepared = prepare(graph.with_outputs(fetches, loss), FOR_PROGRAM, Target(shapes, input_grads, shard))
    return bind(
        prepared,
        parameters,
        shapes=shapes,
        gradient=gradient,
        training=training,
        seed=seed,
        clock=clock,
        shard=shard,
        input_grads=input_grads,
    )
