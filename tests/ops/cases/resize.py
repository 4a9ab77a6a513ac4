"""The entry of the operator in ``graphspec/ops/resize.py``."""

from __future__ import annotations

import numpy as np
from ops.cases.case import Elsewhere, Example, OpCase, normal
from ops.cases.elementwise import large

CASES = {
    "Resize": OpCase(
        Elsewhere("ops/test_resize.py"),
        [
            Example(
                [normal(2, 3, 4, 5), None, np.array(scales, np.float32)], {"mode": mode, "nearest_mode": "floor"}, {2}
            )
            for mode in ("nearest", "linear")
            for scales in ([1, 1, 2, 3], [1, 1, 1.5, 0.5])
        ],
        allocates=[
            Example([large(30, 40, 10, 10), None, np.array([1, 1, 2, 2], np.float32)], {"mode": mode, **how}, {2})
            for mode, how in (
                ("nearest", {"nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}),
                ("linear", {}),
            )
        ],
    ),
}
