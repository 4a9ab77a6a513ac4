"""The entry of the operator in ``graphspec/ops/check_ids.py``."""

from __future__ import annotations

import numpy as np
from ops.cases.case import Example, OpCase, ids

CASES = {
    "CheckIds": OpCase(
        None,
        "it passes integers",
        no_rows=[Example([np.zeros((0, 4), np.int64)], {"size": 7})],
        allocates=[Example([ids(7, 300, 400)], {"size": 7})],
    ),
}
