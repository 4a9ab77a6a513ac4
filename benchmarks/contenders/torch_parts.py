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
    """All steps, or the last one."""

    def __init__(self, inner: nn.RNNBase, sequences: bool) -> None:
        super().__init__()
        self.inner, self.sequences = inner, sequences

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.inner(x)[0]
        return y if self.sequences else y[:, -1]


class Attention(nn.Module):
    """Self-attention: one product for queries, keys and values."""

    def __init__(self, weights: dict[str, Array]) -> None:
        super().__init__()
        features, self.heads, size = weights["query/kernel"].shape
        wide = self.heads * size
        parts = ("query", "key", "value")
        kernel = np.concatenate([weights[f"{p}/kernel"].reshape(features, wide) for p in parts], 1)
        bias = np.concatenate([weights[f"{p}/bias"].ravel() for p in parts])
        self.qkv = filled(nn.Linear(features, 3 * wide), weight=kernel.T, bias=bias)
        back = weights["attention_output/kernel"].reshape(wide, -1)
        self.out = filled(nn.Linear(*back.shape), weight=back.T, bias=weights["attention_output/bias"])

    def forward(self, x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        n, t, _ = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(n, t, -1))


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


def gru(a: dict[str, Any], weights: dict[str, Array]) -> Recurrent:
    """Keras's gates are update, reset, new; PyTorch's reset, update, new."""

    def turned(w: Array) -> Array:
        update, reset, new = np.split(w, 3)
        return np.concatenate([reset, update, new])

    features, units = weights["kernel"].shape[0], weights["recurrent_kernel"].shape[0]
    inner = nn.GRU(features, units, batch_first=True)
    filled(inner, weight_ih_l0=turned(weights["kernel"].T), weight_hh_l0=turned(weights["recurrent_kernel"].T))
    filled(inner, bias_ih_l0=turned(weights["bias"][0]), bias_hh_l0=turned(weights["bias"][1]))
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
