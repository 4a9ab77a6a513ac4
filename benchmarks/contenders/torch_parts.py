"""PyTorch's modules for the layers of the networks, as its users write them: channels first, one product for queries, keys
and values, the padding of a convolution within it."""

# mypy: ignore-errors, because PyTorch need not be installed

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.workload import Array

ACTIVATIONS = {
    None: lambda x: x,
    "relu": F.relu_,
    "gelu": F.gelu,
    "silu": F.silu,
    "sigmoid": torch.sigmoid_,
    "tanh": torch.tanh_,
    "softmax": lambda x: x.softmax(-1),
}


def tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


def filled(module: nn.Module, **arrays: Array) -> nn.Module:
    """The module with these weights."""
    with torch.no_grad():
        for name, array in arrays.items():
            getattr(module, name).copy_(tensor(array))
    return module


class Affine(nn.Module):
    """A linear map or convolution with its activation, in place, after an uneven padding."""

    def __init__(self, inner: nn.Module, activation: str | None, pad: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.inner, self.pad, self.activation = inner, pad, ACTIVATIONS[activation]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(self.inner(x if self.pad is None else F.pad(x, self.pad)))


class Last(nn.Module):
    """A module of the last axis, for images whose channels are the second one."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Function(nn.Module):
    """A function of its inputs."""

    def __init__(self, f: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.f = f

    def forward(self, *xs: torch.Tensor) -> torch.Tensor:
        return self.f(*xs)


class Bag(nn.Module):
    """Multi-hot ids into a dense layer: the sum of the kernel's rows of each text's different ids."""

    def __init__(self, kernel: Array, bias: Array, activation: str | None) -> None:
        super().__init__()
        self.inner = nn.EmbeddingBag(*kernel.shape, mode="sum", _weight=tensor(kernel))
        self.bias, self.activation = nn.Parameter(tensor(bias)), ACTIVATIONS[activation]

    def forward(self, x: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return self.activation(self.inner(*x) + self.bias)


class Recurrent(nn.Module):
    """All steps, or the last one; those whose id is 0, at the end, are left out if ids are given."""

    def __init__(self, inner: nn.RNNBase, sequences: bool) -> None:
        super().__init__()
        self.inner, self.sequences = inner, sequences

    def forward(self, x: torch.Tensor, ids: torch.Tensor | None = None) -> torch.Tensor:
        if ids is not None:
            lengths = (ids != 0).sum(1)
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            y, _ = nn.utils.rnn.pad_packed_sequence(self.inner(packed)[0], batch_first=True, total_length=x.shape[1])
            return y
        y = self.inner(x)[0]
        return y if self.sequences else y[:, -1]


class ConvLSTM(nn.Module):
    """The last state of a convolutional LSTM: one convolution of all pictures, and one of the state in each step."""

    def __init__(self, weights: dict[str, Array]) -> None:
        super().__init__()
        kernel, back = weights["kernel"], weights["recurrent_kernel"]
        (k, _, c, wide), (_, _, self.filters, _) = kernel.shape, back.shape
        self.given = filled(
            nn.Conv2d(c, wide, k, padding=k // 2), weight=kernel.transpose(3, 2, 0, 1), bias=weights["bias"]
        )
        self.own = nn.Conv2d(self.filters, wide, k, padding=k // 2, bias=False)
        filled(self.own, weight=back.transpose(3, 2, 0, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, t, height, width = x.shape
        given = self.given(x.transpose(1, 2).reshape(n * t, c, height, width)).unflatten(0, (n, t))
        h = state = x.new_zeros(n, self.filters, height, width)
        for step in given.unbind(1):
            i, f, new, o = (step + self.own(h)).chunk(4, 1)
            state = torch.sigmoid(f) * state + torch.sigmoid(i) * torch.tanh(new)
            h = torch.sigmoid(o) * torch.tanh(state)
        return h


class Attention(nn.Module):
    """Attention: one product for queries, keys and values, or for keys and values if the queries are another's."""

    def __init__(self, weights: dict[str, Array], own: bool, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal, self.own = weights["query/kernel"].shape[1], causal, own
        parts = ["query", "key", "value"]
        if not own:
            self.query = self._product(weights, [parts.pop(0)])
        self.rest = self._product(weights, parts)
        kernel = weights["attention_output/kernel"]
        back = kernel.reshape(-1, kernel.shape[-1])
        self.out = filled(nn.Linear(*back.shape), weight=back.T, bias=weights["attention_output/bias"])

    def _product(self, weights: dict[str, Array], parts: list[str]) -> nn.Linear:
        features = weights["query/kernel"].shape[0]
        kernel = np.concatenate([weights[f"{p}/kernel"].reshape(features, -1) for p in parts], 1)
        bias = np.concatenate([weights[f"{p}/bias"].ravel() for p in parts])
        return filled(nn.Linear(*kernel.shape), weight=kernel.T, bias=bias)

    def forward(self, x: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        n, t, _ = x.shape
        if self.own:
            q, k, v = self._heads(self.rest(x), 3)
        else:
            (q,), (k, v) = self._heads(self.query(x), 1), self._heads(self.rest(memory), 2)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out(y.transpose(1, 2).reshape(n, t, -1))

    def _heads(self, x: torch.Tensor, parts: int) -> torch.Tensor:
        return x.unflatten(2, (parts, self.heads, -1)).permute(2, 0, 3, 1, 4)


class Network(nn.Module):
    """Parts in their order, any inputs."""

    def __init__(self, inputs: list[str], parts: list[tuple[str, nn.Module, list[str]]]) -> None:
        super().__init__()
        self.inputs, self.wires = inputs, [(name, given) for name, _, given in parts]
        self.parts = nn.ModuleList(part for _, part, _ in parts)

    def forward(self, *xs: torch.Tensor) -> torch.Tensor:
        values = dict(zip(self.inputs, xs, strict=True))
        for part, (name, given) in zip(self.parts, self.wires, strict=True):
            values[name] = part(*[values[i] for i in given])
        return values[self.wires[-1][0]]


def lstm(a: dict[str, Any], weights: dict[str, Array], both: bool = False) -> Recurrent:
    """One direction, or both with the roles ``forward/…`` and ``backward/…``."""
    kernel = weights["forward/kernel" if both else "kernel"]
    features, units = kernel.shape[0], kernel.shape[1] // 4
    inner = nn.LSTM(features, units, batch_first=True, bidirectional=both)
    for way, suffix in (("forward/", ""), ("backward/", "_reverse")) if both else (("", ""),):
        getattr(inner, f"bias_hh_l0{suffix}").requires_grad_(False)  # Keras has one bias
        names = {"weight_ih_l0": "kernel", "weight_hh_l0": "recurrent_kernel", "bias_ih_l0": "bias"}
        filled(inner, **{f"bias_hh_l0{suffix}": np.zeros(4 * units, np.float32)})
        filled(inner, **{n + suffix: weights[way + role].T for n, role in names.items()})
    return Recurrent(inner, a.get("return_sequences", False))


def gru(a: dict[str, Any], weights: dict[str, Array], both: bool = False) -> Recurrent:
    """Keras's gates are update, reset, new; PyTorch's reset, update, new. Directions as in :func:`lstm`."""

    def turned(w: Array) -> Array:
        update, reset, new = np.split(w, 3)
        return np.concatenate([reset, update, new])

    features, units = weights["forward/kernel" if both else "kernel"].shape[0], a["units"]
    inner = nn.GRU(features, units, batch_first=True, bidirectional=both)
    for way, suffix in (("forward/", ""), ("backward/", "_reverse")) if both else (("", ""),):
        bias, back = weights[f"{way}bias"], weights[f"{way}recurrent_kernel"]
        arrays = {"weight_ih_l0": weights[f"{way}kernel"].T, "weight_hh_l0": back.T}
        arrays |= {"bias_ih_l0": bias[0], "bias_hh_l0": bias[1]}
        filled(inner, **{name + suffix: turned(array) for name, array in arrays.items()})
    return Recurrent(inner, a.get("return_sequences", False))


def padding(size: int, k: int, s: int, how: str, dilation: int) -> tuple[int, int]:
    """Before and after an axis."""
    reach = (k - 1) * dilation
    match how:
        case "same":
            total = max((-(-size // s) - 1) * s + reach + 1 - size, 0)
            return total // 2, total - total // 2
        case "causal":
            return reach, 0
        case _:
            return 0, 0
