"""A head without targets: how its values are spread."""

from __future__ import annotations

import numpy as np

from graphspec.base.document import Table
from graphspec.show.report.charts import amount, table
from graphspec.show.report.kinds import Flat

_UNITS = 30


def values_head(flat: Flat) -> Table:
    """Return the spread of the values of each unit."""
    values = flat.scores.reshape(-1, flat.scores.shape[-1] if flat.scores.ndim > 1 else 1).astype(np.float64)
    units = values.shape[1]
    rows = []
    for k in range(min(units, _UNITS)):
        own = values[:, k]
        own = own[np.isfinite(own)]
        name = flat.labels[k] if len(flat.labels) == units else str(k)
        lost = len(values) - len(own)
        spread = (
            [float(f(own)) for f in (np.mean, np.std, np.min, np.median, np.max)] if len(own) else [float("nan")] * 5
        )
        rows.append((name, *map(amount, spread), f"{lost:,}"))
    caption = "The head has no loss, so nothing says what is right; its values"
    caption += f", of the first {_UNITS} of {units:,} units" if units > _UNITS else ""
    return table(caption, ("Unit", "Mean", "Deviation", "Smallest", "Median", "Largest", "Not finite"), rows)
