"""Positions of sequences: learnt, of sines, by rotation, relative; and a learnt token in front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from graphspec.base.config import ANY_VALUE, Neutral, Positive, PositiveInt, Size2, described, setting
from graphspec.vocabulary import Array, Builder, Value, has_rows, not_allowed, not_fixed, show, wrong_rank, wrong_size
from graphspec.vocabulary.layers import layer as base
from graphspec.vocabulary.layers.core import ReversibleEmbedding, Tied
from graphspec.vocabulary.layers.layer import NEUTRAL, Layer

_SEQUENCE = "(batch, time, features)"
_VECTORS = "feed it vectors, such as the output of an Embedding"
Wavelength = Annotated[Positive, described("The longest wavelength, in positions times 2π.")]
Adds = Annotated[bool, described("Whether the output is input plus positions; in KerasHub it is the positions.")]


class PositionEmbedding(Layer, supports_masking=True):
    """One trained vector per position: rows 0, 1, 2, … of ``embeddings``, the same for every sample.

    Only the shape of the input counts, unless ``add``: the output is the positions, as in KerasHub, and Add adds them to the
    input. Without ``sequence_length`` there is a vector for each step of an input of fixed length. KerasHub's formula for
    sequences longer than ``sequence_length`` is not available.

    Shapes: (batch, …, time, features) → the same.
    """

    neutral: ClassVar[Mapping[str, Neutral]] = NEUTRAL | {"hierarchical_alpha": ANY_VALUE}  # for longer sequences only

    sequence_length: PositiveInt | None = setting(
        None, "The length of the longest sequence; null for that of the input."
    )
    initializer: base.InitializerField = base.default_initializer("glorot_uniform")
    add: Adds = False

    def lower(self, g: Builder, X: Value) -> Value:
        base.need_rank(X, 3, None, _SEQUENCE, hint=_VECTORS)
        X, length = base.as_float(g, X), g.size(X, -2)
        if self.sequence_length is None and not isinstance(length, int):
            text = f"needs `sequence_length`: the length of its input {show(X.shape)} varies"
            raise not_fixed(text, "set it to the length of the longest sequence", key="sequence_length")
        count = self.sequence_length or X.fixed(-2)
        table = self.weight(g, "embeddings", (count, X.features), initializer=self.initializer)
        if isinstance(length, int):
            if length > count:
                text = f"has {count} positions for sequences of length {length}"
                raise wrong_size(text, f"set `sequence_length: {length}`", key="sequence_length")
            if length < count:
                table = g.Slice(table, g.constant([0]), g.constant([length]), g.constant([0]))
        else:
            places = g.CheckIds(base.positions(g, length), size=count, argument="sequence_length")
            table = g.Gather(table, places, axis=0)
        return X + table if self.add else g.Expand(table, g.Shape(X))


class TokenAndPositionEmbedding(Layer, handles_mask=True, call_options=("reverse",)):
    """One trained vector per id plus one per position, as in KerasHub.

    Its weights are ``token_embedding/embeddings`` and ``position_embedding/embeddings``. A node with `share` and
    `reverse: true` maps vectors back to one number per id, as in ReversibleEmbedding.

    Shapes: integers (batch, time) → (batch, time, embedding_dim).
    """

    vocabulary_size: PositiveInt = setting(..., "The number of ids.")
    sequence_length: PositiveInt = setting(..., "The length of the longest sequence.")
    embedding_dim: PositiveInt = setting(..., "The size of each vector.")
    tie_weights: Tied = True
    embeddings_initializer: base.InitializerField = base.default_initializer("uniform")
    mask_zero: bool = setting(False, "Whether id 0 is padding that later layers skip.")

    def lower(self, g: Builder, X: Value, *, reverse: bool = False) -> Value:
        shared = {key: value for key, value in self if key in ReversibleEmbedding.model_fields}
        tokens = ReversibleEmbedding(input_dim=self.vocabulary_size, output_dim=self.embedding_dim, **shared)
        with g.part("token_embedding"):
            Y = tokens.lower(g, X, reverse=reverse)
        if reverse:
            return Y
        own: dict[str, Any] = {"sequence_length": self.sequence_length, "initializer": self.embeddings_initializer}
        place = PositionEmbedding(**own, add=True)
        with g.part("position_embedding"):
            return place.lower(g, Y).with_mask(Y.mask)


class SinePositionEncoding(Layer, supports_masking=True):
    """Sines and cosines of the position, the same for every sample, as in KerasHub.

    Feature i at position p is ``sin(p · w^(−2⌊i/2⌋/features))`` for even i, and the cosine for odd i, with the wavelength
    w. Only the shape of the input counts, unless ``add``.

    Shapes: (batch, …, time, features) → the same. Vaswani et al., *Attention Is All You Need*, NIPS 2017.
    """

    max_wavelength: Wavelength = 10000.0
    add: Adds = False

    def lower(self, g: Builder, X: Value) -> Value:
        base.need_rank(X, 3, None, _SEQUENCE, hint=_VECTORS)
        X, length, features = base.as_float(g, X), g.size(X, -2), X.features
        even = np.arange(features) % 2 == 0
        rates = self.max_wavelength ** (-2.0 * (np.arange(features) // 2) / features)
        if isinstance(length, int):
            angles = np.arange(length)[:, None] * rates
            table = g.constant(np.where(even, np.sin(angles), np.cos(angles)), "float32")
        else:
            angle = g.Mul(_column(g, length), g.constant(rates, "float32"))
            table = g.Where(g.constant(even), g.Sin(angle), g.Cos(angle))
        return X + table if self.add else g.Expand(table, g.Shape(X))


def _column(g: Builder, length: Value, factor: float = 1.0) -> Value:
    """Emit 0, 1, 2, … (length, 1) as float32, times ``factor``."""
    steps: Value = g.Unsqueeze(g.Cast(base.positions(g, length), to="float32"), g.constant([1]))
    return steps if factor == 1.0 else g.Mul(steps, g.constant(factor, "float32"))


class RotaryEmbedding(Layer, supports_masking=True):
    """Pairs of features, turned by an angle that grows with the position, as in KerasHub: for queries and keys.

    Feature k of the first half and its partner in the second half, (a, b), become ``(a cos φ − b sin φ, b cos φ + a sin φ)``
    with ``φ = position / scaling_factor · w^(−2k/features)`` and the wavelength w.

    Shapes: (batch, time, …, features) → the same. Su et al., *RoFormer*, 2021.
    """

    neutral: ClassVar[Mapping[str, Neutral]] = NEUTRAL | dict.fromkeys(
        ("low_freq_factor", "high_freq_factor", "old_context_len"),
        Neutral((None,), "the scaling of Llama 3.1 is not available", "use `scaling_factor`"),
    )

    max_wavelength: Wavelength = 10000.0
    scaling_factor: Positive = setting(1.0, "The number by which positions are divided.")
    sequence_axis: int = setting(1, "The axis of the positions.")
    feature_axis: int = setting(-1, "The axis of the features, an even number.")

    def lower(self, g: Builder, X: Value) -> Value:
        base.need_rank(X, 3, None, _SEQUENCE, hint=_VECTORS)
        X = base.as_float(g, X)
        time, at = self._axis(X, "sequence_axis"), self._axis(X, "feature_axis")
        if time == at:
            raise not_allowed("needs two different axes", key="feature_axis")
        features, length = X.fixed(at), g.size(X, time)
        if features % 2:
            text = f"needs an even number of features, got {features}"
            raise wrong_size(text, "pairs of features are turned", key="feature_axis")
        rates = self.max_wavelength ** (-np.arange(0, features, 2) / features)
        if isinstance(length, int):
            angles = np.arange(length)[:, None] / self.scaling_factor * rates
            turns = [g.constant(f(angles), "float32") for f in (np.cos, np.sin)]
        else:
            angle = g.Mul(_column(g, length, 1 / self.scaling_factor), g.constant(rates, "float32"))
            turns = [g.Cos(angle), g.Sin(angle)]
        order, others = (1, 0) if time > at else (0, 1), [k for k in range(X.rank) if k not in (time, at)]
        cos, sin = (g.Unsqueeze(g.transpose(turn, order), g.constant(others)) for turn in turns)
        half = features // 2
        a, b = g.Split(X, g.constant([half, half]), axis=at)
        return g.Concat(a * cos - b * sin, b * cos + a * sin, axis=at)

    def _axis(self, X: Value, key: str) -> int:
        axis: int = getattr(self, key)
        if not -X.rank <= axis < X.rank or axis % X.rank == 0:
            text = f"cannot use axis {axis} of data {show(X.shape)}"
            raise wrong_rank(text, f"use 1 to {X.rank - 1}, not the batch", key=key)
        return axis % X.rank


class ClassToken(Layer, handles_mask=True):
    """A trained vector in front of every sequence, which gathers what a classifier reads. It is never masked.

    Shapes: (batch, time, features) → (batch, time + 1, features).
    Dosovitskiy et al., *An Image Is Worth 16x16 Words*, ICLR 2021.
    """

    initializer: base.InitializerField = base.default_initializer("zeros")
    regularizer: base.RegularizerField = setting(None, "Penalty on the vector.")
    constraint: base.Constraint = None

    def lower(self, g: Builder, X: Value) -> Value:
        base.need_rank(X, 3, 3, _SEQUENCE, hint=_VECTORS)
        X, mask = base.as_float(g, X), X.mask
        token = self.weight(g, "token", (1, 1, X.features), prefix="")
        Y: Value = g.Concat(g.Expand(token, g.ints([g.size(X, 0), 1, X.features])), X, axis=1)
        if mask is None:
            return Y
        return Y.with_mask(g.Concat(g.Expand(g.constant([[True]]), g.ints([g.size(mask, 0), 1])), mask, axis=1))


_SWIN: dict[str, Any] = {"type": "TruncatedNormal", "stddev": 0.02}


class RelativePositionBias(Layer, arity=(1, 2), handles_mask=True, takes_values_as_they_are=True):
    """A trained number for each head and each distance of two steps: Add it to the scores of attention, before Softmax.

    Only the lengths of the inputs count: queries, and keys if they have another length. Distances are put into buckets, as
    in T5: the distance d = key − query has a bucket of its own if it is short, then buckets grow in equal ratios up to
    ``max_distance``; with ``bidirectional`` half of them are for d > 0, without it d > 0 counts as 0.

    With ``window_size: [h, w]`` the steps are the pixels of a window, row by row, as in Swin: the bias of (y, x) and (v, u)
    is row ``(y − v + h − 1) · (2w − 1) + x − u + w − 1`` of the table.

    Shapes: (batch, queries, …), (batch, keys, …) → (num_heads, queries, keys), without a batch axis.
    Raffel et al., *Exploring the Limits of Transfer Learning*, 2020; Liu et al., *Swin Transformer*, ICCV 2021.
    """

    num_heads: PositiveInt = setting(..., "The number of heads.")
    window_size: Size2 | None = setting(None, "Height and width of Swin's window; null for T5's buckets.")
    num_buckets: Annotated[int, described("The number of buckets.", ge=4, le=1 << 16)] = 32
    max_distance: Annotated[int, described("Larger distances share the last bucket.", ge=1, le=1 << 20)] = 128
    bidirectional: bool = setting(True, "Whether keys after the query have buckets of their own.")
    initializer: base.InitializerField = setting(_SWIN, "The initial values of the weight.", validate_default=True)
    regularizer: base.RegularizerField = setting(None, "Penalty on the table.")
    constraint: base.Constraint = None

    def lower(self, g: Builder, *inputs: Value) -> Value:
        for X in inputs:
            base.need_rank(X, 1 + has_rows(X.shape), None, "(batch, time, …)")
        axes = [int(has_rows(X.shape)) for X in inputs]
        lengths = [g.size(X, axis) for X, axis in zip(inputs, axes, strict=True)]
        queries, keys = lengths[0], lengths[-1]
        index = self._in_window(g, lengths) if self.window_size is not None else self._in_buckets(g, queries, keys)
        height, width = self.window_size or (1, 1)
        rows = self.num_buckets if self.window_size is None else (2 * height - 1) * (2 * width - 1)
        table = self.weight(g, "embeddings", (rows, self.num_heads), prefix="")
        return g.transpose(g.Gather(table, index, axis=0), (2, 0, 1))

    def _in_window(self, g: Builder, lengths: list[int | Value]) -> Value:
        assert self.window_size is not None
        height, width = self.window_size
        for length in lengths:
            if length != height * width:
                shown = length if isinstance(length, int) else "a length that varies"
                text = f"needs {height * width} steps for a window of {height} · {width}, got {shown}"
                raise wrong_size(text, "one step per pixel of the window", key="window_size")
        y, x = (k.reshape(-1) for k in np.meshgrid(np.arange(height), np.arange(width), indexing="ij"))
        rows, columns = y[:, None] - y + height - 1, x[:, None] - x + width - 1
        return g.constant(rows * (2 * width - 1) + columns)

    def _in_buckets(self, g: Builder, queries: int | Value, keys: int | Value) -> Value:
        limit = self.max_distance
        buckets = self.buckets(np.arange(-limit, limit + 1))
        if isinstance(queries, int) and isinstance(keys, int):
            distances = np.arange(keys) - np.arange(queries)[:, None]
            return g.constant(buckets[np.clip(distances, -limit, limit) + limit])
        q, k = (g.constant(np.arange(n)) if isinstance(n, int) else base.positions(g, n) for n in (queries, keys))
        distance = g.Unsqueeze(k, g.constant([0])) - g.Unsqueeze(q, g.constant([1]))
        shifted = g.Clip(distance, g.constant(-limit), g.constant(limit)) + limit
        return g.Gather(g.constant(buckets), shifted, axis=0)

    def buckets(self, distance: Array) -> Array:
        """Return the bucket of each distance, key − query: T5's formula, in float32 as there."""
        count, first = self.num_buckets, np.zeros_like(distance)
        if self.bidirectional:
            count //= 2
            first = np.where(distance > 0, count, 0)
            distance = np.abs(distance)
        else:
            distance = -np.minimum(distance, 0)
        exact = count // 2
        ratio = np.log(np.maximum(distance, 1).astype(np.float32) / np.float32(exact))
        span = np.float32(np.log(max(self.max_distance / exact, 1 + 1e-6)))
        large = exact + (ratio / span * np.float32(count - exact)).astype(np.int64)
        return np.asarray(first + np.where(distance < exact, distance, np.minimum(large, count - 1)), np.int64)
