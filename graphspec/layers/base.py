"""What a layer is: Keras's arguments as fields, and a lowering to ONNX operators. Nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from graphspec.activations import ACTIVATIONS, Activation
from graphspec.config import Config, Registry, named
from graphspec.initializers import INITIALIZERS, Initializer
from graphspec.regularizers import REGULARIZERS, Regularizer

if TYPE_CHECKING:
    from graphspec.compiler.build import Builder
    from graphspec.compiler.ir import Value

ActivationField = named(ACTIVATIONS, Activation | None)
"""An activation by name or mapping, or null."""
InitializerField = named(INITIALIZERS, Initializer)
RegularizerField = named(REGULARIZERS, Regularizer | None)


class Layer(Config):
    """Base of the vocabulary's layers.

    A subclass has Keras's name and Keras's arguments with Keras's defaults as fields, and :meth:`lower`.
    """

    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    """The least and the largest number of inputs (None: any number)."""
    supports_masking: ClassVar[bool] = False
    """Whether a mask of the input travels on to the output, as Keras's ``supports_masking``."""
    handles_mask: ClassVar[bool] = False
    """Whether ``lower`` itself decides on the mask of every output (recurrent layers, pooling over time, merging)."""
    call_arguments: ClassVar[tuple[str, ...]] = ()
    """Keras's call arguments that name other nodes (``initial_state``): keys of the node, values in ``calls``."""
    refused: ClassVar[dict[str, str]] = {}
    """Keras arguments that are refused, with the reason (GS105)."""
    ignored: ClassVar[tuple[str, ...]] = ("dtype",)
    """Arguments about Keras's machinery: accepted without effect."""

    def lower(self, g: Builder, *inputs: Value, **calls: Any) -> Value | tuple[Value, ...]:
        """Emit operators for ``inputs`` and return the output, or a tuple of outputs.

        ``calls`` holds the values of ``call_arguments`` that the node gives: a list of values each.

        Raises:
            ShapeError: inputs or arguments that cannot work; the caller adds the node, its place and its inputs' shapes.
        """
        raise NotImplementedError


LAYERS: Registry[Layer] = Registry("layer")
