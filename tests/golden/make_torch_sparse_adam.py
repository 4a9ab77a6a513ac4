"""Write the golden values of sparse embeddings, from PyTorch's SparseAdam in float64.

``pip install torch==2.13.0 numpy safetensors``, then ``python tests/golden/make_torch_sparse_adam.py``.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

HERE = Path(__file__).parent

# id, arguments of SparseAdam, looked-up ids by step; there are 7 rows of 3 columns
CASES: list[tuple[str, dict[str, float | list[float]], list[list[int]]]] = [
    ("defaults", {"eps": 1e-7}, [[1, 2], [2, 3], [0, 6], [2, 1]]),
    ("repeats", {"lr": 0.05, "eps": 1e-7}, [[4, 4, 4], [4, 0, 4, 0], [5], [0, 5, 0]]),
    ("betas", {"lr": 0.1, "betas": [0.5, 0.9], "eps": 1e-4}, [[3, 1], [0, 1, 2, 3, 4, 5, 6], [6, 6], [3], [1, 3]]),
    ("pauses", {"lr": 0.2, "betas": [0.0, 0.99], "eps": 1e-3}, [[2], [5], [5], [5], [2, 5], [], [2]]),
]


def main() -> None:
    """Per case: the first weights, the targets of the looked-up vectors, and weights and moments after each step.

    The loss is the sum of half the squared differences from the targets.
    """
    arrays, specs = {}, {}
    for seed, (case, arguments, steps) in enumerate(CASES):
        rng = np.random.default_rng(seed)
        start = rng.normal(size=(7, 3)).astype(np.float32).astype(np.float64)
        weight = torch.nn.Parameter(torch.tensor(start))
        optimizer = torch.optim.SparseAdam([weight], **arguments)  # type: ignore[arg-type]
        arrays[f"{case}/start"] = start
        for k, ids in enumerate(steps):
            target = rng.normal(size=(len(ids), 3)).astype(np.float32).astype(np.float64)
            optimizer.zero_grad()
            found = torch.nn.functional.embedding(torch.tensor(ids, dtype=torch.int64), weight, sparse=True)
            (0.5 * (found - torch.tensor(target)) ** 2).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            state = optimizer.state[weight]
            arrays[f"{case}/{k}/target"] = target
            arrays[f"{case}/{k}/weight"] = weight.detach().numpy().copy()
            arrays[f"{case}/{k}/momentum"] = state["exp_avg"].numpy().copy()
            arrays[f"{case}/{k}/velocity"] = state["exp_avg_sq"].numpy().copy()
        specs[case] = {"arguments": arguments, "steps": steps}
    save_file(arrays, HERE / "sparse_adam.safetensors", {"torch": torch.__version__})
    lines = ",\n".join(f"{json.dumps(case)}: {json.dumps(spec)}" for case, spec in specs.items())
    (HERE / "sparse_adam.json").write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
