"""Entries of the operators in ``graphspec/graph/ops/images.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from graph.ops.cases.broadcasting import large
from graph.ops.cases.case import Elsewhere, Example, OpCase, batch, normal
from graph.ops.cases.draw import Draw

from graphspec.graph.ops.images import FILL_MODES


def depth_to_space(d: Draw) -> Example:
    b = d.integer(1, 3)
    n, c, h, w = d.shape(4, 4, 3)
    return Example([d.normal(n, c * b * b, h, w)], {"blocksize": b, "mode": d.choice(["DCR", "CRD"])})


def space_to_depth(d: Draw) -> Example:
    b = d.integer(1, 3)
    n, c, h, w = d.shape(4, 4, 3)
    return Example([d.normal(n, c, h * b, w * b)], {"blocksize": b})


IMAGES, PLANES = large(20, 64, 48, 3), large(20, 3, 64, 48)


Array = np.ndarray[Any, Any]


def maps(rows: int) -> Array:
    """Affine maps that stretch, turn and shift, also far out of the image."""
    return np.array([1.0, 0, 0, 0, 1.0, 0]) + normal(rows, 6) * [0.7, 0.7, 0.5, 0.7, 0.7, 0.5]


CASES = {
    "Resize": OpCase(
        Elsewhere("graph/ops/test_resize.py"),
        [
            Example(
                [normal(2, 3, 4, 5), None, np.array(scales, np.float32)], {"mode": mode, "nearest_mode": "floor"}, {2}
            )
            for mode in ("nearest", "linear", "cubic")
            for scales in ([1, 1, 2, 3], [1, 1, 1.5, 0.5])
        ],
        allocates=[
            Example([large(30, 40, 10, 10), None, np.array([1, 1, 2, 2], np.float32)], {"mode": mode, **how}, {2})
            for mode, how in (
                ("nearest", {"nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}),
                ("linear", {}),
                ("cubic", {}),
            )
        ],
    ),
    "DepthToSpace": OpCase(
        depth_to_space,
        [
            Example([normal(2, 8, 3, 2)], {"blocksize": 2}),
            Example([normal(2, 8, 3, 2)], {"blocksize": 2, "mode": "CRD"}),
        ],
        allocates=[Example([large(30, 40, 10, 10)], {"blocksize": 2})],
    ),
    "SpaceToDepth": OpCase(
        space_to_depth,
        [Example([normal(2, 3, 4, 6)], {"blocksize": 2})],
        allocates=[Example([large(30, 40, 10, 10)], {"blocksize": 2})],
    ),
    "RandomCrop": OpCase(
        None,
        [
            Example([normal(2, 3, 5, 6), np.array([[0.7, 0.2]]), normal(3, 5), normal(6, 4)], {}, {2, 3}, [0], training)
            for training in (True, False)
        ],
        allocates=[Example([PLANES, np.array([[0.3, 0.9]]), large(40, 64), large(48, 24)], {}, {2, 3}, [0], True)],
    ),
    "MixRows": OpCase(
        None,
        [Example([normal(n, 3, 2), normal(n, 1, k)], wrt=[0], training=True) for n, k in ((4, 2), (5, 1), (1, 1))],
        no_rows=[Example([normal(0, 3, 2), normal(0, 1, 2)], wrt=[0], training=True)],
        allocates=[Example([normal(4, 3, 2), normal(4, 1, 1)], wrt=[0], training=True)],
    ),
    "Recolor": OpCase(
        None,
        [
            Example(
                [normal(3, 4, 3, 2), *(normal(3, 1) if k in given else None for k in (1, 2))],
                {"low": -1.0, "high": 0.8, "axes": axes},
                wrt=[0],
                training=True,
            )
            for given in ({1}, {2}, {1, 2})
            for axes in ((1, 2), (2, 3))
        ],
        allocates=[
            Example(inputs, {"low": -1.0, "high": 1.0, "axes": axes}, wrt=[0], training=True)
            for inputs, axes in (([IMAGES, large(20, 1), large(20, 1)], (1, 2)), ([PLANES, large(20, 1)], (2, 3)))
        ],
        batched=batch(0, 1, 2),
    ),
    "RowUniform": OpCase(
        None,
        "it draws numbers, whatever its input holds",
        no_rows=[Example([large(0, 4)], {"low": (0.0, 1.0), "high": (1.0, 2.0)}, wrt=[0], training=True)],
        allocates=[Example([large(120_000, 1)], {"low": (0.0,), "high": (1.0,)}, wrt=[0], training=True)],
    ),
    "AffineWarp": OpCase(
        None,
        [
            Example(
                [normal(5, 4, 6, 2), maps(5)],
                {"interpolation": interpolation, "fill_mode": mode, "fill_value": 0.3},
                wrt=[0],
                training=True,
            )
            for interpolation in ("nearest", "bilinear")
            for mode in FILL_MODES
        ],
        allocates=[
            *(
                Example([large(20, 64, 48, 3), maps(20)], {"fill_mode": mode, "fill_value": 1.0}, set(), [0], True)
                for mode in FILL_MODES
            ),
            Example(
                [large(20, 64, 48, 3), maps(20)],
                {"interpolation": "nearest", "fill_mode": "constant"},
                wrt=[0],
                training=True,
            ),
        ],
        batched=batch(0, 1),
    ),
}
