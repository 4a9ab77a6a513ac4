"""Entries of the operators in ``graphspec/graph/ops/resize.py``."""

from __future__ import annotations

import numpy as np
from graph.ops.cases.broadcasting import large
from graph.ops.cases.case import Elsewhere, Example, OpCase, normal
from graph.ops.cases.draw import Draw


def depth_to_space(d: Draw) -> Example:
    b = d.integer(1, 3)
    n, c, h, w = d.shape(4, 4, 3)
    return Example([d.normal(n, c * b * b, h, w)], {"blocksize": b, "mode": d.choice(["DCR", "CRD"])})


def space_to_depth(d: Draw) -> Example:
    b = d.integer(1, 3)
    n, c, h, w = d.shape(4, 4, 3)
    return Example([d.normal(n, c, h * b, w * b)], {"blocksize": b})


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
}
