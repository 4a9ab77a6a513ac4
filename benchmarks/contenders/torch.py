"""PyTorch, eager or compiled."""

# mypy: ignore-errors, because PyTorch need not be installed

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from benchmarks.contenders.base import Stepper

if TYPE_CHECKING:
    from benchmarks.workload import Array, Node, Workload

ACTIVATIONS = {None: lambda x: x, "relu": F.relu_}


class Affine(nn.Module):
    """A linear map or convolution with its activation, in place."""

    def __init__(self, inner: nn.Module, activation: str | None, pad: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.inner, self.pad, self.activation = inner, pad, ACTIVATIONS[activation]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(self.inner(x if self.pad is None else F.pad(x, self.pad)))


class Bag(nn.Module):
    """Multi-hot ids into a dense layer: the sum of the kernel's rows of each text's different ids."""

    def __init__(self, kernel: Array, bias: Array, activation: str | None) -> None:
        super().__init__()
        self.inner = nn.EmbeddingBag(*kernel.shape, mode="sum", _weight=tensor(kernel))
        self.bias, self.activation = nn.Parameter(tensor(bias)), ACTIVATIONS[activation]

    def forward(self, x: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return self.activation(self.inner(*x) + self.bias)


class LastStep(nn.LSTM):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)[0][:, -1]


class Sum(nn.Module):
    def forward(self, *xs: torch.Tensor) -> torch.Tensor:
        return sum(xs[1:], xs[0])


class Joined(nn.Module):
    def forward(self, *xs: torch.Tensor) -> torch.Tensor:
        return torch.cat(xs, 1)


class Mean(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))


class Network(nn.Module):
    """Nodes in their order, any inputs."""

    def __init__(self, nodes: list[Node], parts: list[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.wires = [(node.name, node.inputs) for node in nodes]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {"x": x}
        for part, (name, inputs) in zip(self.parts, self.wires, strict=True):
            values[name] = part(*(values[i] for i in inputs))
        return values[self.wires[-1][0]]


def tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


def filled(module: nn.Module, **arrays: Array) -> nn.Module:
    """The module with these weights."""
    with torch.no_grad():
        for name, array in arrays.items():
            getattr(module, name).copy_(tensor(array))
    return module


class Builder:
    """Modules of nodes, with the weights; ``shapes`` are those of the values, channels last, without the batch."""

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self.shapes: dict[str, tuple[int, ...]] = {"x": workload.x.shape[1:]}
        self.flat: dict[str, tuple[int, ...]] = {}

    def part(self, node: Node) -> nn.Module:
        a, shapes = node.arguments, [self.shapes[i] for i in node.inputs]
        weights = self.workload.of(node)
        self.shapes[node.name] = shape = shapes[0]
        match node.type:
            case "Dense":
                kernel = weights["kernel"]
                if node.inputs[0] in self.flat:  # what was flattened has the channels first
                    h, w, c = self.flat[node.inputs[0]]
                    kernel = kernel.reshape(h, w, c, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
                linear = filled(nn.Linear(*kernel.shape), weight=kernel.T, bias=weights["bias"])
                return Affine(linear, a.get("activation"))
            case "Conv2D":
                return self._convolution(node, a, shape, weights)
            case "BatchNormalization":
                norm = nn.BatchNorm2d(shape[-1], eps=1e-3, momentum=0.01)
                return filled(norm, weight=weights["gamma"], bias=weights["beta"])
            case "ReLU":
                return nn.ReLU(inplace=True)
            case "MaxPooling2D":
                k, s = a.get("pool_size", [2, 2])[0], a.get("strides", a.get("pool_size", [2, 2]))[0]
                same = a.get("padding") == "same"
                self.shapes[node.name] = (*(-(-d // s) if same else (d - k) // s + 1 for d in shape[:2]), shape[2])
                return nn.MaxPool2d(k, s, k // 2 if same else 0)
            case "Flatten":
                self.flat[node.name] = shape
                return nn.Flatten()
            case "GlobalAveragePooling2D":
                self.shapes[node.name] = shape[-1:]
                return Mean()
            case "Add":
                return Sum()
            case "Concatenate":
                self.shapes[node.name] = (*shape[:2], sum(s[2] for s in shapes))
                return Joined()
            case "Embedding":
                return filled(nn.Embedding(*weights["embeddings"].shape), weight=weights["embeddings"])
            case "LSTM":
                features, units = weights["kernel"].shape[0], weights["recurrent_kernel"].shape[0]
                lstm = LastStep(features, units, batch_first=True)
                lstm.bias_hh_l0.requires_grad_(False)  # Keras has one bias
                names = {"weight_ih_l0": "kernel", "weight_hh_l0": "recurrent_kernel", "bias_ih_l0": "bias"}
                filled(lstm, bias_hh_l0=np.zeros(4 * units, np.float32))
                return filled(lstm, **{n: weights[role].T for n, role in names.items()})
            case _:
                raise NotImplementedError(node.type)

    def _convolution(self, node: Node, a: dict[str, Any], shape: tuple[int, ...], weights: dict[str, Array]) -> Affine:
        kernel = weights["kernel"]
        k, c, filters = kernel.shape[0], kernel.shape[2], kernel.shape[3]
        s, same = a.get("strides", [1])[0], a.get("padding") == "same"
        total = max((-(-shape[0] // s) - 1) * s + k - shape[0], 0) if same else 0
        self.shapes[node.name] = (*((d + total - k) // s + 1 for d in shape[:2]), filters)
        even = total % 2 == 0
        conv = nn.Conv2d(c, filters, k, s, padding=total // 2 if even else 0, bias="bias" in weights)
        bias = {"bias": weights["bias"]} if "bias" in weights else {}
        pad = None if even else (total // 2, total - total // 2) * 2
        return Affine(filled(conv, weight=kernel.transpose(3, 2, 0, 1), **bias), a.get("activation"), pad)

    def network(self) -> nn.Module:
        nodes = list(self.workload.nodes)
        if nodes[0].type == "CategoryEncoding":
            weights = self.workload.of(nodes[1])
            self.shapes[nodes[1].name] = weights["bias"].shape
            first = Bag(weights["kernel"], weights["bias"], nodes[1].arguments.get("activation"))
            return nn.Sequential(first, *(self.part(node) for node in nodes[2:]))
        parts = [self.part(node) for node in nodes]
        return nn.Sequential(*parts) if self.workload.chain else Network(nodes, parts)


def optimizer(about: dict[str, Any], parameters: list[nn.Parameter], fused: bool) -> torch.optim.Optimizer:
    lr = about["learning_rate"]
    match about["type"]:
        case "RMSprop":  # which has no fused form
            return torch.optim.RMSprop(parameters, lr, about["rho"], about["epsilon"], foreach=fused)
        case "Adam":
            betas = about["beta_1"], about["beta_2"]
            return torch.optim.Adam(parameters, lr, betas, about["epsilon"], fused=fused)
        case _:
            return torch.optim.SGD(parameters, lr, about["momentum"], fused=fused)


class Loop(Stepper):
    """The usual loop over batches that are tensors already."""

    version = torch.__version__

    def __init__(self, workload: Workload, fused: bool, compiled: bool) -> None:
        self.workload = workload
        last = fused or compiled
        self.batches = [self._batch(workload.rows(k), last) for k in range(workload.batches)]
        self.model = Builder(workload).network()
        if last and workload.x.ndim == 4:
            self.model = self.model.to(memory_format=torch.channels_last)
        self.first = {name: t.clone() for name, t in self.model.state_dict().items()}
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = optimizer(workload.optimizer, parameters, last)
        self.update = self.optimizer.step
        losses = {
            "sparse": F.cross_entropy,
            "binary": F.binary_cross_entropy_with_logits,
            "squared": F.mse_loss,
        }
        loss = losses[workload.loss]
        model = self.model
        self.forward = lambda x, y: loss(model(x), y)
        if compiled:
            self.forward = torch.compile(self.forward)
            if workload.optimizer["type"] == "RMSprop":
                self.update = torch.compile(self.optimizer.step)

    def _batch(self, rows: slice, last: bool) -> tuple[Any, torch.Tensor]:
        w = self.workload
        x, y = w.x[rows], tensor(w.y[rows])
        if w.loss == "binary":
            y = y.float()[:, None]
        if w.nodes[0].type == "CategoryEncoding":
            texts = [np.unique(row) for row in x]
            offsets = np.cumsum([0, *map(len, texts)])[:-1]
            return (tensor(np.concatenate(texts)), tensor(offsets)), y
        t = tensor(x.astype(np.float32) if x.dtype == bool else x)
        if x.ndim == 4:
            t = t.permute(0, 3, 1, 2)
            t = t.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
        return t, y

    def step(self, k: int) -> float:
        x, y = self.batches[k % len(self.batches)]
        self.optimizer.zero_grad()
        loss = self.forward(x, y)
        loss.backward()
        self.update()
        return loss.item()

    def restore(self) -> None:
        self.model.load_state_dict(self.first)


def start(workload: Workload, *, fused: bool = False, compiled: bool = False) -> Loop:
    return Loop(workload, fused, compiled)
