"""Write ``linear.safetensors``: rows, targets, and what scikit-learn's ``Ridge()`` and ``LogisticRegression()`` answer.

It needs scikit-learn, which the tests do not: ``python tests/golden/make_linear.py``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression, Ridge

CASES = {"numbers": 0, "two": 2, "three": 3, "apart": 4}
"""The number of classes; the classes of ``apart`` can be separated."""


def main() -> None:
    found = {}
    for seed, (name, classes) in enumerate(CASES.items()):
        rng = np.random.default_rng(seed)
        x, asked = rng.normal(size=(150, 6)), rng.normal(size=(20, 6))
        x[:, 0] = asked[:, 0] = 0.5  # a constant
        scores = x @ rng.normal(size=(6, classes or 2)) + (0 if name == "apart" else 1) * rng.normal(
            size=(150, classes or 2)
        )
        y = scores.argmax(1) if classes else scores + 100
        if classes:
            answers = LogisticRegression(tol=1e-10, max_iter=10_000).fit(x, y).predict_proba(asked)
        else:
            answers = Ridge().fit(x, y).predict(asked)
        found |= {f"{name}/{key}": a for key, a in (("x", x), ("y", y), ("asked", asked), ("answers", answers))}
    save_file({key: np.ascontiguousarray(a) for key, a in found.items()}, Path(__file__).parent / "linear.safetensors")


if __name__ == "__main__":
    main()
