"""From a graph to a program: the passes for programs, then binding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphspec.arrays.random import Clock
from graphspec.gc_pause import uncollected
from graphspec.graph.pipelines import FOR_PROGRAM, prepare
from graphspec.graph.target import Target
from graphspec.ir.dims import Shape
from graphspec.ir.graph import Array, Graph, Value
from graphspec.kernels.group import Group, Matrix, Shard, Single
from graphspec.runtime.bind import bind
from graphspec.runtime.parameters import Store
from graphspec.runtime.program import Program


@uncollected()
def build_program(
    graph: Graph,
    store: Store,
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
    matrices: Mapping[str, Matrix] | None = None,
) -> Program:
    """A program that computes ``fetches`` and, with a ``loss``, the gradient of every trainable weight.

    Args:
        shapes: the actual shape of every input and target that is needed. An input (N, width) may instead have the places
            of its ones, see :func:`sparsify_bool_inputs`.
        loss: a scalar value; its gradients are written into ``gradient``, a vector laid out as ``store``'s trainable one.
        training: dropout drops and batch statistics are used.
        rows, total: this worker's slice of the batch, and the whole batch's length; by default one worker has all.
        input_grads: names of inputs whose gradient is wanted too (``Program.grads``).
        matrices: kernels whose products the group divides, with what is shared of them.
    """
    batch = total if total is not None else next((int(s[0]) for s in shapes.values() if s), 1)
    shard = Shard(group or Single(), rows or slice(0, batch), batch, matrices or {})
    prepared = prepare(graph.asking(fetches, loss), FOR_PROGRAM, Target(shapes, input_grads, shard))
    return bind(
        prepared,
        store,
        shapes=shapes,
        gradient=gradient,
        training=training,
        seed=seed,
        clock=clock,
        shard=shard,
        input_grads=input_grads,
    )
