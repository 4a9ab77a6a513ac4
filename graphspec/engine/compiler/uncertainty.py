"""How sure a head is: the temperature of its probabilities, and the interval around its numbers, in the graph.

Both follow the answer that is trained, with weights that no step changes: a training learns them at its end, from rows that
it has held out (``engine/training/uncertainty.py``).
"""

from __future__ import annotations

from graphspec.graph.builder import Builder
from graphspec.graph.initializers import Constant
from graphspec.graph.ir.graph import Graph, Value
from graphspec.language.declarations import BOUNDS, HeadDecl
from graphspec.vocabulary.losses.loss import clip

LEVELS = 5  # groups of answers, from small to large, each of which may have a width of its own
NOT_LEARNT = -1.0  # the width before a training has ended


def calibrated(head: HeadDecl, value: Value, graph: Graph) -> Value:
    """Return ``softmax(log(p) / T)`` of the answers, or ``sigmoid(logit(p) / T)``; logits are divided by T.

    Source: Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017.
    """
    loss = head.loss
    if loss is None or loss.fits != "classes" or head.layer is None:
        return value  # reported with the head
    g = Builder(graph, head.layer.name, trainable=False)
    with g.part(f"{head.name}_calibration"):
        temperature = g.param("temperature", (), Constant(value=1.0))
        if getattr(loss, "from_logits", False):
            found = g.Div(value, temperature)
        elif loss.binary:
            p = clip(g, value)
            found = g.Sigmoid(g.Div(g.Sub(g.Log(p), g.Log(g.Sub(g.constant(1.0), p))), temperature))
        else:
            found = g.Softmax(g.Div(g.Log(clip(g, value)), temperature), axis=value.rank - 1)
    return found.with_mask(value.mask)


def add_interval(head: HeadDecl, graph: Graph) -> None:
    """Add the outputs ``<head>_low`` and ``<head>_high``: the answer less and plus the width for answers of its level."""
    value = graph.outputs[head.name]
    sizes = [d for d in value.shape[1:] if isinstance(d, int)]
    if not value.type.is_float or len(sizes) < value.rank - 1 or head.layer is None:
        return  # reported with the head
    g = Builder(graph, head.layer.name, trainable=False)
    with g.part(f"{head.name}_interval"):
        widths = g.param("widths", (LEVELS, *sizes), Constant(value=NOT_LEARNT))
        levels = g.param("levels", (LEVELS - 1, *sizes), Constant(value=0.0))
        above = g.Cast(g.GreaterOrEqual(g.Unsqueeze(value, g.constant([1])), levels), to="float32")
        at, start, end = g.constant([0]), g.constant([1]), g.constant([LEVELS])
        steps = g.Sub(g.Slice(widths, start, end, at), g.Slice(widths, at, g.constant([LEVELS - 1]), at))
        width = g.Add(g.Gather(widths, g.constant(0), axis=0), g.ReduceSum(g.Mul(above, steps), start, keepdims=0))
        for name, bound in zip(BOUNDS, (g.Sub(value, width), g.Add(value, width)), strict=True):
            graph.outputs[head.name + name] = clipped(g, head, bound) if head.clip else bound


def clipped(g: Builder, head: HeadDecl, value: Value) -> Value:
    """Emit answers within the range of a head, 0 to 1 where it is not learnt yet."""
    limits = head.limits or (0.0, 1.0)
    return g.Clip(value, *(None if limit is None else g.constant(limit, "float32") for limit in limits))
