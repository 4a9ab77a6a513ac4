"""Warn of numbers beside which all others are equal after scaling: they may be markers of missing values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from graphspec.codes import Code
from graphspec.data.labels import places_of
from graphspec.data.problems.tally import Tally
from graphspec.data.profiling.column_profile import FAR
from graphspec.errors import Diagnostic, Problem
from graphspec.layers.missing import Impute

if TYPE_CHECKING:
    from graphspec.arrays.layout import Array
    from graphspec.data.batches import Dataset
    from graphspec.language.declarations import DataSource, Spec


def far_values(spec: Spec, source: DataSource, data: Dataset) -> list[Diagnostic]:
    """Return GS505 as a warning for each number column with a value of at least 2**53 that hides all others."""
    found: list[Diagnostic] = []
    marked = {
        n.inputs[0].name: n.layer.missing_values for n in spec.nodes if isinstance(n.layer, Impute) and n.inputs[0]
    }
    for name, declared in spec.inputs.items():
        array = data.inputs.get(name)
        if ".columns." not in declared.tree.path or not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            continue
        known = [float(value) for value in marked.get(name, ()) if not isinstance(value, str)]
        tally = Tally("has numbers beside which all others are equal after scaling")
        for row, value in _far(array.reshape(-1), np.asarray(known, array.dtype)):
            tally.add(row, value)
        if tally.rows:
            few = ", ".join(f"{value:g}" for value in tally.examples)
            hint = f"correct them, or write `missing_values: [{few}]` if they mark a missing value"
            problem = Problem(Code.MISSING_VALUE, tally.text(len(array), places_of(source)), hint)
            subject = f"column '{declared.column or name}'"
            found.append(Diagnostic.of(subject, problem, declared.mark, path=declared.tree.path).as_warning())
    return found


def _far(numbers: Array, known: Array) -> Iterator[tuple[int, float]]:
    sizes = np.abs(np.where(np.isin(numbers, known), np.nan, numbers)).astype(np.float64)  # holds the limit
    if not len(sizes) or not np.fmax.reduce(sizes) >= FAR:
        return
    typical = float(np.nanquantile(sizes, 0.75))
    for row in np.flatnonzero(sizes >= max(FAR, 1e6 * typical)):
        yield int(row), float(numbers[row])
