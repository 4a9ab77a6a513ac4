"""Write the golden values of connectionist temporal classification, from PyTorch in float64.

``pip install torch==2.13.0 numpy safetensors``, then ``python tests/golden/make_torch_ctc.py``. The blank is class 0.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

HERE = Path(__file__).parent

# id, classes, steps T, targets, input lengths (T where None), scale of the logits
CASES: list[tuple[str, int, int, list[list[int]], list[int] | None, float]] = [
    ("plain", 4, 6, [[1, 2, 3], [3, 1, 2]], None, 1.0),
    ("one_label", 3, 5, [[1], [2]], None, 1.0),
    ("repeats", 4, 8, [[1, 1, 2], [2, 2, 2], [3, 1, 3]], None, 1.0),
    ("repeats_exact", 3, 5, [[1, 1, 1], [1, 1, 2], [2, 1, 2]], None, 1.0),
    ("empty", 3, 4, [[], [1], [1, 2]], None, 1.0),
    ("all_empty", 3, 4, [[], []], None, 1.0),
    ("exact", 4, 3, [[1, 2, 3], [3, 2, 1]], None, 1.0),
    ("too_long", 4, 4, [[1, 2, 3, 1, 2], [1, 2], [2, 2, 2]], None, 1.0),
    ("too_long_by_length", 4, 6, [[1, 2, 3], [1, 1], [2]], [2, 2, 1], 1.0),
    ("one_step", 3, 1, [[1], [2], []], None, 1.0),
    ("one_step_too_long", 3, 1, [[1, 2], [1]], None, 1.0),
    ("lengths", 5, 7, [[1, 2], [4, 4, 3], [2], [3, 1, 3, 1]], [5, 7, 1, 4], 1.0),
    ("zero_length", 3, 4, [[1], []], [4, 0], 1.0),
    ("sharp", 4, 8, [[1, 2, 2], [3, 3, 1]], [8, 6], 25.0),
    ("flat", 6, 9, [[1, 2, 3, 4, 5], [5, 5, 5]], None, 0.0),
    ("long", 6, 40, [[1, 1, 2, 3, 3, 3, 4, 5, 1, 2], [5] * 12, [2]], [40, 35, 40], 3.0),
]


def main() -> None:
    """Per case: logits (T, N, C), targets padded with 0, both lengths, loss = −log p by sample, gradient of its sum.

    A target that cannot fit has an infinite loss; its rows of the gradient are stored as 0 and mean nothing.
    """
    arrays, specs = {}, {}
    for seed, (case, classes, steps, targets, lengths, scale) in enumerate(CASES):
        rng = np.random.default_rng(seed)
        logits = (scale * rng.normal(size=(steps, len(targets), classes))).astype(np.float32).astype(np.float64)
        target_lengths = np.array([len(t) for t in targets])
        padded = np.zeros((len(targets), max(1, target_lengths.max())), np.int64)
        for row, target in zip(padded, targets, strict=True):
            row[: len(target)] = target
        input_lengths = np.array(lengths or [steps] * len(targets))
        x = torch.tensor(logits, requires_grad=True)
        loss = torch.nn.functional.ctc_loss(
            x.log_softmax(-1),
            torch.tensor(padded),
            torch.tensor(input_lengths),
            torch.tensor(target_lengths),
            reduction="none",
        )
        finite = torch.isfinite(loss)
        if finite.any():
            loss[finite].sum().backward()
        gradient = np.zeros_like(logits) if x.grad is None else x.grad.numpy() * finite.numpy()[None, :, None]
        check(logits, targets, input_lengths, loss.detach().numpy())
        for name, array in {
            "logits": logits.astype(np.float32),
            "targets": padded,
            "input_lengths": input_lengths,
            "target_lengths": target_lengths,
            "loss": loss.detach().numpy().astype(np.float32),
            "gradient": np.nan_to_num(gradient).astype(np.float32),
        }.items():
            arrays[f"{case}/{name}"] = np.ascontiguousarray(array)
        specs[case] = {"classes": classes, "steps": steps}
    save_file(arrays, HERE / "ctc.safetensors")
    (HERE / "ctc.safetensors").chmod(0o644)
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in specs.items())
    (HERE / "ctc.json").write_text("{\n" + lines + "\n}\n")
    print("ctc", len(specs), "cases")


def check(logits: np.ndarray, targets: list[list[int]], lengths: np.ndarray, losses: np.ndarray) -> None:
    """Against the sum over every path, where there are few."""
    steps, _, classes = logits.shape
    if classes**steps > 5000:
        return
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    for n, target in enumerate(targets):
        total = 0.0
        for path in np.ndindex(*[classes] * lengths[n]):
            collapsed = [k for i, k in enumerate(path) if k and (i == 0 or path[i - 1] != k)]
            if collapsed == target:
                total += float(np.prod([p[t, n, k] for t, k in enumerate(path)]))
        expected = -np.log(total) if total else np.inf
        np.testing.assert_allclose(losses[n], expected, rtol=1e-9)


if __name__ == "__main__":
    main()
