"""LSTMs with convolutions instead of matrix products."""

from __future__ import annotations

from collections.abc import Sequence

from graphspec.graph.ir.graph import Layout, show
from graphspec.vocabulary import Builder, Value, not_fixed, wrong_rank
from graphspec.vocabulary.activations import Activation
from graphspec.vocabulary.layers import cells
from graphspec.vocabulary.layers.convolution import WINDOW, Filters, Window
from graphspec.vocabulary.layers.layer import as_float
from graphspec.vocabulary.layers.recurrent import Recurrent, last_output
from graphspec.vocabulary.layers.spatial import axes_of, by_rank, from_channels_first, window


class ConvLSTM(Recurrent, cells.Remembering, Window, Filters, states=2):
    """Base: an LSTM with convolutions instead of matrix products (Shi et al., 2015).

    The convolution of the input uses the layer's strides, padding and dilation; the convolution of the state uses
    strides of 1 and the padding ``same``. The steps are unrolled, which requires a fixed number of steps.
    """

    def need_input(self, g: Builder, X: Value) -> None:
        axes, spatial = axes_of(self.rank, self.data_format).replace("batch, ", "batch, time, "), X.rank - 3
        if spatial != self.rank:
            hint = f"bring it to {axes} first, for example with Reshape"
            if spatial == self.rank - 1:
                hint = last_output(g, X) or "add a time axis, for example with Reshape"
            elif 1 <= spatial <= 3:
                hint = f"use ConvLSTM{spatial}D for data with {spatial} spatial axes"
            raise wrong_rank(f"needs rank-{self.rank + 3} data {axes}, got {show(X.shape)}", hint)
        if not all(isinstance(d, int) for d in X.shape[2:]):
            text = f"needs fixed sizes for all axes of {axes} except batch and time, got {show(X.shape)}"
            raise not_fixed(text, "its states need fixed sizes: give numbers in `inputs`")
        self.strides_or_dilation()

    def unrolled(self) -> cells.Reason | None:
        return "ONNX has no operator for it", "use a layer without states, such as Conv3D", None

    def activated(self, g: Builder, activation: Activation | None, X: Value) -> Value:
        """Emit the activation; one with an ``axis`` is computed in Keras's axis order."""
        if activation is None or "axis" not in type(activation).model_fields:
            return g.activate(activation, X)
        Y = g.activate(activation, from_channels_first(g, X, self.data_format))
        return self._channels_first(g, Y, 1)

    def _channels_first(self, g: Builder, X: Value, axis: int) -> Value:
        """Return ``X`` with its channels moved to ``axis``, unless they are there already."""
        if self.data_format == "channels_first":
            return X
        return g.transpose(X, (*range(axis), X.rank - 1, *range(axis, X.rank - 1)))

    def over(self, g: Builder, X: Value, initial: Sequence[Value], pace: cells.Pace) -> cells.Ran:
        X = self._channels_first(g, X, 2)
        kernel = self._kernel(g, "kernel", X.fixed(2))
        recurrent = self._kernel(g, "recurrent_kernel", self.filters)
        bias = self.weight(g, "bias", (4 * self.filters,)) if self.use_bias else None
        copies = 4 if self.dropout else 1  # as in Keras: each gate has its own mask
        inputs = [cells.drop_features(g, X, self.dropout, self.seed) for _ in range(copies)]
        Z = cells.by_gate(g, lambda x, k: self._of_all_steps(g, x, k), kernel, copies, axis=0, into=2)(*inputs)
        if bias is not None:
            Z = Z + g.reshape(bias, (4 * self.filters, *[1] * self.rank))
        zeros = g.Expand(g.constant(0.0), g.ints([g.size(Z, 1), self.filters, *(Z.fixed(k) for k in range(3, Z.rank))]))
        shape = from_channels_first(g, zeros, self.data_format).shape
        for state in initial:
            cells.need_state(state, shape, "give states the shape of the layer's output at one step")
        states = [self._channels_first(g, as_float(g, state), 1) for state in initial] or [zeros, zeros]

        def convolve(h: Value, k: Value) -> Value:
            pads = window(h, self.kernel_size, [1] * self.rank, "same", key="kernel_size")
            return g.Conv(h, k, kernel_shape=self.kernel_size, **pads)

        masks = cells.state_masks(g, zeros, 4, self.recurrent_dropout, self.seed)
        product = cells.of_state(g, convolve, recurrent, masks, axis=0, into=1)

        def step(z: Value, previous: cells.States) -> cells.States:
            h, c = previous
            if c is zeros and Z.fixed(0) > 1:  # a product with zeros is none; of a single step the kernel must be read
                return self.remember(g, (z,), None, 1)
            return self.remember(g, (z, product(h)), c, 1)

        Y, last = cells.unroll(g, Z, states, step, pace)
        if Y is not None and self.data_format != "channels_first":
            Y = g.transpose(Y, (0, 1, *range(3, Y.rank), 2))
        return Y, [from_channels_first(g, state, self.data_format) for state in last]

    def _kernel(self, g: Builder, role: str, channels: int) -> Value:
        layout = Layout(perm=(self.rank + 1, self.rank, *range(self.rank)))
        return self.weight(g, role, (*self.kernel_size, channels, 4 * self.filters), layout=layout)

    def _of_all_steps(self, g: Builder, X: Value, kernel: Value) -> Value:
        """Emit one convolution for all steps of ``X`` (time, batch, channels, …)."""
        swap = (1, 0, *range(2, X.rank))
        X = g.transpose(X, swap)  # an empty batch can be reshaped only if the batch is the first axis
        batch, time, *sizes = (g.size(X, axis) for axis in range(X.rank))
        folded = g.reshape(X, (-1, *sizes))
        Y = g.Conv(folded, kernel, **self.window(folded))
        return g.transpose(g.reshape(Y, (batch, time, *(Y.fixed(axis) for axis in range(1, Y.rank)))), swap)


_SOURCE = "Shi et al., *Convolutional LSTM Network*, NIPS 2015."
by_rank(
    ConvLSTM,
    "ConvLSTM{}D",
    tuple(
        f"An LSTM over sequences of {data}, with convolutions instead of matrix products."
        for data in ("rows", "images", "volumes")
    ),
    tuple(
        f"(batch, time, {{axes}}, channels) → (batch, {{out}}, filters), or (batch, time,{result}. {_SOURCE}"
        for result in (
            " {out}, filters) with\n``return_sequences``",
            " height′,\n    width′,\nfilters) with ``return_sequences``",
            "\n{out}, filters) with ``return_sequences``",
        )
    ),
    **WINDOW,
)
