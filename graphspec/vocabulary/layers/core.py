"""Dense, its members, Embedding, Identity, Masking, Rescaling, Dropout: layers on single values, vectors and ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from graphspec.base.config import (
    ANY_VALUE,
    FROM_LIST,
    FloatOrFloats,
    Neutral,
    Positive,
    PositiveInt,
    described,
    invalid,
    setting,
)
from graphspec.graph.initializers import INITIALIZERS, oriented
from graphspec.vocabulary import Builder, Value, shapes_differ, show, wrong_dtype, wrong_rank, wrong_size
from graphspec.vocabulary.layers import layer as base
from graphspec.vocabulary.layers.layer import NEUTRAL, Layer, Seed, as_float, cast_to, default_initializer, need_rank


class Dense(Layer, supports_masking=True):
    """An affine map of the last axis: ``activation(x @ kernel + bias)``.

    Shapes: (batch, …, features) → (batch, …, units).
    """

    units: PositiveInt = setting(..., "The size of the output's last axis.")
    activation: base.ActivationField = setting(None, "The activation of the result; null for none.")
    use_bias: bool = setting(True, "Whether a bias is added.")
    kernel_initializer: base.InitializerField = default_initializer("glorot_uniform")
    bias_initializer: base.InitializerField = default_initializer("zeros")
    kernel_regularizer: base.RegularizerField = setting(None, "Penalty on the kernel.")
    bias_regularizer: base.RegularizerField = setting(None, "Penalty on the bias.")
    activity_regularizer: base.RegularizerField = setting(None, "Penalty on the output.")
    kernel_constraint: base.Constraint = None
    bias_constraint: base.Constraint = None

    def lower(self, g: Builder, X: Value) -> Value:
        need_rank(X, 2, None, "(batch, …, features)", hint="give the input a shape such as [1]")
        X = as_float(g, X)
        kernel = self.weight(g, "kernel", (X.features, self.units))
        bias = self.weight(g, "bias", (self.units,)) if self.use_bias else None
        if X.rank == 2:
            Y = g.Gemm(X, kernel, bias)
        else:
            Y = g.MatMul(X, kernel)
            Y = Y if bias is None else Y + bias
        return g.activate(self.activation, Y)


class Members(Layer):
    """Members: each sees the vector through its own trained scale, ``y[n, i] = x[n] · scale[i]``. Not in Keras.

    Layers such as Dense behind it are shared by the members, which learn different things since their scales differ.
    MemberDense then gives each its own answer, and a head with ``members: mean`` trains each and answers their mean.

    Shapes: (batch, features) → (batch, members, features).
    Gorishniy et al., *TabM: Advancing Tabular Deep Learning with Parameter-Efficient Ensembling*, 2024: TabM-mini.
    """

    members: PositiveInt = setting(16, "How many members there are.")
    initializer: base.InitializerField = default_initializer("random_sign")

    def lower(self, g: Builder, X: Value) -> Value:
        need_rank(X, 2, 2, "(batch, features)", hint="put Flatten before it")
        scale = self.weight(g, "scale", (self.members, X.features), prefix="")
        return g.Mul(g.Unsqueeze(as_float(g, X), g.constant([1])), scale)


class MemberDense(Dense):
    """A Dense of its own for each member: ``y[n, i] = activation(x[n, i] @ kernel[i] + bias[i])``. Not in Keras.

    The kernel is (members, features, units), the bias (members, units). First values have the variance that they have
    in a Dense. A constraint that is meant for the inputs of a unit needs ``axis: 1``.

    Shapes: (batch, members, features) → (batch, members, units).
    """

    def lower(self, g: Builder, X: Value) -> Value:
        need_rank(X, 3, 3, "(batch, members, features)", hint="put Members before it")
        X, members = as_float(g, X), X.fixed(1)
        start = oriented(self.kernel_initializer, (1,), (2,))
        kernel = self.weight(g, "kernel", (members, X.features, self.units), initializer=start)
        if self.units == 1:  # a sum is quicker than products with one column
            Y = g.ReduceSum(g.Mul(X, g.Squeeze(kernel, g.constant([2]))), g.constant([2]), keepdims=1)
        else:
            Y = g.transpose(g.MatMul(g.transpose(X, (1, 0, 2)), kernel), (1, 0, 2))
        if self.use_bias:
            Y = Y + self.weight(g, "bias", (members, self.units))
        return g.activate(self.activation, Y)


class CRF(Layer, handles_mask=True):
    """A linear-chain conditional random field over scores of tags: 1 at the tags of the best sequence, else 0. Not in Keras.

    Its weights ``transitions`` score a tag after another, ``ends`` the first and the last tag. A head on it is trained with
    ``loss: crf``, from the scores; the best sequence, by Viterbi's algorithm, has no gradient. Masked steps follow others.

    Shapes: (batch, time, tags) → the same.
    Lafferty, McCallum and Pereira, *Conditional Random Fields*, ICML 2001.
    """

    transitions_initializer: base.InitializerField = default_initializer("zeros")

    def lower(self, g: Builder, X: Value) -> Value:
        need_rank(X, 3, 3, "(batch, time, tags)", hint="score the tags of each step with a Dense")
        tags, mask = X.features, X.mask
        transitions = self.weight(g, "transitions", (tags, tags))
        ends = self.weight(g, "ends", (2, tags), initializer=INITIALIZERS.parse("zeros"), prefix="")
        return g.Viterbi(as_float(g, X), transitions, ends, mask).with_mask(mask)


class ArcFace(Layer):
    """Logits ``scale · cos(θ)`` of the angle between a vector and the trained one of each class. Not in Keras.

    A head on it, or on a Softmax of it, is trained with ``loss: arcface``, which adds a margin to the angle of the target.

    Shapes: (batch, features) → (batch, units).
    Deng et al., *ArcFace: Additive Angular Margin Loss for Deep Face Recognition*, CVPR 2019.
    """

    units: PositiveInt = setting(..., "The number of classes.")
    scale: Positive = setting(64.0, "What the cosines are multiplied by.")
    kernel_initializer: base.InitializerField = default_initializer("glorot_uniform")
    kernel_regularizer: base.RegularizerField = setting(None, "Penalty on the kernel.")
    kernel_constraint: base.Constraint = None

    def lower(self, g: Builder, X: Value) -> Value:
        need_rank(X, 2, 2, "(batch, features)", hint="put Flatten before it")
        kernel = self.weight(g, "kernel", (X.features, self.units))
        return (g.unit(as_float(g, X), [1]) @ g.unit(kernel, [0])) * self.scale


class Embedding(Layer, handles_mask=True, neutral=NEUTRAL | {"input_length": ANY_VALUE}):  # which Keras 2 writes
    """One trained vector per id: row ``x`` of ``embeddings``. With ``mask_zero``, id 0 is padding and masked.

    With ``sparse``, which Keras lacks, a step changes the rows of its ids alone, and their moments: by Adam as PyTorch's
    SparseAdam does, by other optimizers likewise. Otherwise, as in Keras, moments move rows also after their last batch.
    With ``sparse`` there is no ``weight_decay``, ``gradient_accumulation_steps`` or ``embeddings_regularizer``, and no
    optimizer that needs whole weights (Adafactor, Lamb, Muon, ScheduleFreeAdamW).

    Without ``input_dim`` there is a vector for each id that the layer before makes.

    Shapes: integers (batch, …) → (batch, …, output_dim).
    """

    input_dim: PositiveInt | None = setting(None, "How many ids: the largest plus 1; null: as the layer before makes.")
    output_dim: PositiveInt = setting(..., "The size of each vector.")
    embeddings_initializer: base.InitializerField = default_initializer("uniform")
    embeddings_regularizer: base.RegularizerField = setting(None, "Penalty on the embeddings.")
    embeddings_constraint: base.Constraint = None
    mask_zero: bool = setting(False, "Whether id 0 is padding that later layers skip.")
    sparse: bool = setting(False, "Whether a step changes only its batch's rows: quicker for many ids. Not in Keras.")

    def check_arguments(self) -> None:
        if self.sparse and self.embeddings_regularizer is not None:
            text = "cannot be combined with `embeddings_regularizer`"
            raise invalid(text, "a penalty changes all rows in every step: leave one of them out", key="sparse")

    def lower(self, g: Builder, ids: Value) -> Value:
        if ids.dtype in ("float32", "bool"):
            hint = f"declare input '{ids.name}' with `dtype: int64`" if ids.kind == "input" else "feed it integers"
            raise wrong_dtype(f"needs integer ids, got {ids.dtype}", hint)
        words, size = ids.words, base.number_of_ids(ids, "input_dim") if self.input_dim is None else self.input_dim
        ids = g.CheckIds(cast_to(g, ids, "int64"), size=size)
        start = self.embeddings_initializer.of_words(words)
        table = self.weight(g, "embeddings", (size, self.output_dim), initializer=start)
        g.mark_looked_up("embeddings", sparse=self.sparse)
        Y = g.Gather(table, ids, axis=0)
        return Y.with_mask(g.Not(g.Equal(ids, g.constant(0)))) if self.mask_zero else Y.with_mask(None)


Tied = Annotated[bool, described("Whether the way back has the same weights, transposed.")]


class ReversibleEmbedding(Layer, handles_mask=True, call_options=("reverse",)):
    """An Embedding that also maps vectors back to one number per id: ``x @ embeddingsᵀ``.

    The way back is another node, with `share` and `reverse: true`. Without ``tie_weights`` it has weights of its own,
    ``reverse_embeddings``. ``logit_soft_cap`` c makes its results ``c · tanh(x / c)``. As in Keras, it has no mask.

    Shapes: integers (batch, …) → (batch, …, output_dim); reversed (batch, …, output_dim) → (batch, …, input_dim).
    Press and Wolf, *Using the Output Embedding to Improve Language Models*, 2016.
    """

    neutral: ClassVar[Mapping[str, Neutral]] = NEUTRAL | {
        "reverse_dtype": Neutral((None, "float32"), "training and export are in float32")
    }

    input_dim: PositiveInt = setting(..., "The number of ids: the largest id plus 1.")
    output_dim: PositiveInt = setting(..., "The size of each vector.")
    tie_weights: Tied = True
    embeddings_initializer: base.InitializerField = default_initializer("uniform")
    embeddings_regularizer: base.RegularizerField = setting(None, "Penalty on the embeddings.")
    embeddings_constraint: base.Constraint = None
    mask_zero: bool = setting(False, "Whether id 0 is padding that later layers skip.")
    logit_soft_cap: Positive | None = setting(None, "The largest absolute value of the way back; null for any.")

    def lower(self, g: Builder, X: Value, *, reverse: bool = False) -> Value:
        if reverse:
            return self._back(g, X)
        return Embedding(**{key: value for key, value in self if key in Embedding.model_fields}).lower(g, X)

    def _back(self, g: Builder, X: Value) -> Value:
        need_rank(X, 2, None, "(batch, …, features)")
        X = as_float(g, X)
        if X.features != self.output_dim:
            text = f"needs vectors of {self.output_dim} numbers for the way back to ids, got {X.features}"
            raise wrong_size(text, "a Dense before it gives them that size", key="reverse")
        if self.tie_weights:
            kernel = g.transpose(self.weight(g, "embeddings", (self.input_dim, self.output_dim)), (1, 0))
        else:
            start = self.embeddings_initializer
            kernel = self.weight(g, "reverse_embeddings", (self.output_dim, self.input_dim), initializer=start)
        Y: Value = g.MatMul(X, kernel)
        if self.logit_soft_cap is not None:
            cap = g.constant(self.logit_soft_cap, "float32")
            Y = g.Tanh(Y / cap) * cap
        return Y.with_mask(None)


class Identity(Layer, supports_masking=True):
    """The unchanged input, under another name.

    Shapes: (batch, …) → the same.
    """

    def lower(self, g: Builder, X: Value) -> Value:
        return X


class Masking(Layer, arity=(1, 2), handles_mask=True, zeroes_masked=True):
    """The input with a mask: steps whose features all equal ``mask_value`` are masked and set to 0.

    With a second input, ids, it is those whose id is 0, as of padded tokens. (Keras has one input.) A convolution then sees
    zeros behind the last token, whatever the padding.

    Shapes: (batch, time, features) → the same; ids (batch, time).
    """

    mask_value: float = setting(0.0, "The value of all features of a masked step.")

    def lower(self, g: Builder, X: Value, ids: Value | None = None) -> Value:
        need_rank(X, 2, None, "(batch, …, features)", hint="give the input a shape such as [1]")
        X = as_float(g, X)
        if ids is not None:
            if ids.type.is_float or ids.shape != X.shape[:-1]:
                text = f"needs ids of the shape {show(X.shape[:-1])} as its second input, got {ids.type}"
                raise shapes_differ(text, "give it the ids of the same tokens, such as those of StringLookup")
            mask = g.Not(g.Equal(ids, g.constant(0, ids.dtype)))
            keep = g.Unsqueeze(cast_to(g, mask, "float32"), g.constant([X.rank - 1]))
            return g.Mul(X, keep).with_mask(mask)
        differs = g.Not(g.Equal(X, g.constant(self.mask_value, "float32")))
        keep = g.ReduceMax(cast_to(g, differs, "float32"), axes=(-1,), keepdims=1)
        mask = cast_to(g, g.Squeeze(keep, g.constant([X.rank - 1])), "bool")
        return g.Mul(X, keep).with_mask(mask)


class Rescaling(Layer, supports_masking=True):
    """``x · scale + offset`` as float32; a list has one value per feature of the last axis.

    Shapes: (batch, …) → the same.
    """

    scale: FloatOrFloats = setting(..., "The factor, such as 0.00392156862745098 for bytes.")
    offset: FloatOrFloats = setting(0.0, "The value that is added after scaling.")

    def lower(self, g: Builder, X: Value) -> Value:
        Y = as_float(g, X)
        for key, op in (("scale", "Mul"), ("offset", "Add")):
            values = np.asarray(getattr(self, key), np.float64)
            if values.ndim and (X.rank < 2 or values.size not in (1, X.features)):
                text = f"has {values.size} values in `{key}` for {X.shape[-1]} features"
                raise wrong_size(text, "use one value, or one per feature", key=key)
            if key == "scale" or np.any(values):
                Y = g.emit(op, (Y, g.constant(values)), {})
        return Y


DropRate = Annotated[float, Field(ge=0.0, lt=1.0)]  # the fraction that is dropped, below 1


def drop(g: Builder, X: Value, rate: float, seed: int | None, shared: Sequence[int] = ()) -> Value:
    """Emit dropout: in training, elements become 0 with probability ``rate``, others are scaled by 1 / (1 − rate).

    Elements along the axes ``shared`` are dropped together.
    """
    if rate == 0.0:
        return X
    if shared:
        return g.SharedDropout(X, rate=rate, shared=tuple(shared), seed=seed)
    attributes: dict[str, Any] = {} if seed is None else {"seed": seed}
    return g.Dropout(X, g.constant(rate, "float32"), g.constant(True), **attributes)


def shared_axes(X: Value, noise_shape: tuple[int | None, ...] | None) -> tuple[int, ...]:
    """Return the axes that share one random value; raise GS301 if ``noise_shape`` does not broadcast to X."""
    if noise_shape is None:
        return ()
    if len(noise_shape) != X.rank or any(n not in (None, 1, d) for n, d in zip(noise_shape, X.shape, strict=True)):
        sizes = ", ".join("null" if n is None else str(n) for n in noise_shape)
        text = f"needs a noise_shape that broadcasts to {show(X.shape)}, got [{sizes}]"
        raise wrong_rank(text, f"use one entry per axis, {X.rank} with the batch: 1 or null", key="noise_shape")
    return tuple(k for k, n in enumerate(noise_shape) if n == 1)


class Dropout(Layer, supports_masking=True):
    """In training, set random elements to 0 and scale the others by 1 / (1 − rate); otherwise the identity.

    Shapes: (batch, …) → the same. Srivastava et al., *Dropout*, JMLR 2014.
    """

    rate: DropRate = setting(..., "The fraction of elements that are dropped.")
    noise_shape: Annotated[tuple[PositiveInt | None, ...] | None, FROM_LIST] = setting(
        None, "The shape of the random mask, with the batch: 1 to share it along the axis, null for the input's size."
    )
    seed: Seed = None

    def lower(self, g: Builder, X: Value) -> Value:
        return drop(g, as_float(g, X), self.rate, self.seed, shared_axes(X, self.noise_shape))
