"""Write ``torch_weights.safetensors``: PyTorch's weights, inputs and outputs of the cases in ``cases_torch_weights.py``.

In an environment with PyTorch: ``python tests/golden/make_torch_weights.py``. Names are ``<case>/state/<name>``,
``<case>/x`` and ``<case>/y``, channels last.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import torch
from cases_torch_weights import CASES
from safetensors.numpy import save_file
from torch import nn

HERE = Path(__file__).parent


class Channels(nn.Module):
    """A layer over the last axis of (batch, channels, time)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.movedim(1, -1)).movedim(-1, 1)


class Images(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(4, 6, (3, 2), groups=2),
            nn.BatchNorm2d(6),
            nn.Conv2d(6, 12, 2, groups=6),
            nn.GroupNorm(3, 12),
            nn.ConvTranspose2d(12, 4, 3, stride=2),
            nn.Conv2d(4, 4, 2, groups=4, bias=False),
            nn.Conv2d(4, 3, 1),
            nn.Conv2d(3, 2, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class Lines(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm, self.y = nn.Conv1d(3, 4, 3, dilation=2), nn.LayerNorm(4), nn.ConvTranspose1d(4, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.y(self.norm(self.a(x).movedim(1, -1)).movedim(-1, 1))


class Volumes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.y = nn.Conv3d(2, 3, 2), nn.ConvTranspose3d(3, 2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.y(self.a(x))


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.fc = nn.LSTM(3, 2, num_layers=2, bidirectional=True, batch_first=True), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.rnn(x)[0])


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru, self.rnn = nn.GRU(3, 3, batch_first=True), nn.RNN(3, 2, batch_first=True)
        self.stack = nn.LSTM(2, 2, num_layers=2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.stack(self.rnn(self.gru(x)[0])[0])[0]


class SelfAttention(nn.Module):
    """Attention as BERT has it: a Linear each for query, key and value."""

    def __init__(self) -> None:
        super().__init__()
        self.self = nn.ModuleDict({name: nn.Linear(6, 6) for name in ("query", "key", "value")})
        self.output, self.norm = nn.Linear(6, 6), nn.LayerNorm(6, eps=1e-12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = {name: f(x).unflatten(-1, (2, 3)).transpose(1, 2) for name, f in self.self.items()}
        mixed = nn.functional.scaled_dot_product_attention(parts["query"], parts["key"], parts["value"])
        return self.norm(x + self.output(mixed.transpose(1, 2).flatten(2)))


class Text(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        embeddings = nn.ModuleDict({"word_embeddings": nn.Embedding(9, 6), "position": nn.Embedding(5, 6)})
        encoder = nn.ModuleList([SelfAttention(), SelfAttention()])
        self.bert = nn.ModuleDict({"embeddings": embeddings, "encoder": encoder})
        attend = nn.MultiheadAttention(6, 3, batch_first=True)
        self.head = nn.ModuleDict({"attend": attend, "y": nn.Linear(6, 2)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = self.bert["embeddings"]
        x = parts["word_embeddings"](x) + parts["position"](torch.arange(5))
        for layer in self.bert["encoder"]:
            x = layer(x)
        return self.head["y"](self.head["attend"](x, x, x)[0])


class Across(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Linear(6, 4, bias=False)
        self.y = nn.MultiheadAttention(6, 2, kdim=4, vdim=4, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        other = self.narrow(x)
        return self.y(x, other, other)[0]


MODULES: dict[str, Any] = {
    "linear": lambda: nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.PReLU(4), nn.Linear(4, 3, bias=False)),
    "images": Images,
    "lines": Lines,
    "volumes": Volumes,
    "lstm": Tagger,
    "gru": Recurrent,
    "text": Text,
    "across": Across,
}


def arrays() -> dict[str, Any]:
    """The content of the file."""
    found = {}
    for name, case in CASES.items():
        torch.manual_seed(zlib.crc32(name.encode()))
        module = MODULES[name]().eval()
        for weight in module.state_dict().values():  # also what PyTorch begins with ones and zeros
            if weight.is_floating_point():
                weight.copy_(torch.rand_like(weight) - 0.4 if weight.ndim > 1 else torch.rand_like(weight) + 0.2)
        shape = (2, *[n or 4 for n in case.shape])
        x = torch.randint(0, 9, shape) if case.dtype == "int64" else torch.randn(shape)
        first = case.channels == "first"
        with torch.no_grad():
            y = module(x.movedim(-1, 1) if first else x)
        found |= {f"{name}/state/{key}": value.numpy() for key, value in module.state_dict().items()}
        found |= {f"{name}/x": x.numpy(), f"{name}/y": (y.movedim(1, -1) if first else y).contiguous().numpy()}
    return found


if __name__ == "__main__":
    save_file(arrays(), HERE / "torch_weights.safetensors")
