"""Networks of `specs/architectures` beside their formulas in PyTorch: logits with the same random weights, in float64.

Run by hand, with PyTorch installed: `python tests/golden/same_as_torch.py [NAME …]`. Encoders are PyTorch's own layer;
Swin's windows, masks and index of positions are written as in torchvision, the Mixer as in its paper.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import TransformerEncoderLayer
from torch.nn import functional as f

import graphspec as gs

FOLDER = Path(__file__).resolve().parents[2] / "specs" / "architectures"
_PAIRS = [f"stage3_{k}/{name}" for k in (1, 2, 3) for name in ("plain", "shifted")]
SWIN = (
    (["stage1/plain", "stage1/shifted"], 3),
    (["stage2/plain", "stage2/shifted"], 6),
    (_PAIRS, 12),
    (["stage4_1", "stage4_2"], 24),
)
"""Blocks and heads of Swin-T's stages."""


class Weights(dict[str, Tensor]):
    """A model's weights by name, and the layers that use them."""

    def dense(self, name: str, x: Tensor) -> Tensor:
        y = x @ self[f"{name}/kernel"]
        return y + self[f"{name}/bias"] if f"{name}/bias" in self else y

    def norm(self, name: str, x: Tensor, epsilon: float = 1e-6) -> Tensor:
        return f.layer_norm(x, x.shape[-1:], self[f"{name}/gamma"], self[f"{name}/beta"], epsilon)

    def stem(self, image: Tensor, size: int) -> Tensor:
        """Patches of ``size`` pixels: (batch, height, width, channels)."""
        kernel = self["stem/kernel"].permute(3, 2, 0, 1)
        return f.conv2d(image.permute(0, 3, 1, 2), kernel, self["stem/bias"], stride=size).permute(0, 2, 3, 1)


def mlp_mixer(w: Weights, image: Tensor) -> Tensor:
    x = w.stem(image, 16).flatten(1, 2)
    for k in range(1, 13):
        p = f"mixer_{k}"
        y = f.gelu(w.dense(f"{p}/token_widen", w.norm(f"{p}/norm1", x).mT), approximate="tanh")
        x = x + w.dense(f"{p}/token_narrow", y).mT
        y = f.gelu(w.dense(f"{p}/widen", w.norm(f"{p}/norm2", x)), approximate="tanh")
        x = x + w.dense(f"{p}/narrow", y)
    return w.dense("object", w.norm("norm", x).mean(1))


def vit_b16(w: Weights, image: Tensor) -> Tensor:
    x = w.stem(image, 16).flatten(1, 2)
    x = torch.cat([w["tokens/token"].reshape(1, 1, -1).expand(len(x), -1, -1), x], 1) + w["placed/embeddings"]
    for k in range(1, 13):
        p, size = f"encoder_{k}", x.shape[-1]
        parts = [f"{p}/attend/{role}" for role in ("query", "key", "value")]
        layer = TransformerEncoderLayer(size, 12, 4 * size, 0.0, "gelu", 1e-6, True, True, dtype=torch.float64).eval()
        layer.load_state_dict(
            {
                "self_attn.in_proj_weight": torch.cat([w[f"{part}/kernel"].reshape(size, size).T for part in parts]),
                "self_attn.in_proj_bias": torch.cat([w[f"{part}/bias"].flatten() for part in parts]),
                "self_attn.out_proj.weight": w[f"{p}/attend/attention_output/kernel"].reshape(size, size).T,
                "self_attn.out_proj.bias": w[f"{p}/attend/attention_output/bias"],
                "linear1.weight": w[f"{p}/widen/kernel"].T,
                "linear1.bias": w[f"{p}/widen/bias"],
                "linear2.weight": w[f"{p}/narrow/kernel"].T,
                "linear2.bias": w[f"{p}/narrow/bias"],
                **{f"norm{i}.weight": w[f"{p}/norm{i}/gamma"] for i in (1, 2)},
                **{f"norm{i}.bias": w[f"{p}/norm{i}/beta"] for i in (1, 2)},
            }
        )
        x = layer(x)
    return w.dense("object", w.norm("norm", x)[:, 0])


def windows_attend(w: Weights, name: str, x: Tensor, heads: int, shift: int, size: int = 7) -> Tensor:
    """Attention among the places of each window, as in torchvision; (batch, side, side, channels)."""
    batch, side, _, channels = x.shape
    count, places = (side // size) ** 2, size * size
    x = torch.roll(x, (-shift, -shift), (1, 2))
    x = x.view(batch, side // size, size, side // size, size, channels).permute(0, 1, 3, 2, 4, 5)
    x = x.reshape(batch * count, places, channels)
    q, k, v = (
        w.dense(f"{name}/{role}", x).view(-1, places, heads, channels // heads).transpose(1, 2)
        for role in ("query", "key", "value")
    )
    at = torch.stack(torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")).flatten(1)
    apart = (at[:, :, None] - at[:, None, :]).permute(1, 2, 0) + size - 1
    bias = w[f"{name}/near/embeddings"][apart[..., 0] * (2 * size - 1) + apart[..., 1]].permute(2, 0, 1)
    scores = (q * (channels // heads) ** -0.5) @ k.mT + bias
    if shift:
        region, number, cuts = torch.zeros(side, side), 0, ((0, -size), (-size, -shift), (-shift, None))
        for a, b in cuts:
            for c, d in cuts:
                region[a:b, c:d] = number
                number += 1
        region = region.view(side // size, size, side // size, size).permute(0, 2, 1, 3).reshape(count, places)
        mask = torch.where(region[:, None, :] == region[:, :, None], 0.0, -100.0)
        scores = (scores.view(batch, count, heads, places, places) + mask[:, None]).flatten(0, 1)
    y = w.dense(f"{name}/project", (scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, places, channels))
    y = y.view(batch, side // size, side // size, size, size, channels).permute(0, 1, 3, 2, 4, 5)
    return torch.roll(y.reshape(batch, side, side, channels), (shift, shift), (1, 2))


def swin_t(w: Weights, image: Tensor) -> Tensor:
    x = w.norm("stem_norm", w.stem(image, 4), 1e-5)
    for stage, (blocks, heads) in enumerate(SWIN, 1):
        if stage > 1:  # torchvision takes the four places column by column
            x = torch.cat([x[:, a::2, b::2] for a in (0, 1) for b in (0, 1)], -1)
            x = w.dense(f"merge{stage}/reduce", w.norm(f"merge{stage}/norm", x, 1e-5))
        for k, p in enumerate(blocks):
            shift = 3 if k % 2 and x.shape[1] > 7 else 0
            x = x + windows_attend(w, f"{p}/attend", w.norm(f"{p}/norm", x, 1e-5), heads, shift)
            y = f.gelu(w.dense(f"{p}/feed/widen", w.norm(f"{p}/feed/norm", x, 1e-5)))
            x = x + w.dense(f"{p}/feed/narrow", y)
    return w.dense("object", w.norm("norm", x, 1e-5).mean((1, 2)))


NETWORKS = {"mlp_mixer": mlp_mixer, "swin_t": swin_t, "vit_b16": vit_b16}


def drawn(name: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    role = name.rpartition("/")[2]
    if role == "gamma":
        return random.uniform(0.5, 1.5, shape)
    inputs = shape[:-2] if "/query/" in name or "/key/" in name or "/value/" in name else shape[:-1]
    return random.normal(0, np.prod(inputs or shape[:-1]) ** -0.5 if role == "kernel" else 0.3, shape)


def compared(name: str) -> str:
    """A line: the parameters, and the largest difference in standard deviations of the logits."""
    model = gs.compile(str(FOLDER / f"{name}.yaml"), ["layers.object.activation=linear"])
    random = np.random.default_rng(0)
    weights = {key: drawn(key, value.shape, random).astype(np.float32) for key, value in model.weights.items()}
    model.set_weights(weights)
    image = random.normal(size=(2, 224, 224, 3)).astype(np.float32)
    exact = Weights({key: torch.tensor(value).double() for key, value in weights.items()})
    with torch.no_grad():
        expected = NETWORKS[name](exact, torch.tensor(image).double())
    difference = np.abs(expected.numpy() - model.predict(image)).max() / expected.std().item()
    return f"{name:16} {sum(v.size for v in weights.values()):12,} {difference:.1e}"


if __name__ == "__main__":
    for name in sys.argv[1:] or NETWORKS:
        print(compared(name), flush=True)
