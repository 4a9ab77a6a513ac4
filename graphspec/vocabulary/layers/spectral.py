"""SpectralNormalization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from graphspec.base.codes import Code
from graphspec.base.config import PositiveInt
from graphspec.base.errors import ShapeError
from graphspec.graph.initializers import INITIALIZERS
from graphspec.vocabulary.layers.base import LAYERS, Layer, LayerField

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value


@LAYERS.add("SpectralNormalization")
class SpectralNormalization(Layer):
    """A layer with its kernel divided by the kernel's largest singular value, at every training step.

    Power iterations estimate the singular value; they continue from ``vector_u``, a weight that is not trained. The
    divided kernel is stored, and the layer uses it outside training.

    Shapes: as for the wrapped layer.
    Miyato et al., *Spectral Normalization for Generative Adversarial Networks*, ICLR 2018.
    """

    layer: Annotated[LayerField, Field(description="A layer with a kernel or embeddings, such as Dense or Conv2D.")]
    power_iterations: Annotated[PositiveInt, Field(description="The number of power iterations per step.")] = 1

    @property
    def mixes_rows(self) -> bool:
        return self.layer.mixes_rows

    def lower(self, g: Builder, X: Value) -> Value:
        kind, found = type(self.layer).__name__, list[str]()

        def divided(kernel: Value) -> Value:
            param = kernel.param
            assert param is not None
            found.append(param.name)
            start = INITIALIZERS.parse({"type": "TruncatedNormal", "stddev": 0.02})
            u = self.weight(g, "vector_u", (1, param.shape[-1]), initializer=start, state=True)
            perm = param.layout.perm or tuple(range(len(param.shape)))
            sizes = tuple(param.shape[k] for k in perm)
            columns = perm.index(len(perm) - 1)
            return g.SpectralScale(kernel, u, sizes=sizes, columns=columns, iterations=self.power_iterations)

        # As in Keras, the kernel of a recurrent layer belongs to its cell.
        takes_one = self.layer.arity[0] <= 1 and self.layer.arity[1] != 0
        if takes_one and "recurrent_initializer" not in type(self.layer).model_fields:
            with g.rewriting({"kernel": divided, "embeddings": divided}):
                Y = self.layer.lower(g, X)
        if not found:
            text = f"cannot wrap {kind}, which has no kernel or embeddings of its own"
            raise ShapeError(
                Code.VALUE_NOT_ALLOWED, text, hint="wrap a layer such as Dense, Conv2D or Embedding", key="layer"
            )
        assert not isinstance(Y, tuple)
        g.penalize(getattr(self.layer, "activity_regularizer", None), Y)
        return Y
