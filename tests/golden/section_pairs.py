"""The values of losses over pairs and triplets, computed by PyTorch: Keras has none of them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from keras_models import Section, exact, generator, plain

CASES: list[tuple[str, dict[str, Any], int, bool]] = [  # id, loss, number of vectors, whether rows have weights
    ("cosine", {"type": "cosine"}, 2, False),
    ("cosine-weights", {"type": "cosine", "reduction": "sum"}, 2, True),
    ("contrastive", {"type": "contrastive"}, 2, False),
    ("contrastive-cosine", {"type": "contrastive", "distance": "cosine", "margin": 0.7}, 2, True),
    ("triplet", {"type": "triplet"}, 3, False),
    ("triplet-squared", {"type": "triplet", "distance": "squared_euclidean", "margin": 2.0}, 3, True),
    ("triplet-cosine", {"type": "triplet", "distance": "cosine", "margin": 0.3}, 3, False),
    ("info_nce", {"type": "info_nce"}, 2, False),
    ("info_nce-weights", {"type": "info_nce", "temperature": 0.5}, 2, True),
    ("clip", {"type": "clip"}, 2, False),
    ("clip-weights", {"type": "clip", "temperature": 0.3}, 2, True),
    ("clip-learnt", {"type": "clip"}, 2, True),
]


def distance(a: Any, b: Any, kind: str) -> Any:
    if kind == "cosine":
        return 1 - F.cosine_similarity(a, b)
    return F.pairwise_distance(a, b) if kind == "euclidean" else ((a - b) ** 2).sum(1)


def cosine(a: Any, b: Any, **_: Any) -> Any:
    return F.cosine_embedding_loss(a, b, torch.ones(len(a)), reduction="none")


def contrastive(a: Any, b: Any, *, y: Any, margin: float = 1.0, distance: str = "euclidean", **_: Any) -> Any:
    d = globals()["distance"](a, b, distance)
    return 0.5 * (y * d**2 + (1 - y) * F.relu(margin - d) ** 2)


def triplet(a: Any, p: Any, n: Any, *, margin: float = 1.0, distance: str = "euclidean", **_: Any) -> Any:
    of = lambda x, y: globals()["distance"](x, y, distance)  # noqa: E731
    if distance == "euclidean":
        return F.triplet_margin_loss(a, p, n, margin=margin, reduction="none")
    return F.triplet_margin_with_distance_loss(a, p, n, distance_function=of, margin=margin, reduction="none")


def info_nce(a: Any, b: Any, *, temperature: float = 0.1, **_: Any) -> Any:
    """NT-Xent as in the code of SimCLR: 2 N views, each to find its partner among the other 2 N − 1."""
    n, z = len(a), F.normalize(torch.cat([a, b]), dim=1)
    logits = (z @ z.T / temperature).masked_fill(torch.eye(2 * n, dtype=torch.bool), float("-inf"))
    partner = torch.cat([torch.arange(n) + n, torch.arange(n)])
    return F.cross_entropy(logits, partner, reduction="none").reshape(2, n).mean(0)


def clip(a: Any, b: Any, *, temperature: float = 0.07, scale: Any = None, **_: Any) -> Any:
    logits = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T
    logits = logits / temperature if scale is None else logits * scale.exp()
    own = torch.arange(len(a))
    return (F.cross_entropy(logits, own, reduction="none") + F.cross_entropy(logits.T, own, reduction="none")) / 2


def section() -> Section:
    """Per case: the vectors, y_true and sample_weight where there are, values, loss, and gradients of the loss."""
    section = Section("pairs")
    for case, config, count, weighted in CASES:
        rng, kind = generator(case), config["type"]
        arrays = {f"x{k}": exact(rng.normal(size=(7, 4))) for k in range(count)}
        if kind == "contrastive":
            arrays["y_true"] = exact(rng.integers(0, 2, 7))
        if case == "clip-learnt":
            arrays["x2"] = exact(rng.normal(size=()) + 2)
        tensors = {name: torch.tensor(array, dtype=torch.float64, requires_grad=True) for name, array in arrays.items()}
        args = {key: value for key, value in config.items() if key not in ("type", "reduction")}
        args |= {"y": tensors.get("y_true"), "scale": tensors["x2"] if case == "clip-learnt" else None}
        values = globals()[kind](*(tensors[f"x{k}"] for k in range(count)), **args)
        if weighted:
            arrays["sample_weight"] = exact(rng.uniform(0.2, 2, 7))
        loss = (values * torch.tensor(arrays.get("sample_weight", 1.0))).sum()
        loss = loss if config.get("reduction") == "sum" else loss / 7
        loss.backward()
        gradients = {f"gradient{k}": plain(t.grad) for name, t in tensors.items() if (k := name[1:]).isdigit()}
        section.add(case, {"loss": config}, **arrays, values=plain(values), loss=plain(loss), **gradients)
    return section
