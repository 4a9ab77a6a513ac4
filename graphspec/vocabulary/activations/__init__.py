"""Activation functions: Keras's arguments, lowered to ONNX operators."""

from typing import Any

from graphspec.vocabulary.activations.base import ACTIVATIONS, Activation, feature_axes, feature_axis

ACTIVATIONS.found_in(
    __name__,
    {
        "functions": """
            linear relu relu6 leaky_relu elu celu selu threshold hard_tanh hard_shrink soft_shrink
            sigmoid hard_sigmoid sparse_sigmoid log_sigmoid tanh tanh_shrink softsign
            gelu silu swish hard_silu hard_swish mish exponential softplus sparse_plus squareplus
            softmax log_softmax sparsemax glu
        """
    },
)


__all__ = ["ACTIVATIONS", "Activation", "feature_axes", "feature_axis"]
__all__ += ACTIVATIONS.public()


def __getattr__(name: str) -> Any:
    """Import a class when it is first used."""
    return ACTIVATIONS.attribute(__name__, name)


def __dir__() -> list[str]:
    return sorted(__all__)
