"""The golden values of losses."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from cases_losses import LOSSES
from keras.src import backend
from keras.src.trainers.compile_utils import get_loss
from keras_models import (
    HERE,
    Section,
    exact,
    generator,
    plain,
    tensors,
)
from safetensors.numpy import load_file


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def draw_pair(rng: np.random.Generator, kind: str, shape: tuple[int, ...], extra: dict[str, Any]) -> list[np.ndarray]:
    """y_true and y_pred."""
    axis = extra.get("axis", -1)
    kind, _, logits = kind.partition("_")
    y_pred = rng.normal(size=shape)
    ids = np.argmax(rng.normal(size=shape), axis)
    onehot = np.moveaxis(np.eye(shape[axis])[ids], -1, axis)
    if kind == "real":
        y_true = exact(rng.normal(size=shape))
    elif kind == "positive":
        y_true, y_pred = rng.integers(0, 5, shape).astype(float), np.exp(y_pred)
    elif kind == "signs":
        y_true = rng.choice([-1.0, 1.0], shape)
    elif kind in ("partners", "alone"):
        y_true = np.arange(shape[0]) % 3 if kind == "partners" else np.array([0, 1, 0, 2, 3])
        y_pred = y_pred / np.linalg.norm(y_pred, axis=1, keepdims=True)
    elif kind == "groups":  # ids are any integers, more than the head has features
        y_true = np.array([-7, 40, 3, -7, 3, 40, 1000, 5, 1000])[: shape[0]]
        y_pred = y_pred / np.linalg.norm(y_pred, axis=1, keepdims=True)
    elif kind == "half":
        y_true, y_pred = rng.integers(0, 2, shape).astype(float), rng.choice([0.25, 0.5, 0.75], shape)
    elif kind == "binary":
        y_true = rng.integers(0, 2, shape).astype(float)
        y_pred = y_pred if logits else 1 / (1 + np.exp(-y_pred))
    elif kind == "ctc":
        y_true = rng.integers(1, shape[-1], (shape[0], 3))
        y_true[np.arange(3) >= np.arange(shape[0])[:, None] + 1] = 0
        y_true[-1, 1] = y_true[-1, 0]
    else:
        y_true = {"onehot": onehot, "soft": exact(softmax(rng.normal(size=shape), axis)), "ids": ids, "ties": ids}[kind]
        y_pred = y_pred if logits else softmax(y_pred, axis)
        y_pred = np.full(shape, 0.25) if kind == "ties" else y_pred
    if "ignored" in extra:
        y_true[::2] = extra["ignored"]
    if extra.get("column"):
        y_true = y_true[..., None]
    if extra.get("squeeze"):
        y_true = y_true[..., 0]
    return [y_true, exact(y_pred)]


def draw_mask(shape: tuple[int, ...]) -> np.ndarray:
    """Of the first two axes: row 0 whole, row 1 padded, row 2 with gaps."""
    mask = np.ones(shape[:2], bool)
    mask[1, -2:] = False
    mask[2:, ::2] = False
    return mask


def loss_of(config: str | dict[str, Any], **more: Any) -> Any:
    if isinstance(config, str):
        return get_loss(config, None, None)
    args = {k: tuple(v) if k == "axis" and isinstance(v, list) else v for k, v in config.items() if k != "type"}
    return getattr(keras.losses, config["type"])(**args, **more)


def section() -> Section:
    """Per case: y_true, y_pred, sample_weight and mask (where there are), loss, gradient of loss by y_pred.

    `values` are the losses before reduction, without weights and mask; with reduction none the gradient is of the sum.
    """
    section = Section("losses")
    for case, config, kind, shape, extra in LOSSES:
        rng = generator(case)
        y_true, y_pred = draw_pair(rng, kind, shape, extra)
        optional: dict[str, Any] = {}
        t = tensors({"y_pred": y_pred})["y_pred"]
        if extra.get("mask"):
            optional["mask"] = draw_mask(shape)
            backend.set_keras_mask(t, backend.convert_to_tensor(optional["mask"]))
        if weight := extra.get("weight"):
            size = shape[:1] if weight == "sample" else shape[:2]
            optional["sample_weight"] = exact(rng.uniform(0.2, 2, size))
        values = loss_of({**config, "reduction": "none"})(y_true, backend.convert_to_tensor(y_pred))
        loss = loss_of(config)(y_true, t, sample_weight=optional.get("sample_weight"))
        loss.sum().backward()
        section.add(
            case,
            {"loss": config},
            y_true=y_true,
            y_pred=y_pred,
            values=plain(values),
            loss=plain(loss),
            gradient=plain(t.grad),
            **optional,
        )
    return section


def check() -> None:
    """Values before reduction again on this backend."""
    failed = 0
    stored = load_file(HERE / "losses.safetensors")
    for case, config, kind, *_ in LOSSES:
        if kind.startswith("ids") and "axis" in config:
            continue  # JAX has the last axis only.
        t = backend.convert_to_tensor(stored[f"{case}/y_pred"])
        values = plain(loss_of({**config, "reduction": "none"})(stored[f"{case}/y_true"], t))
        if not np.allclose(values, stored[f"{case}/values"], rtol=1e-5, atol=1e-6):
            print(case, values, stored[f"{case}/values"])
            failed += 1
    print("differences:", failed)
