"""Modules of PyTorch in ONNX files, by both exporters, and what one step of SGD does to them.

``pip install torch==2.13.0 onnx onnxscript numpy safetensors``, then ``python tests/golden/make_torch_modules.py``.
It writes ``torch_modules/<name>.onnx`` and ``torch_modules.safetensors``: per name the inputs ``<name>/x0``, …, the
cotangent ``<name>/r`` of the first output, and that output ``before`` and ``after`` a step of all weights on
``mean(output · r)``; ``count`` is the number of their elements. The files of one module share them, by its name alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
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


class Causal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.three, self.out = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: Any) -> Any:
        heads = [t.reshape(x.shape[0], 5, 2, 4).transpose(1, 2) for t in self.three(x).chunk(3, -1)]
        y = nn.functional.scaled_dot_product_attention(*heads, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(x.shape[0], 5, 8))


class First(nn.Module):
    """The first output of a module."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Any) -> Any:
        return self.module(x)[0]


class Case(NamedTuple):
    """A module and its file: the shapes of inputs, their batch axis, the exporter, and whether one row is fixed in it.

    ``inference``: the step is made in this mode, by moving statistics. ``ids``: the inputs are integers from 1 to 5.
    """

    module: Any
    shapes: tuple[tuple[int, ...], ...]
    new: bool
    axis: int = 0
    one: bool = False
    inference: bool = False
    ids: bool = False
    options: Mapping[str, Any] = MappingProxyType({})  # of the exporter


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


def by_both_exporters() -> dict[str, Case]:
    """Return modules as both exporters write them; each pair has the same weights."""
    torch.manual_seed(1)
    images, series, steps, rows, vectors = ((3, 2, 6, 6),), ((3, 2, 9),), ((5, 3, 8),), ((3, 5, 8),), ((3, 8),)
    layer = {"d_model": 8, "nhead": 2, "dim_feedforward": 12, "dropout": 0.0}

    def up(**options: Any) -> Any:
        return nn.Sequential(nn.Conv2d(2, 3, 3), nn.Upsample(scale_factor=2, **options))

    def between(module: Any) -> Any:
        return nn.Sequential(nn.Linear(8, 6), module, nn.Linear(6, 2))

    norm = nn.utils.parametrizations.weight_norm
    modules: dict[str, tuple[Any, ...]] = {
        "lstm": (First(nn.LSTM(8, 3, batch_first=True)), rows),
        "lstm_of_two_ways": (First(nn.LSTM(8, 3, 2, bidirectional=True)), steps, 1),
        "gru": (First(nn.GRU(8, 3)), steps, 1),
        "rnn": (First(nn.RNN(8, 3, batch_first=True)), rows),
        "lstm_cell": (First(nn.LSTMCell(8, 3)), vectors),
        "gru_cell": (nn.GRUCell(8, 3), vectors),
        "causal": (Causal(), rows),
        "attention_steps": (Attention(False, False), steps, 1),
        "attention_rows": (Attention(True, False), rows),
        "encoder_steps": (nn.TransformerEncoder(nn.TransformerEncoderLayer(**layer), 1), steps, 1),
        "conv_groups": (nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.Hardswish()), images),
        "conv_transpose": (nn.Sequential(nn.ConvTranspose2d(2, 3, 3, 2, 1, 1), nn.Tanh()), images),
        "conv_dilated": (nn.Sequential(nn.Conv1d(2, 3, 3, dilation=2, padding="same"), nn.SiLU()), series),
        "conv_of_volumes": (nn.Sequential(nn.Conv3d(1, 2, 2), nn.ELU()), ((3, 1, 4, 4, 4),)),
        "one_output": (nn.Sequential(nn.Linear(8, 1), nn.Softplus()), rows),
        "pixel_shuffle": (nn.Sequential(nn.Conv2d(2, 4, 3), nn.PixelShuffle(2)), images),
        "prelu": (nn.Sequential(nn.Conv2d(2, 3, 3), nn.PReLU(3)), images),
        "max_pool": (nn.Sequential(nn.Conv2d(2, 3, 3), nn.MaxPool2d(3, 2, 1, ceil_mode=True)), images),
        "up_nearest": (up(), images),
        "up_bilinear": (up(mode="bilinear"), images),
        "up_corners": (up(mode="bilinear", align_corners=True), images),
        "up_bicubic": (up(mode="bicubic"), images),
        "layer_norm": (between(nn.LayerNorm(6)), vectors),
        "instance_norm": (nn.Sequential(nn.Conv2d(2, 3, 3), nn.InstanceNorm2d(3, affine=True), nn.Mish()), images),
        "gelu": (between(nn.GELU()), vectors),
        "glu": (nn.Sequential(nn.Linear(8, 6), nn.GLU(), nn.Softmax(-1)), vectors),
        "embedding": (nn.Sequential(nn.Embedding(6, 4, padding_idx=0), nn.Linear(4, 2)), ((3, 5),)),
        "weight_norm": (nn.Sequential(norm(nn.Linear(8, 6)), nn.ReLU(), norm(nn.Linear(6, 1))), vectors),
        "batch_norm": (nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU()), images),
    }
    folded = ("weight_norm", "batch_norm")  # but for what these options say
    decoder = Decoder(**layer, batch_first=True)
    found = {
        "rms_norm_new": Case(between(nn.RMSNorm(6)), vectors, True),
        "decoder_rows_new": Case(decoder, ((3, 5, 8), (3, 4, 8)), True),
    }
    for name, (module, shapes, *axis) in modules.items():
        more: dict[str, Any] = {
            "axis": axis[0] if axis else 0,
            "inference": name == "batch_norm",
            "ids": name == "embedding",
        }
        whole = {"optimize": False} if name in folded else {}
        keeping = {"training": torch.onnx.TrainingMode.PRESERVE} if name == "batch_norm" else {}
        found[f"{name}_new"] = Case(module, shapes, True, **more, options=whole)
        found[f"{name}_old"] = Case(module, shapes, False, **more, options=keeping)
        if name in folded:
            found[f"{name}_folded"] = Case(module, shapes, True, **more)
    return found


def export(case: Case, inputs: list[Any], path: Path) -> None:
    names = [f"x{k}" for k in range(len(inputs))]
    given = tuple(x.narrow(case.axis, 0, 1) if case.one else x for x in inputs)
    if case.new:
        case.module.eval()
        rows = torch.export.Dim("batch", min=1, max=4096)
        count = len(inspect.signature(case.module.forward).parameters)
        shapes = None if case.one else tuple({case.axis: rows} for _ in range(min(count, len(names))))
        more = {"dynamic_shapes": shapes, "external_data": False} | case.options
        torch.onnx.export(case.module, given, path, input_names=names, **more)
    else:
        case.module.train(not case.inference)  # it turns to inference itself
        axes = None if case.one else {n: {case.axis: "batch"} for n in names}
        more = {"dynamic_axes": axes} | case.options
        torch.onnx.export(case.module, given, path, dynamo=False, input_names=names, **more)
    model = onnx.load(path)
    del model.graph.value_info[:], model.metadata_props[:], model.graph.metadata_props[:]
    for thing in [*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output]:
        thing.ClearField("metadata_props")
        thing.ClearField("doc_string")
    onnx.save(model, path)


def main() -> None:
    (FOLDER / "torch_modules").mkdir(exist_ok=True)
    arrays: dict[str, Any] = {}
    alone = cases()
    for name, case in (alone | by_both_exporters()).items():
        random = np.random.default_rng(0)
        drawn = [
            random.integers(1, 6, s) if case.ids else random.standard_normal(s).astype(np.float32) for s in case.shapes
        ]
        inputs = [torch.tensor(array) for array in drawn]
        weights = list(case.module.parameters())
        with torch.no_grad():
            for weight in weights:
                noise = torch.tensor(0.1 * random.standard_normal(tuple(weight.shape)).astype(np.float32))
                if name in alone or name.endswith("_new"):  # the other files have the same weights
                    weight.add_(noise)
        export(case, inputs, FOLDER / "torch_modules" / f"{name}.onnx")
        case.module.train(not case.inference)

        def output(case: Case = case, inputs: list[Any] = inputs) -> Any:
            found = case.module(*inputs)
            return found[0] if isinstance(found, tuple) else found

        found = output()
        r = random.standard_normal(tuple(found.shape)).astype(np.float32)
        kept = [w.detach().clone() for w in weights]
        for weight, slope in zip(weights, torch.autograd.grad((found * torch.tensor(r)).mean(), weights), strict=True):
            weight.data.sub_(RATE * slope)
        if name not in alone:
            name = name.rpartition("_")[0]  # the same for both exporters
        arrays |= {f"{name}/x{k}": x.numpy() for k, x in enumerate(inputs)}
        arrays |= {f"{name}/r": r, f"{name}/before": found.detach().numpy(), f"{name}/after": output().detach().numpy()}
        arrays[f"{name}/axis"] = np.array(case.axis)
        arrays[f"{name}/count"] = np.array(sum(w.numel() for w in weights))
        for weight, value in zip(weights, kept, strict=True):
            weight.data.copy_(value)
    save_file({n: np.ascontiguousarray(a) for n, a in arrays.items()}, FOLDER / "torch_modules.safetensors")


if __name__ == "__main__":
    main()
