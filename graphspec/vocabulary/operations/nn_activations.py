"""Activation functions as operations, with the arguments and defaults of ``keras.ops``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from graphspec.vocabulary.activations import ACTIVATIONS
from graphspec.vocabulary.layers.base import as_float
from graphspec.vocabulary.operations.base import Axis, operation_of

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

ALPHA = {"alpha": (Annotated[float, Field(description="The slope of the exponential at 0.")], 1.0)}
THRESHOLD = {"threshold": (Annotated[float, Field(description="The distance from 0 up to which the value is 0.")], 0.5)}
SLOPE = {"negative_slope": (Annotated[float, Field(description="The slope below 0.")], 0.2)}
BOUNDARY = {
    "threshold": (Annotated[float, Field(description="The value above which x stays.")], ...),
    "default_value": (Annotated[float, Field(description="The value of all others.")], ...),
}
APPROXIMATE = {
    "approximate": (Annotated[bool, Field(description="Whether the error function is approximated by a tanh.")], True)
}
BEND = {"b": (Annotated[float, Field(ge=0, description="How smooth the bend at 0 is.")], 4)}
ALONG: dict[str, Any] = {"axis": (Axis, -1)}


def activated(name: str, g: Builder, x: Value, **arguments: Any) -> Value:
    """Emit the activation of this name on float32."""
    return g.activate(ACTIVATIONS.parse({"type": name, **arguments}), as_float(g, x))


ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("``max(x, 0)``.", {}),
    "relu6": ("``min(max(x, 0), 6)``.", {}),
    "leaky_relu": ("``x`` if ``x ≥ 0``, else ``negative_slope · x``.", SLOPE),
    "elu": ("``x`` if ``x > 0``, else ``alpha · (eˣ - 1)``.", ALPHA),
    "celu": ("``max(x, 0) + min(alpha · (exp(x / alpha) - 1), 0)``.", ALPHA),
    "selu": ("``1.0507 · elu(x, 1.6733)``, which keeps mean 0 and variance 1.", {}),
    "threshold": ("``x`` if ``x > threshold``, else ``default_value``.", BOUNDARY),
    "hard_tanh": ("``min(max(x, -1), 1)``.", {}),
    "hard_shrink": ("``x`` if ``|x| > threshold``, else 0.", THRESHOLD),
    "soft_shrink": ("``x`` moved towards 0 by ``threshold``, at most to 0.", THRESHOLD),
    "tanh_shrink": ("``x - tanh(x)``.", {}),
    "sigmoid": ("``1 / (1 + exp(-x))``.", {}),
    "hard_sigmoid": ("``min(max(x / 6 + 0.5, 0), 1)``.", {}),
    "sparse_sigmoid": ("``min(max((x + 1) / 2, 0), 1)``.", {}),
    "log_sigmoid": ("``log(sigmoid(x))``.", {}),
    "silu": ("``x · sigmoid(x)``.", {}),
    "swish": ("``x · sigmoid(x)``, as ``ops.silu``.", {}),
    "hard_silu": ("``x · hard_sigmoid(x)``.", {}),
    "hard_swish": ("``x · hard_sigmoid(x)``, as ``ops.hard_silu``.", {}),
    "gelu": ("``x · Φ(x)``, with the distribution function Φ of the standard normal distribution.", APPROXIMATE),
    "softsign": ("``x / (1 + |x|)``.", {}),
    "softplus": ("``log(1 + exp(x))``.", {}),
    "sparse_plus": ("``0`` up to -1, ``(x + 1)² / 4`` up to 1, then ``x``.", {}),
    "squareplus": ("``(x + √(x² + b)) / 2``.", BEND),
    "softmax": ("``eˣ / Σ eˣ`` along an axis.", ALONG),
    "log_softmax": ("``x - log Σ eˣ`` along an axis.", ALONG),
    "sparsemax": ("The nearest probabilities to ``x`` along an axis, many of them 0.", ALONG),
    "glu": ("The first half of an axis times the sigmoid of the second half.", ALONG),
}
"""The sentence of the pages, and the arguments: a type and a default each."""

for _name, (_text, _arguments) in ROWS.items():
    operation_of(_name, partial(activated, _name), _text, _arguments, module=__name__)
