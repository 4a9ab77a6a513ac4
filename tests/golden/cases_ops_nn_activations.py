"""The golden cases of activation functions as operations."""

from __future__ import annotations

from typing import Any

from cases import Case
from cases_ops import op

PLAIN = """
    relu relu6 selu hard_tanh tanh_shrink sigmoid hard_sigmoid sparse_sigmoid log_sigmoid silu swish hard_silu hard_swish
    softsign softplus sparse_plus
"""
ARGUMENTS: dict[str, tuple[dict[str, Any], ...]] = {
    "leaky_relu": ({}, {"negative_slope": 0.1}),
    "elu": ({}, {"alpha": 0.5}),
    "celu": ({}, {"alpha": 0.5}),
    "threshold": ({"threshold": 0.3, "default_value": -1.0}, {"threshold": -0.5, "default_value": 0.0}),
    "hard_shrink": ({}, {"threshold": 0.2}),
    "soft_shrink": ({}, {"threshold": 0.2}),
    "gelu": ({}, {"approximate": False}),
    "squareplus": ({}, {"b": 1.0}),
    "softmax": ({}, {"axis": 1}),
    "log_softmax": ({}, {"axis": 1}),
    "sparsemax": ({}, {"axis": -1}),
    "glu": ({}, {"axis": 1}),
}


def layer_cases() -> list[Case]:
    cases = [op(name, str(len(shape)), shape) for name in PLAIN.split() for shape in ([5], [2, 3])]
    for name, settings in ARGUMENTS.items():
        cases += [op(name, str(k), [2, 4 - 2 * (k == 1 and name == "glu")], **args) for k, args in enumerate(settings)]
    return cases
