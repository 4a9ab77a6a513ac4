"""Modules of PyTorch in ONNX files, by both exporters, and what one step of SGD does to them.

``pip install torch==2.13.0 onnx onnxscript numpy safetensors``, then ``python tests/golden/make_torch_modules.py``.
It writes ``torch_modules/<name>.onnx`` and ``torch_modules.safetensors``: per name the inputs ``<name>/x0``, …, the
cotangent ``<name>/r`` of the first output, and that output ``before`` and ``after`` a step of all weights on
``mean(output · r)``; ``count`` is the number of their elements.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from safetensors.numpy import save_file
from torch import nn

FOLDER = Path(__file__).parent
RATE = 0.5


class Attention(nn.Module):
    def __init__(self, batch_first: bool, weights: bool) -> None:
        super().__init__()
        self.attention, self.weights = nn.MultiheadAttention(8, 2, batch_first=batch_first), weights

    def forward(self, x: Any) -> Any:
        y, shares = self.attention(x, x, x, need_weights=self.weights)
        return (y, shares) if self.weights else y


class Decoder(nn.Module):
    def __init__(self, **layer: Any) -> None:
        super().__init__()
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**layer), 1)

    def forward(self, x: Any, memory: Any) -> Any:
        return self.decoder(x, memory)


class Bilinear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.product = nn.Bilinear(3, 4, 2)

    def forward(self, x: Any) -> Any:
        return self.product(x[:, :3], x[:, 3:])


class Scaled(nn.Module):
    """A normalization without weights; then the bias comes before the scale."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 3), nn.InstanceNorm2d(4)
        self.scale, self.bias = nn.Parameter(torch.rand(1, 4, 1, 1)), nn.Parameter(torch.rand(4, 1, 1))

    def forward(self, x: Any) -> Any:
        return (self.norm(self.conv(x)) + self.bias) * self.scale


class Case(NamedTuple):
    """A module and its file: the shapes of inputs, their batch axis, the exporter, and whether one row is fixed in it."""

    module: Any
    shapes: tuple[tuple[int, ...], ...]
    new: bool
    axis: int = 0
    one: bool = False


def cases() -> dict[str, Case]:
    torch.manual_seed(0)
    images, steps, rows = ((3, 2, 6, 6),), ((5, 3, 8),), ((3, 5, 8),)
    norm = nn.Sequential(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    pool = nn.Sequential(nn.Conv2d(2, 3, 3), nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.Flatten(), nn.Linear(27, 2))
    mean = nn.Sequential(nn.Conv2d(2, 3, 3), nn.AvgPool2d(3, 2, 1, ceil_mode=True), nn.Flatten(), nn.Linear(27, 2))
    plain = nn.Sequential(nn.Linear(8, 6), nn.LayerNorm(6, elementwise_affine=False), nn.Linear(6, 2))
    layer = {"d_model": 8, "nhead": 2, "dim_feedforward": 12, "dropout": 0.0}
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(**layer, batch_first=True), 1)
    first = nn.TransformerEncoderLayer(**layer, norm_first=True, activation="gelu")
    decoder = Decoder(**layer)
    return {
        "group_norm_old": Case(norm, images, False),
        "group_norm_new": Case(norm, images, True),
        "instance_norm_plain": Case(Scaled(), images, True),
        "layer_norm_plain_old": Case(plain, ((3, 8),), False),
        "layer_norm_plain_new": Case(plain, ((3, 8),), True),
        "bilinear": Case(Bilinear(), ((3, 7),), True),
        "max_pool_ceil": Case(pool, images, False),
        "average_pool_ceil": Case(mean, images, True),
        "attention": Case(Attention(False, False), steps, True, 1),
        "attention_of_one_row": Case(Attention(True, False), rows, False, 0, True),
        "attention_weights": Case(Attention(True, True), rows, False),
        "attention_weights_of_one_row": Case(Attention(False, True), steps, True, 1, True),
        "encoder": Case(encoder, rows, False),
        "encoder_of_one_row": Case(first, steps, True, 1, True),
        "decoder": Case(decoder, ((5, 3, 8), (4, 3, 8)), False, 1),
        "decoder_of_one_row": Case(decoder, ((5, 3, 8), (4, 3, 8)), True, 1, True),
    }


def export(case: Case, inputs: list[Any], path: Path) -> None:
    names = [f"x{k}" for k in range(len(inputs))]
    given = tuple(x.narrow(case.axis, 0, 1) if case.one else x for x in inputs)
    if case.new:
        case.module.eval()
        rows = torch.export.Dim("batch", min=1, max=4096)
        count = len(inspect.signature(case.module.forward).parameters)
        shapes = None if case.one else tuple({case.axis: rows} for _ in range(min(count, len(names))))
        torch.onnx.export(case.module, given, path, input_names=names, dynamic_shapes=shapes, external_data=False)
    else:
        case.module.train()  # it turns to inference itself
        axes = None if case.one else {n: {case.axis: "batch"} for n in names}
        torch.onnx.export(case.module, given, path, dynamo=False, input_names=names, dynamic_axes=axes)
    model = onnx.load(path)
    del model.graph.value_info[:], model.metadata_props[:], model.graph.metadata_props[:]
    for thing in [*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output]:
        thing.ClearField("metadata_props")
        thing.ClearField("doc_string")
    onnx.save(model, path)


def main() -> None:
    (FOLDER / "torch_modules").mkdir(exist_ok=True)
    arrays: dict[str, Any] = {}
    for name, case in cases().items():
        random = np.random.default_rng(0)
        inputs = [torch.tensor(random.standard_normal(shape).astype(np.float32)) for shape in case.shapes]
        weights = list(case.module.parameters())
        with torch.no_grad():
            for weight in weights:
                weight.add_(torch.tensor(0.1 * random.standard_normal(tuple(weight.shape)).astype(np.float32)))
        export(case, inputs, FOLDER / "torch_modules" / f"{name}.onnx")
        case.module.train()

        def output(case: Case = case, inputs: list[Any] = inputs) -> Any:
            found = case.module(*inputs)
            return found[0] if isinstance(found, tuple) else found

        found = output()
        r = random.standard_normal(tuple(found.shape)).astype(np.float32)
        kept = [w.detach().clone() for w in weights]
        for weight, slope in zip(weights, torch.autograd.grad((found * torch.tensor(r)).mean(), weights), strict=True):
            weight.data.sub_(RATE * slope)
        arrays |= {f"{name}/x{k}": x.numpy() for k, x in enumerate(inputs)}
        arrays |= {f"{name}/r": r, f"{name}/before": found.detach().numpy(), f"{name}/after": output().detach().numpy()}
        arrays[f"{name}/axis"] = np.array(case.axis)
        arrays[f"{name}/count"] = np.array(sum(w.numel() for w in weights))
        for weight, value in zip(weights, kept, strict=True):
            weight.data.copy_(value)
    save_file({n: np.ascontiguousarray(a) for n, a in arrays.items()}, FOLDER / "torch_modules.safetensors")


if __name__ == "__main__":
    main()
