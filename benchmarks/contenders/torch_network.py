"""PyTorch's network of a workload."""

# mypy: ignore-errors, because PyTorch need not be installed

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from benchmarks.contenders.torch_parts import (
    ACTIVATIONS,
    Affine,
    Attention,
    Bag,
    ConvLSTM,
    Function,
    Last,
    Network,
    filled,
    gru,
    lstm,
    padding,
)

if TYPE_CHECKING:
    from benchmarks.workload import Array, Node, Workload

MERGED = {
    "Add": lambda *xs: sum(xs[1:], xs[0]),
    "Subtract": lambda a, b: a - b,
    "Multiply": lambda a, b: a * b,
    "Dot": lambda a, b: torch.bmm(a[:, None], b)[:, 0],  # a factor for each row of a matrix
}
STEPS_LAST = ("Conv1D", "MaxPooling1D", "GlobalMaxPooling1D", "BatchNormalization")
"""What wants the channels before the steps."""
CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class Builder:
    """Modules of nodes, with the weights.

    Attributes:
        shapes: of the values, channels last, without the batch.
        first: the values of rank 3 that have their channels before the steps, as convolutions want them.
        ids: the ids whose zeros mask a value.
        sparse: whether embeddings have sparse gradients.
    """

    def __init__(self, workload: Workload, sparse: bool = False) -> None:
        self.workload, self.sparse = workload, sparse
        self.shapes: dict[str, tuple[int, ...]] = {name: a.shape[1:] for name, a in workload.inputs.items()}
        self.flat: dict[str, tuple[int, ...]] = {}
        self.padded: dict[str, tuple[str, int]] = {}
        self.first: set[str] = set()
        self.ids: dict[str, str] = {}
        self.modules: dict[str, nn.Module] = {}
        self.parts: list[tuple[str, nn.Module, list[str]]] = []

    def network(self) -> nn.Module:
        nodes = list(self.workload.nodes)
        if nodes[0].type == "CategoryEncoding":
            bag, weights = nodes[1], self.workload.of(nodes[1])
            self.shapes[bag.name] = weights["bias"].shape
            part = Bag(weights["kernel"], weights["bias"], bag.arguments.get("activation"))
            self.parts.append((bag.name, part, nodes[0].inputs))
            nodes = nodes[2:]
        for node in nodes:
            self._add(node)
        if len(self.shapes[nodes[-1].name]) == 2 and nodes[-1].name not in self.first and self.workload.loss != "ctc":
            self.parts.append(("rows", Function(lambda z: z.flatten(0, 1)), [nodes[-1].name]))  # of all steps
        if self.workload.chain and len(self.parts) == len(self.workload.nodes):
            return nn.Sequential(*(part for _, part, _ in self.parts))
        return Network(list(self.workload.inputs), self.parts)

    def _stepwise(self, name: str, wanted: bool = False) -> str:
        """The value with its channels last, or if wanted before the steps: it is turned once."""
        if len(self.shapes[name]) != 2 or (name in self.first) is wanted:
            return name
        turned = name + " turned"
        if turned not in self.shapes:
            self.parts.append((turned, Function(lambda x: x.transpose(1, 2)), [name]))
            self.shapes[turned] = self.shapes[name]
            if wanted:
                self.first.add(turned)
        return turned

    def _add(self, node: Node) -> None:
        given, kind = node.inputs, node.type
        if kind in STEPS_LAST:
            given = [self._stepwise(given[0], wanted=True)]
            if kind != "GlobalMaxPooling1D" and len(self.shapes[given[0]]) == 2:
                self.first.add(node.name)
        elif kind == "GlobalAveragePooling1D" and given[0] in self.first:
            pass
        elif kind in ("Add", "Multiply", "ReLU", "Activation") and all(i in self.first for i in given):
            self.first.add(node.name)
        elif kind in ("Add", "Multiply") and any(i in self.first for i in given):
            given = [self._stepwise(i, wanted=True) for i in given]
            self.first.add(node.name)
        else:
            given = [self._stepwise(i) for i in given]
        if kind == "ZeroPadding2D":  # within the convolution
            self.padded[node.name] = given[0], node.arguments["padding"][0][0]
            self.shapes[node.name] = tuple(d + 2 * self.padded[node.name][1] for d in self.shapes[given[0]][:2])
            self.shapes[node.name] += self.shapes[given[0]][2:]
            return
        self.shapes[node.name] = self.shapes[given[0]]
        if node.type in ("Bidirectional", "Embedding") and (ids := self._mask(node, given[0])) is not None:
            given = [given[0], ids] if node.type == "Bidirectional" else given
        part = self.modules[node.name] = self._part(node, given)
        if node.share:
            part = self.modules[node.share]
        given = [self.padded[i][0] if i in self.padded else i for i in given]
        self.parts.append((node.name, part, given))

    def _mask(self, node: Node, given: str) -> str | None:
        """The ids whose zeros mask what is given; from an embedding on, those that it takes."""
        if node.arguments.get("mask_zero"):
            self.ids[node.name] = given
        return self.ids.get(given)

    def _part(self, node: Node, given: list[str]) -> nn.Module:  # noqa: C901 (a case a layer)
        a, shapes = node.arguments, [self.shapes[i] for i in given]
        weights, shape = self.workload.of(node), shapes[0]
        match node.type:
            case "Dense":
                return self._dense(node, weights, given[0])
            case "Conv1D" | "Conv2D" | "Conv3D" | "DepthwiseConv2D":
                return self._convolution(node, weights, given[0])
            case "Conv2DTranspose":
                kernel = weights["kernel"]
                (k, _, filters, c), (s, *_) = kernel.shape, a["strides"]
                self.shapes[node.name] = (*(d * s for d in shape[:2]), filters)
                assert a.get("padding") == "same" or k == s, "the image grows by the strides"
                up = nn.ConvTranspose2d(c, filters, k, s, (k - s) // 2, bias="bias" in weights)
                return filled(up, weight=kernel.transpose(3, 2, 0, 1), **bias_of(weights))
            case "BatchNormalization":
                kind = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
                norm = kind(shape[-1], eps=1e-3, momentum=0.01)
                return filled(norm, weight=weights["gamma"], bias=weights["beta"])
            case "LayerNormalization":
                norm = filled(nn.LayerNorm(shape[-1], eps=a["epsilon"]), weight=weights["gamma"], bias=weights["beta"])
                return Last(norm) if len(shape) == 3 else norm
            case "Dropout":
                return nn.Dropout(a["rate"])
            case "ReLU":
                return nn.ReLU6(inplace=True) if a.get("max_value") == 6 else nn.ReLU(inplace=True)
            case "Activation":
                return Function(ACTIVATIONS[a["activation"]])
            case "MaxPooling1D" | "MaxPooling3D" | "AveragePooling2D":  # halves
                self.shapes[node.name] = (*(d // 2 for d in shape[:-1]), shape[-1])
                kind = {"MaxPooling1D": nn.MaxPool1d, "MaxPooling3D": nn.MaxPool3d, "AveragePooling2D": nn.AvgPool2d}
                return kind[node.type](2)
            case "MaxPooling2D":
                k, s = a.get("pool_size", [2, 2])[0], a.get("strides", a.get("pool_size", [2, 2]))[0]
                same = a.get("padding") == "same"
                self.shapes[node.name] = (*(-(-d // s) if same else (d - k) // s + 1 for d in shape[:2]), shape[2])
                return nn.MaxPool2d(k, s, k // 2 if same else 0)
            case "UpSampling2D":
                self.shapes[node.name] = (*(2 * d for d in shape[:2]), shape[2])
                return nn.Upsample(scale_factor=2)
            case "Flatten":
                self.flat[node.name], self.shapes[node.name] = shape, (math.prod(shape),)
                return nn.Flatten()
            case "Reshape" if len(shape) == 3:  # the pixels are the steps
                self.shapes[node.name] = tuple(a["target_shape"])
                return Function(lambda x: x.flatten(2).transpose(1, 2))
            case "Reshape":
                self.shapes[node.name] = size = tuple(a["target_shape"])
                image = len(size) == 3
                return Function(lambda x: x.unflatten(1, size).permute(0, 3, 1, 2) if image else x.unflatten(1, size))
            case "Permute":
                self.shapes[node.name] = shape[::-1]
                return Function(lambda x: x.transpose(1, 2))
            case "GlobalAveragePooling2D":
                keep = a.get("keepdims", False)
                self.shapes[node.name] = (1, 1, shape[-1]) if keep else shape[-1:]
                return Function(lambda x: x.mean((2, 3), keepdim=keep))
            case "GlobalAveragePooling1D":
                self.shapes[node.name], axis = shape[-1:], 2 if given[0] in self.first else 1
                return Function(lambda x: x.mean(axis))
            case "GlobalAveragePooling3D":
                self.shapes[node.name] = shape[-1:]
                return Function(lambda x: x.mean((2, 3, 4)))
            case "GlobalMaxPooling1D":
                self.shapes[node.name] = shape[-1:]
                return Function(lambda x: x.max(2).values)
            case "Add" | "Subtract" | "Multiply" | "Dot":
                self.shapes[node.name] = shapes[-1][1:] if node.type == "Dot" else shape
                return Function(MERGED[node.type])
            case "Concatenate":
                by_row = a.get("axis") == 1 and len(shape) == 2
                joined = sum(s[0 if by_row else -1] for s in shapes)
                self.shapes[node.name] = (joined, shape[1]) if by_row else (*shape[:-1], joined)
                return Function(lambda *xs: torch.cat(xs, 1))
            case "Embedding":
                self.shapes[node.name] = (*shape, weights["embeddings"].shape[1])
                embedding = nn.Embedding(*weights["embeddings"].shape, sparse=self.sparse)
                return filled(embedding, weight=weights["embeddings"])
            case "MultiHeadAttention":
                return Attention(weights, given[0] == given[1], a.get("use_causal_mask", False))
            case "ConvLSTM2D":
                self.shapes[node.name] = (*shape[1:3], a["filters"])
                return ConvLSTM(weights)
            case "LSTM" | "GRU" | "Bidirectional":
                return self._recurrent(node, weights, shape)
            case _:
                raise NotImplementedError(node.type)

    def _recurrent(self, node: Node, weights: dict[str, Array], shape: tuple[int, ...]) -> nn.Module:
        a = node.arguments
        if node.type == "Bidirectional":
            a = a["layer"]
            self.shapes[node.name] = (shape[0], 2 * a["units"])
            return (gru if a["type"] == "GRU" else lstm)(a, weights, both=True)
        self.shapes[node.name] = (shape[0], a["units"]) if a.get("return_sequences") else (a["units"],)
        return gru(a, weights) if node.type == "GRU" else lstm(a, weights)

    def _dense(self, node: Node, weights: dict[str, Array], given: str) -> Affine:
        kernel = weights["kernel"]
        self.shapes[node.name] = (*self.shapes[given][:-1], kernel.shape[1])
        if given in self.flat:  # what was flattened has the channels first
            h, w, c = self.flat[given]
            kernel = kernel.reshape(h, w, c, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
        linear = filled(nn.Linear(*kernel.shape, bias="bias" in weights), weight=kernel.T, **bias_of(weights))
        dense = Affine(linear, node.arguments.get("activation"))
        return Last(dense) if len(self.shapes[given]) == 3 else dense

    def _convolution(self, node: Node, weights: dict[str, Array], given: str) -> Affine:
        a, shape = node.arguments, self.shapes[given]
        depthwise = node.type == "DepthwiseConv2D"
        kernel = weights["kernel"]
        *_, c, filters = kernel.shape
        k, rank = kernel.shape[0], len(shape) - 1
        s, d = a.get("strides", [1])[0], a.get("dilation_rate", [1])[0]
        pads = [padding(size, k, s, a.get("padding", "valid"), d) for size in shape[:-1]]
        out = tuple((size + sum(p) - (k - 1) * d - 1) // s + 1 for size, p in zip(shape, pads, strict=False))
        within = pads[0][0]
        uneven = None if all(p == (within, within) for p in pads) else tuple(p for pair in pads[::-1] for p in pair)
        if given in self.padded:
            within = self.padded[given][1]
        elif uneven:
            within = 0
        self.shapes[node.name] = (*out, c if depthwise else filters)
        if rank == 1:
            self.first.add(node.name)
        conv = CONVOLUTIONS[rank](
            c, c if depthwise else filters, k, s, within, d, groups=c if depthwise else 1, bias="bias" in weights
        )
        order = (2, 3, 0, 1) if depthwise else (rank + 1, rank, *range(rank))
        return Affine(filled(conv, weight=kernel.transpose(order), **bias_of(weights)), a.get("activation"), uneven)


def bias_of(weights: dict[str, Array]) -> dict[str, Array]:
    return {"bias": weights["bias"]} if "bias" in weights else {}


def loss_of(kind: str) -> object:
    """The loss of logits and targets."""

    def ctc(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        steps = torch.full((len(z),), z.shape[1])
        logs = F.log_softmax(z, 2).transpose(0, 1)
        return F.ctc_loss(logs, y, steps, (y != 0).sum(1), reduction="sum") / len(z)

    def sparse(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Of logits for each row, of all steps too, or with the classes before the steps."""
        return F.cross_entropy(z, y.flatten() if z.ndim == 2 else y, ignore_index=0 if kind == "masked" else -100)

    binary = F.binary_cross_entropy_with_logits
    return {"sparse": sparse, "masked": sparse, "binary": binary, "squared": F.mse_loss, "ctc": ctc}[kind]
