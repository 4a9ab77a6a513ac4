"""The golden cases of pooling, normalization, encodings, losses of probabilities and blocks of pixels as operations."""

from __future__ import annotations

from typing import Any

from cases import Case
from cases_ops import INT, op

FIRST = {"data_format": "channels_first"}


def layer_cases() -> list[Case]:
    cases = []
    for name in ("max_pool", "average_pool"):
        cases += [
            op(name, "time", [6, 2], pool_size=2),
            op(name, "image", [5, 6, 2], pool_size=[2, 3], strides=1, padding="same"),
            op(name, "first", [2, 5, 6], pool_size=2, strides=[2, 1], **FIRST),
        ]
    for name in ("adaptive_max_pool", "adaptive_average_pool"):
        cases += [op(name, "time", [6, 2], output_size=[3]), op(name, "image", [5, 6, 2], output_size=[2, 4])]
    for name, args in (("moments", "axes"), ("layer_normalization", "axis")):
        cases += [op(name, "last", [3, 4], **{args: [-1]}), op(name, "more", [3, 4], **{args: [1, 2]})]
    cases += [
        op("moments", "kept", [3, 4], axes=[1], keepdims=True),
        op("layer_normalization", "scaled", [3, 4], (0.5, 1.0, 2.0, -1.0), (0.1, 0.2, 0.3, 0.4), epsilon=0.01),
        op("rms_normalization", "plain", [3, 4]),
        op("rms_normalization", "scaled", [4], (0.5, 1.0, 2.0, -1.0), epsilon=0.01),
        op("batch_normalization", "plain", [2, 3], (0.1, 0.2, 0.3), (1.0, 2.0, 0.5), axis=-1),
        op("batch_normalization", "all", [2, 3], (0.1, 0.2), (1.0, 2.0), (0.5, -0.5), (2.0, 3.0), axis=1, epsilon=0.1),
    ]
    for order in (1, 2, 3):
        cases.append(op("normalize", str(order), [3, 4], order=order, axis=1 if order == 2 else -1))
    ids: dict[str, Any] = {"shape": [3], "between": (-1, 4), **INT}
    cases += [
        op("one_hot", "last", ids, num_classes=5),
        op("one_hot", "axis", ids, num_classes=4, axis=1),
        op("multi_hot", "ids", {**ids, "between": (0, 3)}, num_classes=4),
        op("multi_hot", "more", {**ids, "shape": [2], "between": (0, 3)}, num_classes=6),
    ]
    shares: dict[str, Any] = {"shape": [2, 3], "between": (0.1, 0.9)}
    for logits in (False, True):
        given = {"from_logits": logits}
        cases += [
            op("binary_crossentropy", str(logits), shares, shares, **given),
            op("categorical_crossentropy", str(logits), shares, shares, **given),
            op(
                "sparse_categorical_crossentropy",
                str(logits),
                {"shape": [2], "between": (0, 2), **INT},
                shares,
                **given,
            ),
        ]
    return [
        *cases,
        op("depth_to_space", "last", [2, 3, 8], block_size=2),
        op("depth_to_space", "first", [8, 2, 3], block_size=2, **FIRST),
        op("space_to_depth", "last", [4, 6, 2], block_size=2),
        op("space_to_depth", "first", [2, 4, 6], block_size=2, **FIRST),
    ]
