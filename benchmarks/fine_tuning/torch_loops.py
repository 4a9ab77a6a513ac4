"""PyTorch's usual loops over a network that onnx2torch has converted: frozen, frozen with kept features, all weights.

``python -m benchmarks.fine_tuning.torch_loops CASE LOOP SEED EPOCHS`` prints one JSON object. Needs torch, onnx2torch, onnx
and NumPy, not graphspec.
"""

# mypy: ignore-errors, because PyTorch need not be installed

from __future__ import annotations

import json
import sys
import time

import numpy as np
import onnx
import torch
from onnx import helper
from onnx2torch import convert
from torch import nn
from torch.nn import functional

from benchmarks.fine_tuning.cases import CASES, FOLDER, Case

LOOPS = ("frozen", "kept", "all", "all, batch statistics")


def backbone(case: Case) -> nn.Module:
    """The part of the file before its output; onnx2torch wants weights as initializers, and some files have Constants."""
    model = onnx.load(FOLDER / "pretrained" / case.file)
    graph = model.graph
    needed, nodes = {case.output}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            nodes.insert(0, node)
            needed.update(node.input)
    stored = [tensor for tensor in graph.initializer if tensor.name in needed]
    for node in (node for node in nodes if node.op_type == "Constant"):
        tensor = node.attribute[0].t
        tensor.name = node.output[0]
        stored.append(tensor)
    names = {tensor.name for tensor in stored}
    inputs = [value for value in graph.input if value.name in needed and value.name not in names]
    kept = helper.make_graph(
        [node for node in nodes if node.op_type != "Constant"],
        "part",
        inputs,
        [helper.make_tensor_value_info(case.output, onnx.TensorProto.FLOAT, None)],
        stored,
    )
    return convert(helper.make_model(kept, opset_imports=model.opset_import, ir_version=model.ir_version))


def pictures(case: Case, images: np.ndarray) -> torch.Tensor:
    """Three equal colours from -1 to 1, channels first, of the network's size."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    x = functional.interpolate(-x if case.inverted else x, case.size, mode="bilinear", align_corners=False)
    return x.expand(-1, 3, -1, -1)


class Head(nn.Module):
    def __init__(self, case: Case, width: int) -> None:
        super().__init__()
        self.norm, self.out = nn.BatchNorm1d(width, eps=1e-3), nn.Linear(width, case.classes)
        self.dropout = nn.Dropout(case.dropout)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.out(self.dropout(self.norm(features.flatten(1))))


def read(case: Case, part: str) -> tuple[np.ndarray, np.ndarray]:
    with np.load(FOLDER / f"{case.rows}_{part}.npz") as source:
        return source["image"], source[case.target].astype(np.int64)


def features(net: nn.Module, x: torch.Tensor, batch: int) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([net(part).flatten(1) for part in x.split(batch)])


def train(case: Case, loop: str, seed: int, epochs: int) -> dict[str, object]:
    """Seconds of one core and the mean loss of each epoch, and the accuracy on the test rows."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    (images, labels), (test, wanted) = read(case, "train"), read(case, "test")
    net = backbone(case).eval()
    width = features(net, pictures(case, images[:1]), 1).shape[1]
    head = Head(case, width)
    y = torch.from_numpy(labels)
    trains = loop.startswith("all")
    if not trains:
        net.requires_grad_(False)
    weights = [*head.parameters(), *(net.parameters() if trains else ())]
    optimizer = torch.optim.Adam(weights, case.rate, eps=1e-7)
    seconds, losses = [], []
    x: torch.Tensor | None = None
    for _ in range(epochs):
        start, total = time.process_time(), 0.0
        if x is None:
            x = pictures(case, images)
            x = features(net, x, case.batch) if loop == "kept" else x
        head.train()
        net.train(loop == "all, batch statistics")
        for rows in torch.randperm(len(x)).split(case.batch):
            batch = x[rows]
            if loop == "frozen":
                with torch.no_grad():
                    batch = net(batch)
            elif trains:
                batch = net(batch)
            loss = functional.cross_entropy(head(batch), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        seconds.append(time.process_time() - start)
        losses.append(total / len(x))
    net.eval()
    head.eval()
    with torch.no_grad():
        answers = head(features(net, pictures(case, test), case.batch)).argmax(1).numpy()
    return {
        "seconds": seconds,
        "losses": losses,
        "accuracy": float((answers == wanted).mean()),
        "weights": sum(w.numel() for w in weights),
        "version": torch.__version__,
    }


def main(name: str, loop: str, seed: str, epochs: str) -> None:
    if loop not in LOOPS:
        raise SystemExit(f"the loops are {', '.join(LOOPS)}")
    print(json.dumps(train(CASES[name], loop, int(seed), int(epochs))))


if __name__ == "__main__":
    main(*sys.argv[1:])
