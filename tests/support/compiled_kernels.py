"""The compiled kernels of single operators."""

from __future__ import annotations

TESTED_APART = {
    "adam_idle",
    "add_rows",
    "centre",
    "gather_sum",
    "gather_sum_gradient",
    "gru_factors",
    "gru_gates",
    "gru_state",
    "lstm_back",
    "lstm_factors",
    "lstm_state",
    "normalize",
    "normalize_gradient",
    "silu",
}
"""The kernels with cases in other files than ``tests/graph/kernels/test_compiled.py``."""

OF_SOFTMAX = {
    "binary_gradient",
    "binary_terms",
    "class_gradient",
    "divide_by_sum",
    "logistic",
    "logistic_argument",
    "logistic_gradient",
    "pick",
    "scaled_columns",
    "softmax_gradient",
    "squared_error",
    "squared_error_gradient",
    "subtract_largest",
    "tanh_gradient",
    "target_gradient",
}
"""The kernels with cases in ``tests/graph/kernels/test_softmax.py``."""

OF_WINDOWS = {
    "conv_pool",
    "conv_pool_gradient",
    "depthwise",
    "depthwise_gradient",
    "gelu",
    "gelu_by_tanh",
    "lstm_gates",
    "lstm_gates_gradient",
    "max_pool",
    "max_pool_gradient",
    "winograd_gradient",
    "winograd_input",
    "winograd_output",
}
"""Kernels whose cases are in the tests of their modules, beside those of the algorithms."""

OF_ONE_CALL = {"add", "copy", "divide", "dot", "loop", "matmul", "multiply", "sqrt", "square", "subtract", "unpacked"}
"""Kernels of single calls of NumPy, with cases in ``tests/graph/kernels/test_one_call.py``."""

ALONE = {"attention", "attention_gradient", "conv_pool_direct", "conv_pool_direct_gradient", "spread_terms"}
"""Kernels without a twin, since NumPy's way is another algorithm: tested beside that, and by hand."""
