"""PyTorch's names and layouts of the weights of our layers.

A module ``fc`` of PyTorch has arrays such as ``fc.weight``. Each function returns, for a weight of a layer, the ways to
make it from a module's arrays; none if PyTorch has no such weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from graphspec.data.weights.recipes import Recipe, Shape, Source, gates_reordered, permuted

if TYPE_CHECKING:
    from graphspec.base.arrays.layout import Array
    from graphspec.vocabulary.layers.base import Layer
    from graphspec.vocabulary.layers.cells import Cell

IGNORED = "num_batches_tracked"
"""The counter of BatchNorm, which says nothing here."""
_WEIGHT, _BIAS = ("weight",), ("bias",)
_NORM = {
    "gamma": ("weight", "gamma", "scale"),
    "beta": ("bias", "beta"),
    "scale": ("weight", "scale"),
    "moving_mean": ("running_mean",),
    "moving_variance": ("running_var",),
}
_GATES = {"LSTMCell": (0, 1, 2, 3), "GRUCell": (1, 0, 2), "SimpleRNNCell": (0,)}
"""For each of Keras's gates, PyTorch's: i f g o in both, and z r h of r z n."""


def recipes(layer: Layer, role: str, shape: Shape, stack: int = 0) -> list[Recipe]:
    """Return the ways to make the weight ``role`` of a layer, the likeliest first.

    Args:
        stack: which layer of a recurrent module with ``num_layers`` it is.
    """
    from graphspec.vocabulary.layers.attention import MultiHeadAttention, ProjectedAttention
    from graphspec.vocabulary.layers.core import Dense, Embedding
    from graphspec.vocabulary.layers.recurrent import Bidirectional, Recurrent

    inner = getattr(layer, "layer", None)
    if isinstance(layer, Bidirectional):
        side, _, rest = role.partition("/")
        backward = side == "backward"
        chosen = layer.backward_layer if backward and layer.backward_layer is not None else layer.layer
        return _recurrent(chosen, rest, shape, stack, "_reverse" * backward) if isinstance(chosen, Recurrent) else []
    if inner is not None:  # the weights of a wrapped layer have its roles
        return recipes(inner, role, shape, stack)
    if isinstance(layer, Recurrent):
        return _recurrent(layer, role, shape, stack, "")
    if isinstance(layer, Dense):
        return _linear(role, shape)
    if isinstance(layer, Embedding):
        return [Recipe((Source(_WEIGHT, shape),))]
    if isinstance(layer, ProjectedAttention):
        whole = isinstance(layer, MultiHeadAttention)
        return [*_projection(role, shape), *(_packed(role, shape) if whole else [])]
    return _of_filters(layer, role, shape) or _other(role, shape)


def _linear(role: str, shape: Shape) -> list[Recipe]:
    return [permuted(shape, (1, 0), _WEIGHT) if role == "kernel" else Recipe((Source(_BIAS, shape),))]


def _other(role: str, shape: Shape) -> list[Recipe]:
    """A normalization, or a weight that is not of a module: a Parameter, or the only weight of one."""
    if role in _NORM:
        return [Recipe((Source(_NORM[role], shape, loose=True),))]
    return [Recipe((Source((role, "", "weight"), shape, loose=True),))]


def _of_filters(layer: Layer, role: str, shape: Shape) -> list[Recipe]:
    """Convolutions. The kernel of PyTorch has its channels first; a depthwise one is a convolution in groups."""
    from graphspec.vocabulary.layers.convolution import DepthwiseConv, FilterBank

    if role in ("kernel", "pointwise_kernel", "depthwise_kernel") and len(shape) > 2:
        spatial = range(2, len(shape))
        if role == "depthwise_kernel" or (role == "kernel" and isinstance(layer, DepthwiseConv)):
            *window, channels, multiplier = shape
            theirs = (channels * multiplier, 1, *window)
            split = (channels, multiplier, *window)
            turned = (*spatial, 0, 1)
            names = _WEIGHT if role == "kernel" else ("depthwise.weight",)
            return [Recipe((Source(names, theirs),), lambda arrays: arrays[0].reshape(split).transpose(turned))]
        if isinstance(layer, FilterBank) or role == "pointwise_kernel":
            return [permuted(shape, (*spatial, 1, 0), _WEIGHT if role == "kernel" else ("pointwise.weight",))]
    if role == "bias" and len(shape) == 1:
        return [Recipe((Source(("bias", "pointwise.bias"), shape),))]
    return []


# Recurrent layers


def _recurrent(layer: Layer, role: str, shape: Shape, stack: int, direction: str) -> list[Recipe]:
    """A recurrent layer: each cell is a layer of PyTorch's module, ``weight_ih_l0``; the bias is the sum of two."""
    from graphspec.vocabulary.layers.recurrent import Recurrent

    if not isinstance(layer, Recurrent):
        return []
    for k, (name, cell) in enumerate(layer.parts()):
        prefix = f"{name}/" if name else ""
        if role.startswith(prefix) and "/" not in role[len(prefix) :]:
            return _cell(cell, role[len(prefix) :], shape, f"_l{stack + k}{direction}")
    return []


def _cell(cell: Cell, role: str, shape: Shape, end: str) -> list[Recipe]:
    order = next((_GATES[kind.__name__] for kind in type(cell).__mro__ if kind.__name__ in _GATES), None)
    if order is None:
        return []
    in_order = partial(gates_reordered, order=order)

    def names(of: str) -> tuple[str, str]:
        return f"{of}{end}", of

    if role in ("kernel", "recurrent_kernel"):
        of = "weight_ih" if role == "kernel" else "weight_hh"
        return [Recipe((Source(names(of), shape[::-1]),), lambda arrays: in_order(arrays[0].T))]
    if len(order) == 3:
        if len(shape) != 2:  # without `reset_after`, the reset gate acts before the product
            return []
        both = (Source(names("bias_ih"), shape[1:]), Source(names("bias_hh"), shape[1:]))
        return [Recipe(both, lambda arrays: in_order(np.stack(arrays)))]
    both = (Source(names("bias_ih"), shape), Source(names("bias_hh"), shape))
    return [Recipe(both, lambda arrays: in_order(_sum(arrays)))]


def _sum(arrays: Sequence[Array]) -> Array:
    """Return the sum, rounded once to float32."""
    total = arrays[0].astype(np.float64) + arrays[1].astype(np.float64)
    return total.astype(np.float32)


# Attention


def _projection(role: str, shape: Shape) -> list[Recipe]:
    """A projection that is a Linear of its own: ``query.weight`` of (heads · size, features)."""
    part, _, kind = role.partition("/")
    if kind == "bias":
        return [Recipe((Source(_BIAS, (math.prod(shape),)),), part=part)]
    if kind != "kernel" or len(shape) != 3:
        return [Recipe((Source((role.replace("/", "."),), shape),))]
    return [Recipe((Source(_WEIGHT, _flat(part, shape)),), _turned, part)]


def _flat(part: str, shape: Shape) -> Shape:
    """Return the shape of a Linear's weight: (outputs, inputs)."""
    if part == "attention_output":  # (heads, size, features)
        return shape[2], math.prod(shape[:2])
    return math.prod(shape[1:]), shape[0]


def _turned(arrays: Sequence[Array]) -> Array:
    return arrays[0].T


def _packed(role: str, shape: Shape) -> list[Recipe]:
    """PyTorch's MultiheadAttention: query, key and value are thirds of ``in_proj_weight``, or have names of their own."""
    part, _, kind = role.partition("/")
    if part == "attention_output":
        if kind == "bias":
            return [Recipe((Source(("out_proj.bias",), shape),))]
        return [Recipe((Source(("out_proj.weight",), _flat(part, shape)),), _turned)]
    thirds = ("query", "key", "value")
    if part not in thirds or kind not in ("kernel", "bias") or len(shape) != (3 if kind == "kernel" else 2):
        return []
    third: Callable[[Sequence[Array]], Array] = partial(_third, k=thirds.index(part))
    if kind == "bias":
        return [Recipe((Source(("in_proj_bias",), (3 * math.prod(shape),)),), third)]
    outputs, inputs = _flat(part, shape)
    own = f"{part[0]}_proj_weight"
    return [
        Recipe((Source(("in_proj_weight",), (3 * outputs, inputs)),), third),
        Recipe((Source((own,), (outputs, inputs)),), _turned),
    ]


def _third(arrays: Sequence[Array], k: int) -> Array:
    size = len(arrays[0]) // 3
    return arrays[0][k * size : (k + 1) * size].T
